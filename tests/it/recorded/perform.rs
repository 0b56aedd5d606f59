//! A case done in a folder and on a port of its own.

use super::{
    compare::lines,
    process::Program,
    steps::{list, seconds, take},
};
use crate::{harness::WEIR, http};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        LazyLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a case may take when it does not say, in seconds.
const LIMIT: f64 = 10.0;
/// What a case with requests may take besides: the start of the program and each wait.
const MORE: Duration = Duration::from_secs(15);
const LOOK_AGAIN: Duration = Duration::from_millis(30);
static NAMES: LazyLock<Regex> =
    LazyLock::new(|| regex(r"\b(benthos|weir|redpanda-connect|Benthos|Redpanda Connect|Weir)\b"));
static COLOURS: LazyLock<Regex> = LazyLock::new(|| regex("\x1b\\[[0-9;]*m"));
static PASSED: LazyLock<Regex> = LazyLock::new(|| regex("(?m)^Test '(.*)' succeeded"));
static FAILED: LazyLock<Regex> = LazyLock::new(|| regex("(?m)^Test '(.*)' failed"));
static TITLES: LazyLock<Regex> = LazyLock::new(|| regex(r"(?m)^(.+ \[line \d+\]):"));
static FILE_NAME: LazyLock<Regex> = LazyLock::new(|| regex(r"^.*?config\.yaml:? ?"));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// A port below those that the system gives out, and so one that nothing takes by chance before it is used.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 9000).unwrap_or(0);
    loop {
        let port = 23017 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 9000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Bytes as the recordings show them.
pub(crate) fn show(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(error) => {
            let pairs: Vec<String> = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"hex": pairs.concat()})
        }
    }
}

fn unhex(text: &str) -> io::Result<Vec<u8>> {
    let digits = |at: usize| text.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..text.len())
        .step_by(2)
        .map(|at| digits(at).ok_or_else(|| io::Error::other("bad hex digits")))
        .collect()
}

/// Where a case is done.
pub(crate) struct Place {
    folder: TempDir,
    name: String,
    port: u16,
}

impl Place {
    fn new() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("conform.").tempdir()?;
        let name = folder.path().display().to_string();
        Ok(Self { folder, name, port: free_port() })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn fill(&self, text: &str) -> String {
        text.replace("@PORT@", &self.port.to_string()).replace("@DIR@", &self.name)
    }

    /// Cuts what changes from run to run or from product to product.
    pub(crate) fn calm(&self, text: &str) -> String {
        let text = text.replace(&self.name, "DIR__").replace(&self.port.to_string(), "PORT__");
        NAMES.replace_all(&text, "NAME__").into_owned()
    }

    /// The same for a text that may have been shown as an object, which has nothing to cut.
    pub(crate) fn calm_value(&self, value: &Value) -> Value {
        value.as_str().map_or_else(|| value.clone(), |text| Value::String(self.calm(text)))
    }

    pub(crate) fn calm_json(&self, value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let calm = |(key, value): (&String, &Value)| {
                    let uptime = ["uptime", "uptime_ns", "uptime_str"].contains(&key.as_str());
                    let hidden = uptime && (value.is_number() || value.is_string() || value.is_boolean());
                    let value = if hidden { json!(format!("@{key}@")) } else { self.calm_json(value) };
                    (self.calm(key), value)
                };
                Value::Object(members.iter().map(calm).collect())
            }
            Value::Array(list) => list.iter().map(|value| self.calm_json(value)).collect(),
            other => self.calm_value(other),
        }
    }

    /// The files and folders of a pattern, sorted.
    pub(crate) fn find(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let all = if pattern.ends_with("**") { "/*" } else { "" };
        let pattern = format!("{}/{pattern}{all}", glob::Pattern::escape(&self.name));
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let found = glob::glob_with(&pattern, options).map_err(io::Error::other)?;
        let mut paths = found.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
        paths.sort();
        Ok(paths)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, content)
    }

    fn lay(&self, case: &Value) -> io::Result<()> {
        for (name, text) in texts(case, "files") {
            self.write(name, self.fill(text))?;
        }
        for (name, text) in texts(case, "files_hex") {
            self.write(name, unhex(text)?)?;
        }
        match case.get("config").and_then(Value::as_str) {
            Some(config) => self.write("config.yaml", self.fill(config)),
            None => Ok(()),
        }
    }

    /// The program with the environment of a case, before and after whose arguments others stand.
    fn command(&self, case: &Value, before: &[&str], after: &[&str]) -> Command {
        let args = list(case, "args").iter().filter_map(Value::as_str).map(|arg| self.fill(arg));
        let mut command = Command::new(WEIR);
        command.args(before).args(args).args(after).current_dir(self.path());
        command.envs(texts(case, "env").map(|(name, value)| (name, self.fill(value))));
        command
    }

    /// Waits until the server answers anything; false when it does not come up.
    fn is_up(&self, program: &mut Program) -> io::Result<bool> {
        let end = Instant::now() + MORE;
        let address = ([127, 0, 0, 1], self.port).into();
        while Instant::now() < end && program.ended()?.is_none() {
            if http::request(address, "GET", "/ping", &[], None, Duration::from_secs(1)).status != 0 {
                return Ok(true);
            }
            thread::sleep(LOOK_AGAIN);
        }
        Ok(false)
    }
}

fn texts<'a>(case: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a str)> {
    let members = case.get(key).and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name, value.as_str()?)))
}

fn limit(case: &Value) -> Duration {
    Duration::from_secs_f64(case.get("timeout").and_then(Value::as_f64).unwrap_or(LIMIT))
}

/// Does what a case says; `want` tells when a step need not wait any longer.
pub(crate) fn perform(case: &Value, want: &Value) -> io::Result<Value> {
    let place = Place::new()?;
    place.lay(case)?;
    match case["kind"].as_str().unwrap_or_default() {
        "run" => run(case, want, &place),
        "lint" => lint(case, &place),
        "echo" => echo(case, &place),
        "test" => test(case, &place),
        "api" => api(case, want, &place),
        other => Err(io::Error::other(format!("unknown kind {other}"))),
    }
}

/// A command run to its end: exit status, standard output and standard error.
fn finish(case: &Value, mut command: Command) -> io::Result<(i64, Vec<u8>, Vec<u8>)> {
    let mut program = Program::start(&mut command, None)?;
    let status = program.ended_within(limit(case))?.ok_or_else(|| io::Error::other("it does not end"))?;
    Ok((status, program.stdout()?, program.stderr()?))
}

fn lint(case: &Value, place: &Place) -> io::Result<Value> {
    let files: &[&str] = if case.get("config").is_some() { &["config.yaml"] } else { &[] };
    let (status, mut text, err) = finish(case, place.command(case, &["lint"], files))?;
    text.extend(err);
    let text = String::from_utf8_lossy(&text);
    let text = COLOURS.replace_all(&text, "");
    let lines = lines(&text).into_iter().filter(|line| !line.trim().is_empty());
    let mut lines: Vec<String> = lines.map(|line| place.calm(&FILE_NAME.replace(line, ""))).collect();
    if case["ordered"] != true {
        lines.sort_unstable();
    }
    Ok(json!({"exit": status, "lines": lines}))
}

fn echo(case: &Value, place: &Place) -> io::Result<Value> {
    let (status, out, err) = finish(case, place.command(case, &["echo"], &["config.yaml"]))?;
    let mut got = json!({"exit": status, "yaml": place.calm(&String::from_utf8_lossy(&out))});
    if case["show"] == true {
        got["error"] = json!(lines(&place.calm(&String::from_utf8_lossy(&err))));
    }
    Ok(got)
}

fn test(case: &Value, place: &Place) -> io::Result<Value> {
    let (status, mut text, err) = finish(case, place.command(case, &["test"], &[]))?;
    text.extend(err);
    let text = String::from_utf8_lossy(&text);
    let text = COLOURS.replace_all(&text, "");
    let found = |pattern: &Regex| {
        let mut found: Vec<&str> =
            pattern.captures_iter(&text).filter_map(|found| Some(found.get(1)?.as_str())).collect();
        found.sort_unstable();
        json!(found)
    };
    let mut got = json!({
        "exit": status,
        "passed": found(&PASSED),
        "failed": found(&FAILED),
        "titles": found(&TITLES),
    });
    if case["show"] == true {
        let lines = lines(&text).into_iter().filter(|line| !line.trim().is_empty());
        got["lines"] = lines.map(|line| place.calm(line)).collect();
    }
    Ok(got)
}

fn run(case: &Value, want: &Value, place: &Place) -> io::Result<Value> {
    let stdin = case.get("stdin").and_then(Value::as_str);
    let mut command = place.command(case, &["run", "--log.level", "off"], &["config.yaml"]);
    let mut program = Program::start(&mut command, stdin)?;
    let mut got = Map::new();
    let status = if case.get("requests").is_some() {
        let deadline = Instant::now() + limit(case) + MORE;
        place.is_up(&mut program)?;
        let steps = take(list(case, "requests"), want, place, deadline)?;
        got.insert("steps".to_owned(), Value::Array(steps));
        program.stop()?
    } else if case.get("stop_after").is_some() {
        thread::sleep(seconds(case, "stop_after"));
        got.insert("running".to_owned(), json!(program.ended()?.is_none()));
        program.stop()?
    } else {
        match program.ended_within(limit(case))? {
            Some(status) => status,
            None => return Ok(json!({"exit": "timeout"})),
        }
    };
    got.insert("exit".to_owned(), json!(status));
    got.insert("stdout".to_owned(), place.calm_value(&show(program.stdout()?)));
    if case["stderr"] == true {
        let text = String::from_utf8_lossy(&program.stderr()?).into_owned();
        got.insert("stderr".to_owned(), json!(place.calm(&text).trim()));
    }
    let default = [json!("out*")];
    let patterns = if case.get("watch").is_some() { list(case, "watch") } else { &default };
    let mut files = Map::new();
    for pattern in patterns.iter().filter_map(Value::as_str) {
        for path in place.find(pattern)?.into_iter().filter(|path| path.is_file()) {
            let name = path.strip_prefix(place.path()).unwrap_or(&path).display().to_string();
            files.insert(name, place.calm_value(&show(fs::read(&path)?)));
        }
    }
    got.insert("files".to_owned(), Value::Object(files));
    Ok(Value::Object(got))
}

fn api(case: &Value, want: &Value, place: &Place) -> io::Result<Value> {
    let service = case.get("observability").and_then(Value::as_str);
    let service = service.unwrap_or("http:\n  address: \"127.0.0.1:@PORT@\"\nlogger: { level: OFF }\n");
    place.write("observability.yaml", place.fill(service))?;
    let state = place.path().join(".state").display().to_string();
    let mut command = place.command(case, &["streams", "--state", &state, "-o", "observability.yaml"], &[]);
    let deadline = Instant::now() + limit(case) + MORE;
    let mut program = Program::start(&mut command, None)?;
    if !place.is_up(&mut program)? {
        return Ok(json!({"up": false, "exit": program.stop()?}));
    }
    let steps = take(list(case, "steps"), want, place, deadline)?;
    program.stop()?;
    Ok(json!({"up": true, "steps": steps}))
}

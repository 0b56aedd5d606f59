//! A server of one's own: a port that was free, a state folder that goes away, and an end in any case.

use crate::http::{self, Answer};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program under test.
pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");
/// How long anything may take that a loaded machine does not do at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// Waits until `look` gives something; `what` is said when it never does.
pub(crate) fn eventually<T>(what: &str, limit: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        sleep(LOOK_AGAIN);
    }
}

/// A child process that does not outlive its test.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::null()))
    }

    /// Starts one whose standard input is written here.
    pub(crate) fn with_input(command: &mut Command) -> Self {
        Self::spawn(command.stdin(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        self.0.wait().unwrap();
    }

    /// Waits for its end; `None` when it runs on.
    pub(crate) fn end_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() > end {
                return None;
            }
            sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(pid: u32, name: &str) {
    let done =
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
    // The process may have ended meanwhile, which `kill` reports in its status.
    drop(done);
}

/// How a server is started.
#[derive(Default)]
pub(crate) struct Setup {
    /// Arguments after `streams`.
    pub(crate) args: Vec<String>,
    /// Lines of the service's config after those on address and log.
    pub(crate) config: String,
    /// What to start the program with, such as `strace …`.
    pub(crate) through: Vec<String>,
    /// The service's config of HTTP in place of one that takes any port.
    pub(crate) own_http: Option<String>,
    /// Whether no state folder is named.
    pub(crate) without_state: bool,
    /// Variables of its environment.
    pub(crate) env: Vec<(&'static str, String)>,
    /// Whether streams may be quarantined; most tests kill for other reasons.
    pub(crate) quarantine: bool,
    /// Whether it also has the components of `faults.rs`.
    pub(crate) faulty: bool,
}

/// A running `weir streams`.
pub(crate) struct Server {
    folder: TempDir,
    process: Process,
    address: SocketAddr,
    setup: Setup,
    starts: usize,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Setup::default())
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::inside(tempfile::tempdir().unwrap(), setup)
    }

    /// A server whose files lie in `folder`, its state in `folder/state`.
    pub(crate) fn inside(folder: TempDir, setup: Setup) -> Self {
        let http = setup.own_http.as_deref().unwrap_or("http:\n  address: 127.0.0.1:0\n");
        let text = format!("{http}logger:\n  level: INFO\n{}\n", setup.config);
        fs::write(folder.path().join("service.yaml"), text).unwrap();
        let process = launch(folder.path(), &setup, 0);
        let mut server = Self { folder, process, address: ([127, 0, 0, 1], 0).into(), setup, starts: 0 };
        server.find_address();
        server
    }

    fn find_address(&mut self) {
        let log = self.log_path();
        let process = &mut self.process;
        self.address = eventually("the server listens", PATIENCE, || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            if let Some((_, rest)) = text.split_once("Listening for HTTP requests at: http")
                && let Some((_, rest)) = rest.split_once("://")
            {
                let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'))?;
                return rest.get(..end)?.parse().ok();
            }
            if let Some(status) = process.child().try_wait().unwrap() {
                panic!("the server ended at once with {status}: {text}");
            }
            None
        });
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("log.{}", self.starts))
    }

    /// What the present process has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A file's text; empty when it is not there.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server itself, also when it was started through another program.
    pub(crate) fn pid(&self) -> u32 {
        if self.setup.through.is_empty() {
            return self.process.pid();
        }
        eventually("the traced server is there", PATIENCE, || self.child_of_the_tracer())
    }

    fn child_of_the_tracer(&self) -> Option<u32> {
        let outer = self.process.pid();
        let children = fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).unwrap_or_default();
        children.split_whitespace().next()?.parse().ok()
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: Option<&str>) -> Answer {
        http::request(self.address, method, path, &[], body.map(str::as_bytes), PATIENCE)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, Some(body))
    }

    /// Sends and wants an answer of 200.
    pub(crate) fn done(&self, method: &str, path: &str, body: &str) -> Answer {
        let answer = self.send(method, path, (!body.is_empty()).then_some(body));
        assert_eq!(answer.status, 200, "{method} {path}: {}\nlog: {}", answer.text(), self.log());
        answer
    }

    /// What `GET /streams` says of one stream.
    pub(crate) fn status(&self, id: &str) -> serde_json::Value {
        self.get("/streams").json()[id].clone()
    }

    pub(crate) fn is_active(&self, id: &str) -> bool {
        self.status(id)["active"] == true
    }

    /// Ends the process with SIGKILL, as often as needed.
    pub(crate) fn kill(&mut self) {
        if !self.setup.through.is_empty() {
            let pid = self.pid();
            signal(pid, "KILL");
            let gone = || (!Path::new(&format!("/proc/{pid}")).exists()).then_some(());
            eventually("the server is gone", PATIENCE, gone);
        }
        self.process.kill();
    }

    /// Whether the process is there.
    pub(crate) fn is_running(&mut self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for the end of the process.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> bool {
        self.process.end_within(limit).is_some()
    }

    /// Ends the process as `systemctl stop` would.
    pub(crate) fn stop(&mut self) {
        signal(self.pid(), "TERM");
        let ended = self.process.end_within(PATIENCE);
        assert!(ended.is_some(), "the server does not end: {}", self.log());
    }

    /// Starts anew through another program, or through none.
    pub(crate) fn start_through(&mut self, words: &[&str]) {
        self.setup.through = words.iter().copied().map(str::to_owned).collect();
        self.start_again();
    }

    /// Starts anew on the same folder; gives back how long it took until requests were answered.
    pub(crate) fn start_again(&mut self) -> Duration {
        self.starts += 1;
        let begun = Instant::now();
        self.process = launch(self.folder.path(), &self.setup, self.starts);
        self.find_address();
        eventually("the server answers", PATIENCE, || (self.get("/ping").status == 200).then_some(()));
        begun.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A tracer that is killed leaves its server running.
        if !self.setup.through.is_empty()
            && let Some(pid) = self.child_of_the_tracer()
        {
            signal(pid, "KILL");
        }
    }
}

fn launch(folder: &Path, setup: &Setup, start: usize) -> Process {
    let log = File::create(folder.join(format!("log.{start}"))).unwrap();
    let mut words = setup.through.clone();
    let mut args = ["streams", "-o", "service.yaml"].map(str::to_owned).to_vec();
    if !setup.without_state {
        args.push("--state=state".to_owned());
    }
    if !setup.quarantine {
        args.push("--quarantine=off".to_owned());
    }
    args.extend_from_slice(&setup.args);
    let mut command;
    if setup.faulty {
        command = crate::faults::command(&args);
    } else {
        words.push(WEIR.to_owned());
        command = Command::new(&words[0]);
        command.args(&words[1..]).args(&args);
    }
    command.envs(setup.env.iter().map(|(name, value)| (*name, value)));
    command.current_dir(folder).stdout(log.try_clone().unwrap()).stderr(log);
    Process::start(&mut command)
}

/// A stream that copies a file line by line.
pub(crate) fn copy_stream(from: &Path, to: &Path) -> String {
    format!(
        "input:\n  file:\n    paths: [ {} ]\noutput:\n  file:\n    path: {}\n    codec: lines\n",
        from.display(),
        to.display()
    )
}

/// A stream that makes a message now and then and never ends.
pub(crate) const ENDLESS: &str =
    "input:\n  generate:\n    interval: 100ms\n    mapping: root = counter()\noutput:\n  drop: {}\n";

/// A cheap stream whose config carries a mark.
pub(crate) fn idle_stream(mark: &str) -> String {
    format!("input:\n  generate:\n    interval: 1h\n    mapping: root = \"{mark}\"\noutput:\n  drop: {{}}\n")
}

/// Lines of `width` bytes each, no two alike.
pub(crate) fn numbered_lines(count: usize, width: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        writeln!(text, "line {number:07} {:x<fill$}", "", fill = width - 14).unwrap();
    }
    text
}

/// A stream that copies a file, a line in a millisecond or two.
pub(crate) fn slow_copy(from: &Path, to: &Path) -> String {
    format!(
        "input:\n  file:\n    paths: [ {} ]\npipeline:\n  threads: 1\n  processors:\n    - sleep: {{ duration: 1ms }}\n\
         output:\n  file:\n    path: {}\n    codec: lines\n",
        from.display(),
        to.display()
    )
}

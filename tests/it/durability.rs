//! What reaches the disk before what: the built program under `strace`, which sees each call and can make it fail.

use crate::harness::{PATIENCE, Server, Setup, eventually, idle_stream, numbered_lines, slow_copy};
use regex::Regex;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;

/// The calls that write, sync or answer, each with the paths of its files.
const CALLS: &str = "trace=fsync,fdatasync,write,writev,sendto,sendmsg";

/// A server whose calls are written to `trace` in its folder.
fn traced(folder: TempDir, more: &[String]) -> Server {
    let words = ["strace", "-f", "-qq", "-y", "--seccomp-bpf", "-s", "1000", "-o", "trace", "-e", CALLS]
        .map(str::to_owned);
    let through = words.into_iter().chain(more.iter().cloned()).collect();
    Server::inside(folder, Setup { through, ..Setup::default() })
}

/// The journal that a new state folder begins with.
fn journal(folder: &Path) -> String {
    folder.join("state/journal/0000000001").display().to_string()
}

/// A call on a file: where in the trace it begins and where it has returned, in lines.
struct Call<'a> {
    name: &'a str,
    path: &'a str,
    rest: &'a str,
    begun: usize,
    returned: Option<usize>,
}

impl Call<'_> {
    fn is_sync_of(&self, path: &str) -> bool {
        self.name.ends_with("sync") && self.path == path && self.rest.trim_end().ends_with("= 0")
    }

    fn is_write_to(&self, path: &str) -> bool {
        self.name.starts_with("write") && self.path == path
    }
}

/// All calls of a trace, in the order in which they begin.
fn calls(trace: &str) -> Vec<Call<'_>> {
    let begin = Regex::new(r"^(\d+) +(\w+)\(\d+<([^>]*)>(.*)$").unwrap();
    let resume = Regex::new(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$").unwrap();
    let mut open = std::collections::HashMap::<&str, usize>::new();
    let mut calls: Vec<Call<'_>> = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        if let Some(found) = begin.captures(line) {
            let [thread, name, path, rest] = [1, 2, 3, 4].map(|at| found.get(at).unwrap().as_str());
            let unfinished = rest.ends_with("<unfinished ...>");
            if unfinished {
                open.insert(thread, calls.len());
            }
            calls.push(Call { name, path, rest, begun: number, returned: (!unfinished).then_some(number) });
        } else if let Some(found) = resume.captures(line) {
            let [thread, rest] = [1, 2].map(|at| found.get(at).unwrap().as_str());
            if let Some(at) = open.remove(thread) {
                calls[at].returned = Some(number);
                // A sync says only now how it went; a write has said all that counts.
                if calls[at].name.ends_with("sync") {
                    calls[at].rest = rest;
                }
            }
        }
    }
    calls
}

#[test]
fn a_write_is_synced_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let mut server = traced(folder, &[]);
    let set = |mark: &str| {
        let text = idle_stream(mark);
        let tree: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        serde_json::json!({ "one": tree, "two": tree }).to_string()
    };
    let requests = [
        ("POST", "/streams/one", idle_stream("mark 0")),
        ("PUT", "/streams/one", idle_stream("mark 1")),
        ("PATCH", "/streams/one", r#"{"input":{"generate":{"mapping":"root = \"mark 2\""}}}"#.to_owned()),
        ("POST", "/streams", set("mark 3")),
        ("DELETE", "/streams/two", String::new()),
        ("POST", "/resources/cache/kept", "memory:\n  init_values: { a: mark 5 }\n".to_owned()),
    ];
    // Each is answered before the next is sent, so the answers stand in the trace in this order.
    for (method, path, body) in &requests {
        server.done(method, path, body);
    }
    server.stop();
    let trace = server.read("trace");
    let calls = calls(&trace);
    let answers: Vec<&Call<'_>> = calls.iter().filter(|call| call.rest.contains("HTTP/1.1 200")).collect();
    assert_eq!(answers.len(), requests.len(), "{trace}");
    let mut before = 0;
    for (answer, (method, path, _)) in answers.iter().zip(&requests) {
        let here = |line: usize| (before..answer.begun).contains(&line);
        let written = calls.iter().find(|call| call.is_write_to(&journal) && here(call.begun));
        let written = written.unwrap_or_else(|| panic!("{method} {path}: answered, but not written"));
        let synced = calls.iter().any(|call| {
            call.is_sync_of(&journal) && call.begun > written.begun && call.returned.is_some_and(here)
        });
        assert!(synced, "{method} {path}: answered before it was synced:\n{trace}");
        before = answer.begun;
    }
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_and_streams_run_on() {
    const LINES: usize = 5_000;
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let fail = ["-P", &journal, "-e", "inject=fsync,fdatasync:error=EIO:when=6+"].map(str::to_owned);
    let mut server = traced(folder, &fail);
    let text = numbered_lines(LINES, 100);
    let from = server.write("flow.in", &text);
    let to = server.path("flow.out");
    server.done("POST", "/streams/flow", &slow_copy(&from, &to));
    server.done("POST", "/streams/one", &idle_stream("first"));
    let mut last = "first".to_owned();
    let refused = eventually("a sync fails", PATIENCE, || {
        let next = format!("{last}+");
        let answer = server.send("PUT", "/streams/one", Some(&idle_stream(&next)));
        if answer.status == 200 {
            last = next;
            return None;
        }
        Some(answer)
    });
    let journal_calls = || calls(&server.read("trace")).iter().filter(|call| call.path == journal).count();
    let before = journal_calls();
    let mapping = |server: &Server, id: &str| {
        server.get(&format!("/streams/{id}")).json()["config"]["input"]["generate"]["mapping"].clone()
    };
    let is_as_answered = |server: &Server| {
        assert_eq!(mapping(server, "one"), format!("root = \"{last}\""), "what was refused is there");
        assert_eq!(server.get("/streams/two").status, 404, "what was refused is there");
    };
    assert!(refused.text().contains("0000000001"), "the file is not named: {}", refused.text());
    let writes = [
        ("PUT", "/streams/one", Some(idle_stream("later"))),
        ("POST", "/streams/two", Some(idle_stream("later"))),
        (
            "PATCH",
            "/streams/one",
            Some(r#"{"output":{"drop":{}},"input":{"generate":{"mapping":"root = 9"}}}"#.to_owned()),
        ),
        ("DELETE", "/streams/one", None),
        ("POST", "/streams", Some("{}".to_owned())),
        ("POST", "/resources/cache/kept", Some("memory: {}\n".to_owned())),
    ];
    for (method, path, body) in &writes {
        let answer = server.send(method, path, body.as_deref());
        assert_eq!(answer.status, 507, "{method} {path}: {}", answer.text());
    }
    is_as_answered(&server);
    // Checkpoints are a second apart, and a line takes at least a millisecond.
    let flown = || server.read("flow.out").lines().count();
    let start = flown();
    assert!(start < LINES - 2_600, "the file has flown too far to show anything: {start}");
    eventually("the stream runs on", PATIENCE, || (flown() > start + 2_500).then_some(()));
    assert!(server.is_active("one"), "a stream was stopped");
    assert_eq!(journal_calls(), before, "something was written after the failure");
    assert!(server.log().contains("the store failed"), "{}", server.log());
    server.kill();
    server.start_through(&[]);
    is_as_answered(&server);
    server.done("PUT", "/streams/one", &idle_stream("again"));
    let limit = Duration::from_mins(1);
    eventually("the file has flown", limit, || (server.status("flow")["phase"] == "Completed").then_some(()));
    let out = server.read("flow.out");
    let there: std::collections::HashSet<&str> = out.lines().collect();
    assert!(text.lines().all(|line| there.contains(line)), "a line is lost");
}

#[test]
fn a_file_output_is_synced_before_its_checkpoint_is_stored() {
    const WIDTH: usize = 100;
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let to = folder.path().join("flow.out");
    let out = to.display().to_string();
    let mut server = traced(folder, &["-P", &journal, "-P", &out].map(str::to_owned));
    let from = server.write("flow.in", numbered_lines(4_000, WIDTH));
    server.done("POST", "/streams/flow", &slow_copy(&from, &to));
    eventually("it completes", PATIENCE * 2, || {
        (server.status("flow")["phase"] == "Completed").then_some(())
    });
    server.stop();
    assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
    let trace = server.read("trace");
    let calls = calls(&trace);
    let place = Regex::new(r#"c/flow/.*?\\"offset\\\\\\":(\d+),\\\\\\"messages\\\\\\":(\d+)"#).unwrap();
    let length = Regex::new(r", (\d+)(\)| <unf)").unwrap();
    let number = |text: &str| text.parse::<usize>().unwrap();
    let written_by = |line: usize| -> usize {
        let writes = calls.iter().filter(|call| call.is_write_to(&out));
        let whole = writes.filter(|call| call.returned.is_some_and(|returned| returned < line));
        whole.map(|call| number(&length.captures_iter(call.rest).last().unwrap()[1])).sum()
    };
    let mut checkpoints = 0;
    for call in calls.iter().filter(|call| call.is_write_to(&journal)) {
        let Some(place) = place.captures(call.rest) else { continue };
        // The output is the input, so a place in the one is a place in the other.
        let acknowledged = number(&place[1]) + number(&place[2]) * WIDTH;
        let syncs = calls.iter().filter(|sync| {
            sync.is_sync_of(&out) && sync.returned.is_some_and(|returned| returned < call.begun)
        });
        let synced = syncs.map(|sync| written_by(sync.begun)).max().unwrap_or(0);
        assert!(synced >= acknowledged, "checkpoint at {acknowledged}, but only {synced} bytes were synced");
        checkpoints += usize::from(acknowledged > 0);
    }
    assert!(checkpoints >= 2, "only {checkpoints} checkpoints in\n{trace}");
}

//! Inputs and outputs that come and go over HTTP while their stream runs.

use crate::harness::{PATIENCE, Server, eventually};
use std::fs;

const STREAM: &str = "
input:
  dynamic:
    inputs:
      first: { generate: { count: 1, interval: '', mapping: 'root = \"first\"' } }
output:
  dynamic: {}
";

fn lines(server: &Server, name: &str) -> Vec<String> {
    let mut lines: Vec<String> = server.read(name).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn writes(server: &Server, name: &str, wanted: &[&str]) {
    eventually(&format!("{name} holds {wanted:?}"), PATIENCE, || {
        (lines(server, name) == wanted).then_some(())
    });
}

#[test]
fn members_come_and_go_and_no_message_is_lost() {
    let server = Server::start();
    let once = |text: &str| format!("generate: {{ count: 1, interval: '', mapping: 'root = \"{text}\"' }}");
    let into = |name: &str| format!("file: {{ path: {}, codec: lines }}", server.path(name).display());
    server.done("POST", "/streams/a", STREAM);
    // What came before there was an output is delivered to the first.
    server.done("POST", "/a/outputs/one", &into("one"));
    writes(&server, "one", &["first"]);
    server.done("POST", "/a/outputs/two", &into("two"));
    server.done("POST", "/a/inputs/x", &once("x"));
    writes(&server, "one", &["first", "x"]);
    writes(&server, "two", &["x"]);
    server.done("DELETE", "/a/outputs/two", "");
    // Another config in its place; the same again is no change.
    server.done("POST", "/a/inputs/x", &once("y"));
    server.done("POST", "/a/inputs/x", &once("y"));
    writes(&server, "one", &["first", "x", "y"]);
    writes(&server, "two", &["x"]);
    let listed = server.get("/a/outputs").json();
    assert_eq!(listed.as_object().unwrap().keys().collect::<Vec<_>>(), ["one"]);
    assert_eq!(server.get("/a/inputs/x/uptime").text(), "stopped");
    assert_eq!(server.get("/a/inputs").json()["x"]["config"]["generate"]["count"], 1);
    // Counted as long as they are there, and no two of them under one name.
    let metrics = server.get("/metrics").text();
    let of = |path: &str| metrics.lines().filter(|line| line.contains(&format!("path=\"{path}\""))).count();
    assert!(of("root.input.dynamic.inputs.x") > 0, "{metrics}");
    assert_eq!(of("root.output.dynamic.outputs.two"), 0, "{metrics}");
    let received = metrics.lines().filter(|line| {
        line.starts_with("input_received{") && line.contains("path=\"root.input.dynamic.inputs.x\"")
    });
    assert_eq!(received.count(), 1, "{metrics}");
}

#[test]
fn secrets_of_members_are_hidden() {
    let server = Server::start();
    server.done("POST", "/streams/a", STREAM);
    let secret = "http_client: { url: 'http://127.0.0.1:1', basic_auth: { enabled: true, password: hush } }";
    server.done("POST", "/a/outputs/one", secret);
    let shown = [server.get("/a/outputs").text(), server.get("/a/outputs/one").text()].concat();
    assert!(shown.contains("SCRUBBED") && !shown.contains("hush"), "{shown}");
    assert_eq!(server.get("/a/ready").status, 503);
}

#[test]
fn an_input_is_read_anew_until_a_message_is_the_last() {
    let server = Server::start();
    fs::write(server.path("source"), "a\nb\n").unwrap();
    let config = serde_json::json!({
        "input": { "read_until": {
            "check": "content() == \"last\"",
            "restart_input": true,
            "input": { "file": { "paths": [server.path("source")] } },
        } },
        "output": { "file": { "path": server.path("out"), "codec": "lines" } },
    });
    server.done("POST", "/streams/again", &config.to_string());
    let out = || fs::read_to_string(server.path("out")).unwrap_or_default();
    eventually("it is read three times", PATIENCE, || out().starts_with("a\nb\na\nb\na\nb\n").then_some(()));
    let links = server.get("/streams/again/status").json()["connections"].to_string();
    assert!(links.contains("input.read_until.input"), "{links}");
    // Nothing to give is read again after a while, and so is what is there by then.
    fs::write(server.path("source"), "").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    fs::write(server.path("source"), "c\nlast\n").unwrap();
    eventually("the last is the last", PATIENCE, || out().ends_with("c\nlast\n").then_some(()));
    eventually("it ends", PATIENCE, || (server.status("again")["phase"] == "Completed").then_some(()));
}

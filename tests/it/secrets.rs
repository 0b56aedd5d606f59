//! Secrets stay where they were put: one that a variable holds, one that a config spells out.

use crate::harness::{PATIENCE, Server, Setup, WEIR, eventually};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The value of a variable: nobody may ever see it.
const HELD: &str = "held-by-a-variable-81c2";
/// Written out in configs: only whoever may change them sees it, in their text.
const WRITTEN: &str = "written-in-a-config-5d1f";

/// The same two of the service's own config.
const OWN: &str = "own-in-a-variable-93aa";
const SPELLED: &str = "own-and-spelled-out-0b4c";

/// A stream that fails loudly with both secrets at hand.
fn stream(turn: u32) -> String {
    format!(
        "input:
  generate:
    interval: 20ms
    mapping: |
      root.turn = {turn}
      root.token = env(\"HELD\")
pipeline:
  processors:
    - http:
        url: http://user:${{HELD}}@127.0.0.1:1/{turn}
        retries: 0
        headers:
          Authorization: Bearer ${{HELD}}
        oauth2:
          enabled: true
          client_key: key
          client_secret: {WRITTEN}
          token_url: http://user:{WRITTEN}@127.0.0.1:1/token
    - mapping: root = throw(\"failed for \" + env(\"HELD\"))
output:
  http_client:
    url: http://user:{WRITTEN}@127.0.0.1:1/out
    retries: 0
    max_retry_backoff: 10ms
    basic_auth:
      enabled: true
      username: me
      password: ${{HELD}}
"
    )
}

/// Every file below a folder, as one text.
fn all_files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text.push_str(&all_files(&path));
        } else {
            text.push_str(&String::from_utf8_lossy(&fs::read(path).unwrap_or_default()));
        }
    }
    text
}

#[test]
fn secrets_stay_where_they_were_put() {
    let env = vec![("HELD", HELD.to_owned()), ("OWN", OWN.to_owned())];
    // The service's own config has secrets as well.
    let own = "metrics:
  prometheus:
    push_url: http://user:${OWN}@127.0.0.1:1/push
    push_interval: 50ms
    push_basic_auth: { username: me, password: pw-SPELLED }
tracer:
  open_telemetry_collector: { http: [ { address: 'http://user:url-SPELLED@127.0.0.1:1' } ] }
"
    .replace("SPELLED", SPELLED);
    let config = format!("http:\n  address: 127.0.0.1:0\n  debug_endpoints: true\n{own}");
    let args = vec!["--tap".to_owned()];
    let mut server = Server::with(Setup { env, args, own_http: Some(config), ..Setup::default() });
    server.done("POST", "/streams/a", &stream(1));
    server.done(
        "POST",
        "/resources/processor/p",
        &format!("http: {{ url: 'http://u:{WRITTEN}@127.0.0.1:1' }}"),
    );
    server.done("PUT", "/streams/a", &stream(2));
    let plan = server.send("PUT", "/streams/a?dry_run=true", Some(&stream(3))).text();
    eventually("it fails", PATIENCE, || {
        let said = ["failed for", "/out", "Failed to export metrics"];
        said.iter().all(|part| server.log().contains(part)).then_some(())
    });
    server.done("POST", "/streams/a/pause", "");
    server.done("POST", "/streams/a/resume", "");
    let spec =
        stream(3).replace("root = throw(\"failed for \" + env(\"HELD\"))", "root = \"now \" + content()");
    let spec = spec.replace('\n', "\n  ");
    let trial = format!("spec:\n  {spec}\nmessages: [ {{ content: 'a {HELD} and {WRITTEN}' }} ]\n");
    let trial = server.done("POST", "/streams/a/plan", &trial).text();
    assert!(trial.contains("+now a "), "{trial}");
    let mut said = vec![("plan", plan), ("trial", trial)];
    for path in [
        "/streams",
        "/streams/a/status?record=true",
        "/streams/a/tap?at=input&limit=1",
        "/streams/a/history",
        "/streams/a/diff",
        "/streams/a/stats",
        "/revisions",
        "/revisions/3",
        "/events?since=0&follow=false",
        "/resources",
        "/metrics",
        "/stats",
        "/ready",
        "/livez",
        "/endpoints",
        "/debug/config/json",
        "/debug/config/yaml",
        "/openapi.json",
        "/a/ready",
    ] {
        said.push((path, server.get(path).text()));
    }
    let verbatim: Vec<_> = ["/streams/a", "/streams/a?generation=1", "/resources/processor/p"]
        .iter()
        .map(|path| (*path, server.get(path).text()))
        .collect();
    for (path, text) in &verbatim {
        assert!(text.contains(WRITTEN), "{path} is the text as submitted: {text}");
    }
    server.stop();
    let state = server.path("state");
    let export = Command::new(WEIR).arg("state").arg("export").arg(&state).output().unwrap();
    let kept =
        [("the export", String::from_utf8(export.stdout).unwrap()), ("the state folder", all_files(&state))];
    said.push(("the log", server.log()));
    said.push(("the flight record", server.read("state/flight.jsonl")));
    for (place, text) in said.iter().chain(&verbatim).chain(&kept) {
        for held in [HELD, OWN, SPELLED] {
            assert!(!text.contains(held), "{place} has {held}: {text}");
        }
    }
    for (place, text) in &said {
        assert!(!text.contains(WRITTEN), "{place} has a secret of a config: {text}");
    }
}

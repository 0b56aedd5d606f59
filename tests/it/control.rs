//! The control plane beyond the Streams API.

use crate::harness::{
    ENDLESS, PATIENCE, Server, Setup, copy_stream, eventually, idle_stream, numbered_lines, slow_copy,
};
use crate::http::{self, Answer};
use serde_json::json;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::TcpStream,
};

#[test]
fn a_status_says_where_a_stream_is_and_why() {
    let server = Server::start();
    server.write("in.txt", "a\nb\nc\n");
    server.done("POST", "/streams/copy", &copy_stream(&server.path("in.txt"), &server.path("out.txt")));
    let done = eventually("the file is copied", PATIENCE, || {
        let status = server.get("/streams/copy/status").json();
        (status["phase"] == "Completed").then_some(status)
    });
    assert_eq!(done["counters"], json!({ "received": 3, "sent": 3, "errors": 0, "rejected": 0 }));
    assert_eq!(done["generation"], json!({ "desired": 1, "running": null }));
    assert_eq!((&done["reason"], &done["last_error"]), (&json!(null), &json!(null)));
    let lost = ENDLESS.replace("drop: {}", "http_client: { url: 'http://127.0.0.1:1/', retries: 0 }");
    server.done("POST", "/streams/fails", &lost);
    eventually("errors are counted", PATIENCE, || {
        let status = server.get("/streams/fails/status").json();
        (status["counters"]["errors"].as_u64() > Some(0)).then_some(())
    });
    let missing = ENDLESS.replace("drop: {}", "socket: { network: tcp, address: '127.0.0.1:1' }");
    server.done("POST", "/streams/missing", &missing);
    let degraded = eventually("the output is not connected", PATIENCE, || {
        let status = server.get("/streams/missing/status").json();
        (status["phase"] == "Degraded").then_some(status)
    });
    assert_eq!(degraded["last_error"]["path"], "output");
    assert_eq!(server.status("missing")["phase"], "Degraded", "the list says the same");
}

#[test]
fn a_transition_that_nobody_asked_for_is_a_line_with_stream_generation_and_revision() {
    let config = "shutdown_timeout: 1s".to_owned();
    let server = Server::with(Setup { config, ..Setup::default() });
    server.write("in.txt", "a\n");
    server.done("POST", "/streams/plain", ENDLESS);
    server.done("POST", "/streams/ends", &copy_stream(&server.path("in.txt"), &server.path("out.txt")));
    server.done("POST", "/resources/cache/c", "memory: {}");
    let lost = ENDLESS.replace("drop: {}", "socket: { network: tcp, address: '127.0.0.1:1' }").replace(
        "output:",
        "pipeline: { processors: [ cache: { resource: c, operator: set, key: k, value: v } ] }\noutput:",
    );
    server.done("POST", "/streams/lost", ENDLESS);
    server.done("PUT", "/streams/lost", &lost);
    eventually("it is not connected", PATIENCE, || server.log().contains("phase=Degraded").then_some(()));
    server.done("DELETE", "/resources/cache/c?force=true", "");
    eventually("it cannot be built", PATIENCE, || server.log().contains("phase=Invalid").then_some(()));
    let log = server.log();
    for (phase, level, stream, generation, revision, said) in [
        ("Completed", "info", "ends", 1, 2, "completed"),
        ("Degraded", "warning", "lost", 2, 5, "output is not connected"),
        ("Invalid", "warning", "lost", 2, 5, "cache resource 'c' was not found"),
    ] {
        let of_phase = format!(" phase={phase}");
        let lines: Vec<&str> = log.lines().filter(|line| line.contains(&of_phase)).collect();
        let fields = [
            format!("level={level}"),
            format!(" stream={stream}"),
            format!(" generation={generation}"),
            format!(" revision={revision}"),
            said.to_owned(),
        ];
        let is_right = |line: &&str| fields.iter().all(|field| line.contains(field));
        assert!(lines.len() == 1 && lines.iter().all(is_right), "{phase}: {log}");
    }
    let is_plain = |line: &str| line.contains(" phase=") && line.contains(" stream=plain");
    assert!(!log.lines().any(is_plain), "what was asked for is no news: {log}");
}

/// The mark of an idle stream.
fn mark(server: &Server, id: &str) -> String {
    let config = server.get(&format!("/streams/{id}")).json()["config"].clone();
    config["input"]["generate"]["mapping"].as_str().unwrap().trim_start_matches("root = ").replace('"', "")
}

fn with_match(server: &Server, method: &str, path: &str, tag: &str, body: &str) -> Answer {
    let headers = [("If-Match".to_owned(), tag.to_owned())];
    http::request(server.address(), method, path, &headers, Some(body.as_bytes()), PATIENCE)
}

#[test]
fn the_past_of_a_stream_is_kept_shown_compared_and_restored() {
    let mut server = Server::start();
    server.done("POST", "/streams/a?note=the+first", &idle_stream("one"));
    let full = server.get("/streams/a?full=true").json();
    assert_eq!((&full["text"], &full["revision"]), (&json!(idle_stream("one")), &json!(1)));
    assert_eq!((&full["generation"], &full["owner"]), (&json!(1), &json!("api")));
    assert_eq!(full["status"]["phase"], "Running");
    server.done("PUT", "/streams/a", &idle_stream("two"));
    server.done(
        "POST",
        "/streams",
        "b: { input: { generate: { mapping: root = 1 } }, output: { drop: {} } }",
    );
    server.kill();
    server.start_again();
    let history = server.get("/streams/a/history").json();
    let story: Vec<_> =
        history.as_array().unwrap().iter().map(|one| (&one["generation"], &one["outcome"])).collect();
    assert_eq!(story, [(&json!(2), &json!("deleted")), (&json!(1), &json!("superseded"))]);
    assert_eq!((&history[1]["note"], &history[0]["verb"]), (&json!("the first"), &json!("PUT")));
    assert_eq!(server.get("/streams/a/history?before=2").json().as_array().unwrap().len(), 1);
    for (path, next) in [("/streams/a/history", "2"), ("/revisions", "3")] {
        let link =
            |query: &str| server.get(&format!("{path}?limit={query}")).header("link").map(str::to_owned);
        assert_eq!(link("1"), Some(format!("<?before={next}&limit=1>; rel=\"next\"")), "{path}");
        assert_eq!((link("3"), link("1&before=2")), (None, None), "{path}");
    }
    assert_eq!(server.get("/streams/a?generation=1").json()["text"], idle_stream("one"));
    let diff = server.get("/streams/a/diff").text();
    assert!(diff.starts_with("--- stream/a generation 1\n+++ stream/a generation 2\n@@ "), "{diff}");
    assert!(diff.contains("\n-    mapping: root = \"one\"\n+    mapping: root = \"two\"\n"), "{diff}");
    assert!(server.get("/streams/a/diff?from=2&to=1").text().contains("\n+    mapping: root = \"one\"\n"));
    let newest = &server.get("/revisions?limit=1").json()[0];
    assert_eq!((&newest["revision"], &newest["verb"]), (&json!(3), &json!("POST")));
    let deleted = json!({ "kind": "stream", "id": "a", "action": "delete", "before": 2 });
    assert!(newest["changes"].as_array().unwrap().contains(&deleted), "{newest}");
    let restored = server.done("POST", "/revisions/2/restore?note=back", "");
    assert_eq!(restored.header("revision"), Some("4"));
    assert_eq!(mark(&server, "a"), "two");
    assert_eq!(server.get("/streams/b").status, 404);
    assert_eq!(server.get("/revisions/4").json()["note"], "back");
    server.done("POST", "/streams/a/rollback?to=1", "");
    assert_eq!(mark(&server, "a"), "one");
}

#[test]
fn a_plan_changes_nothing_and_a_precondition_holds() {
    let server = Server::start();
    server.done("POST", "/streams/a", &idle_stream("one"));
    let plan = server.done("PUT", "/streams/a?dry_run=true", &idle_stream("two")).json();
    let change = &plan["changes"][0];
    assert_eq!((&change["action"], &change["restart"]), (&json!("update"), &json!(true)));
    assert!(change["diff"].as_str().unwrap().contains("\n+    mapping: root = \"two\"\n"), "{plan}");
    let bad =
        server.done("PUT", "/streams/a?dry_run=true", "input: { resource: none }\noutput: { drop: {} }\n");
    assert!(bad.json()["changes"][0]["error"].as_str().unwrap().contains("none"), "{}", bad.text());
    let json = json!({ "output": { "drop": {} }, "input": { "generate": { "interval": "1h", "mapping": "root = 2" } } });
    let told = server.done("POST", "/streams/a/plan", &json!({ "spec": json, "messages": [] }).to_string());
    let lines = told.json()["changes"][0]["diff"].as_str().unwrap().to_owned();
    let changed =
        |line: &&str| line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---");
    assert_eq!(lines.lines().filter(changed).count(), 2, "{lines}");
    let whole = server.done("POST", "/plan", "{}").json();
    assert_eq!((&whole["changes"][0]["action"], &whole["revision"]), (&json!("delete"), &json!(1)));
    assert_eq!(mark(&server, "a"), "one");
    assert_eq!(server.get("/streams").header("etag"), Some("\"1\""));
    for (method, path, body) in [("PUT", "/streams/a", idle_stream("two")), ("POST", "/streams", "{}".into())]
    {
        let refused = with_match(&server, method, path, "\"7\"", &body);
        assert_eq!((refused.status, &refused.json()["generation"]), (412, &json!(1)), "{method} {path}");
        assert_eq!(with_match(&server, method, path, "rubbish", &body).status, 412);
    }
    // Every write tells what the next precondition is.
    let told = |answer: Answer| {
        let header = |name| answer.header(name).map(str::to_owned);
        (answer.status, header("revision"), header("etag"))
    };
    let is = |revision: &str, tag: &str| (200, Some(revision.to_owned()), Some(format!("\"{tag}\"")));
    assert_eq!(told(server.send("DELETE", "/streams/a?dry_run=true", None)), is("1", "1"));
    let changed = with_match(&server, "PUT", "/streams/a", "\"1\"", &idle_stream("two"));
    assert_eq!(told(changed), is("2", "2"));
    let same = with_match(&server, "PUT", "/streams/a", "\"2\"", &idle_stream("two"));
    assert_eq!(told(same), is("2", "2"));
    assert_eq!(told(server.post("/streams/a/pause", "")), is("3", "2"));
    assert_eq!(told(server.post("/streams/a/pause", "")), is("3", "2"));
    let refused = with_match(&server, "POST", "/streams/a/pause", "\"1\"", "");
    assert_eq!((refused.status, &refused.json()["generation"]), (412, &json!(2)));
    assert_eq!(told(server.post("/resources/cache/c", "memory: {}")), is("4", "1"));
    assert_eq!(told(with_match(&server, "POST", "/streams", "\"4\"", "{}")), is("5", "5"));
    // What is gone has the generation that a new one finds.
    assert_eq!(told(server.send("DELETE", "/resources/cache/c", None)), is("6", "0"));
    assert_eq!(with_match(&server, "POST", "/streams/b", "\"0\"", ENDLESS).status, 200);
    assert_eq!(told(server.send("DELETE", "/streams/b", None)), is("8", "0"));
}

#[test]
fn a_pause_keeps_the_position_across_a_crash() {
    let mut server = Server::start();
    server.write("in.txt", numbered_lines(2000, 40));
    server.done("POST", "/streams/a", &slow_copy(&server.path("in.txt"), &server.path("out.txt")));
    eventually("some lines are copied", PATIENCE, || {
        (server.read("out.txt").lines().count() > 100).then_some(())
    });
    let paused = server.done("POST", "/streams/a/pause", "").json();
    assert_eq!(paused["phase"], "Paused");
    server.done("POST", "/streams/a/pause", "");
    let copied = server.read("out.txt").lines().count();
    assert!(copied < 2000, "it was too quick");
    server.kill();
    server.start_again();
    assert_eq!(server.status("a")["phase"], "Paused");
    assert_eq!(server.read("out.txt").lines().count(), copied);
    server.done("POST", "/streams/a/resume", "");
    eventually("all is copied", PATIENCE, || (server.status("a")["phase"] == "Completed").then_some(()));
    assert_eq!(server.read("out.txt"), server.read("in.txt"), "it went on where it stood");
    let restarted = server.done("POST", "/streams/a/restart", "").json();
    assert_eq!(restarted["generation"]["desired"], 1);
    eventually("all is copied again", PATIENCE, || {
        (server.read("out.txt").lines().count() == 4000).then_some(())
    });
}

#[test]
fn a_resource_says_who_uses_it_and_goes_only_when_forced() {
    let server = Server::start();
    server.done("POST", "/resources/cache/c", "memory: {}");
    server.done("POST", "/resources/rate_limit/r", "local: {}");
    let user = ENDLESS.replace(
        "output:",
        "pipeline:\n  processors:\n    - cache: { resource: c, operator: set, key: k, value: v }\noutput:",
    );
    server.done("POST", "/streams/a", &user);
    let one = server.get("/resources/cache/c").json();
    assert_eq!((&one["dependents"], &one["text"]), (&json!(["stream:a"]), &json!("memory: {}")));
    assert_eq!(server.get("/resources").json().as_array().unwrap().len(), 2);
    assert_eq!(server.get("/resources/rate_limit").json()[0]["dependents"], json!([]));
    let refused = server.send("DELETE", "/resources/cache/c", None);
    assert_eq!((refused.status, &refused.json()["dependents"]), (409, &json!(["stream:a"])));
    server.done("DELETE", "/resources/cache/c?force=true", "");
    let status = eventually("its user cannot run", PATIENCE, || {
        let status = server.get("/streams/a/status").json();
        (status["phase"] == "Invalid").then_some(status)
    });
    assert!(status["reason"].as_str().unwrap().contains("cache resource 'c' was not found"), "{status}");
    server.done("POST", "/resources/cache/c", "memory: {}");
    eventually("it runs again", PATIENCE, || (server.status("a")["phase"] == "Running").then_some(()));
    server.done("DELETE", "/resources/rate_limit/r", "");
}

#[test]
fn pages_of_what_one_revision_changed_leave_nothing_out() {
    let folder = tempfile::tempdir().unwrap();
    let of = |n| format!("  - label: c{n}\n    memory: {{}}\n");
    let file = format!("cache_resources:\n{}", (0..7).map(of).collect::<String>());
    std::fs::write(folder.path().join("r.yaml"), file).unwrap();
    let args = ["-r", "r.yaml"].map(str::to_owned).to_vec();
    let server = Server::inside(folder, Setup { args, ..Setup::default() });
    server.done("POST", "/resources/rate_limit/later", "local: {}");
    let (mut seen, mut query) = (Vec::new(), "?limit=3".to_owned());
    loop {
        let page = server.get(&format!("/resources{query}"));
        let entries = page.json().as_array().unwrap().clone();
        seen.extend(entries.iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        let Some(link) = page.header("link") else { break };
        query = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    }
    assert_eq!(seen, ["later", "c0", "c1", "c2", "c3", "c4", "c5", "c6"]);
    assert_eq!(query, "?before=1&after=cache%3Ac4&limit=3");
}

/// What `/events` says of one stream's phases.
fn told(server: &Server, id: &str) -> Vec<String> {
    let events = server.get("/events?follow=false").json();
    let of_it = events.as_array().unwrap().iter().filter(|event| event["stream"] == id);
    of_it.filter_map(|event| Some(event["phase"].as_str()?.to_owned())).collect()
}

#[test]
fn events_are_followed_and_resumed_and_a_client_that_never_reads_costs_nothing() {
    let server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    assert_eq!(told(&server, "a"), ["Starting", "Running"]);
    let first = server.get("/events?follow=false").json()[0].clone();
    assert_eq!((&first["type"], &first["revision"]), (&json!("changed"), &json!(1)));
    let mut deaf: Vec<TcpStream> = Vec::new();
    let follow = |rest: &str| {
        let mut client = TcpStream::connect(server.address()).unwrap();
        write!(client, "GET /events?{rest}\r\n\r\n").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    };
    deaf.push(follow("since=0 HTTP/1.1\r\nHost: a"));
    let resume = format!(" HTTP/1.1\r\nHost: a\r\nLast-Event-ID: {}", first["id"]);
    let mut lines = BufReader::new(follow(&resume)).lines().map(Result::unwrap);
    let mut next = || {
        let data = lines.by_ref().find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
        serde_json::from_str::<serde_json::Value>(&data).unwrap()
    };
    assert_eq!((&next()["phase"], &next()["phase"]), (&json!("Starting"), &json!("Running")));
    server.done("DELETE", "/streams/a", "");
    let gone = std::iter::from_fn(|| Some(next())).find(|event| event["type"] == "deleted").unwrap();
    assert_eq!((&gone["stream"], &gone["revision"]), (&json!("a"), &json!(2)));
    assert_eq!(server.get("/events?since=1&follow=false").json()[0]["type"], "deleted");
    drop(deaf);
}

#[test]
fn a_generation_that_fails_its_probation_gives_way_to_the_last_healthy_one() {
    // What is in flight to an output that is not there is not waited for.
    let config = "shutdown_timeout: 1s".to_owned();
    let mut server = Server::with(Setup { faulty: true, config, ..Setup::default() });
    let lost = ENDLESS.replace("drop: {}", "socket: { network: tcp, address: '127.0.0.1:1' }");
    let flags = ENDLESS
        .replace("100ms", "5ms")
        .replace("output:", "pipeline: { processors: [ mapping: 'root = throw(\"no\")' ] }\noutput:");
    let panics = ENDLESS.replace("output:", "pipeline: { processors: [ panic: '3' ] }\noutput:");
    for (id, bad, said) in [
        ("lost", &lost, "output is not connected"),
        ("flags", &flags, "had errors or were rejected"),
        ("panics", &panics, "panic at root.pipeline.processors.0: saw 3"),
    ] {
        server.done("POST", &format!("/streams/{id}"), ENDLESS);
        server.done("PUT", &format!("/streams/{id}?probation=4s"), bad);
        if id == "lost" {
            // In the middle of it.
            server.kill();
            server.start_again();
        }
        let status = eventually("it is rolled back", PATIENCE, || {
            let status = server.get(&format!("/streams/{id}/status")).json();
            (status["phase"] == "RolledBack").then_some(status)
        });
        assert!(status["reason"].as_str().unwrap().contains(said), "{status}");
        let history = server.get(&format!("/streams/{id}/history")).json();
        assert_eq!(
            (&history[0]["verb"], &history[1]["outcome"]),
            (&json!("ROLLBACK"), &json!("rolled_back"))
        );
        assert!(history[1]["reason"].as_str().unwrap().contains(said), "{history}");
    }
    let fine = ENDLESS.replace("100ms", "50ms");
    server.done("PUT", "/streams/lost?probation=1s", &fine);
    assert_eq!(server.status("lost")["phase"], "OnProbation");
    eventually("it passes", PATIENCE, || (server.status("lost")["phase"] == "Running").then_some(()));
}

#[test]
fn a_stream_that_sends_less_than_it_promised_is_stalled_or_started_again() {
    let server = Server::start();
    let promise = |more: &str| format!("{}expect:\n  output_every: 1s\n{more}", idle_stream("one"));
    server.done("POST", "/streams/told", &promise(""));
    server.done("POST", "/streams/again", &promise("  on_breach: restart\n"));
    let refused = server.post("/streams/bad", &promise("  on_breach: cry\n"));
    assert_eq!((refused.status, refused.text().contains("cry")), (400, true), "{}", refused.text());
    eventually("it is stalled", PATIENCE, || (server.status("told")["phase"] == "Stalled").then_some(()));
    eventually("it is started again", PATIENCE, || {
        (server.get("/streams/again/status").json()["restarts"].as_u64() > Some(0)).then_some(())
    });
    assert!(told(&server, "again").contains(&"Stalled".to_owned()));
}

#[test]
fn what_the_api_says_over_a_file_is_drift_and_ends_by_itself_or_when_it_is_reverted() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("streams")).unwrap();
    let file = idle_stream("file").replace("interval: 1h", "interval: ${TIME:1h}");
    std::fs::write(folder.path().join("streams/a.yaml"), &file).unwrap();
    let args = ["--watcher", "--files=strict", "streams"].map(str::to_owned).to_vec();
    let server = Server::inside(folder, Setup { args, ..Setup::default() });
    eventually("it runs", PATIENCE, || server.is_active("a").then_some(()));
    assert_eq!(server.get("/revisions").json()[0]["actor"], "file:streams/a.yaml");
    assert_eq!(server.get("/streams/a/history").json()[0]["actor"], "file:streams/a.yaml");
    let secret = |word: &str| {
        idle_stream(word).replace("drop: {}", "http_client: { url: 'http://u:hunter2hunter2@h/' }")
    };
    let refused = server.send("PUT", "/streams/a", Some(&idle_stream("api")));
    assert_eq!((refused.status, refused.text().contains("override=2h")), (409, true), "{}", refused.text());
    let plan = server.done("POST", "/plan", &format!("b:\n  {}", ENDLESS.replace('\n', "\n  "))).json();
    assert_eq!(
        (&plan["changes"][1]["id"], &plan["changes"][1]["error"]),
        (&json!("b"), &json!(null)),
        "{plan}"
    );
    assert!(plan["changes"][0]["error"].as_str().unwrap().contains("override=2h"), "{plan}");
    server.done("PUT", "/streams/a?override=1h&reason=a+test", &secret("api"));
    let drift = server.get("/drift").json();
    assert_eq!((&drift[0]["id"], &drift[0]["override"]["reason"]), (&json!("a"), &json!("a test")));
    let diff = drift[0]["diff"].as_str().unwrap();
    assert!(diff.contains("\n+    mapping: root = \"api\"\n") && !diff.contains("hunter2"), "{diff}");
    assert!(!server.get("/streams/a/diff").text().contains("hunter2"));
    assert_eq!(server.get("/streams/a/status").json()["conditions"][0]["type"], "Drifted");
    server.done("POST", "/streams/a/revert", "");
    assert_eq!((mark(&server, "a"), server.get("/drift").json()), ("file".to_owned(), json!([])));
    server.done("DELETE", "/streams/a?override=2s&reason=gone", "");
    assert_eq!(server.get("/streams/a").status, 404);
    eventually("its time is over", PATIENCE, || server.is_active("a").then_some(()));
    assert_eq!(mark(&server, "a"), "file");
    assert_eq!(server.get("/revisions?limit=1").json()[0]["verb"], "REVERT");
    let metrics = server.get("/metrics").text();
    for series in [
        "weir_streams_in_phase{phase=\"Running\"} 1",
        "weir_reconcile_seconds_count",
        "weir_commit_seconds_sum",
        "weir_restarts_total 0",
    ] {
        assert!(metrics.contains(series), "{series}: {metrics}");
    }
}

#[test]
fn a_tap_shows_messages_as_they_pass() {
    let server = Server::with(Setup { args: vec!["--tap".into()], ..Setup::default() });
    let stream = ENDLESS.replace("root = counter()", "'root = {\"user\": \"ann\", \"n\": counter()}'").replace(
        "output:",
        "pipeline: { processors: [ mapping: 'root = this.merge({\"seen\": true})' , mapping: 'root = this.n' ] }\noutput:",
    );
    server.done("POST", "/streams/a", &stream);
    for (at, part) in [
        ("input", "\\\"user\\\":\\\"***\\\""),
        ("pipeline.processors.0", "\\\"seen\\\":true"),
        ("output", "\"content\":\""),
    ] {
        let redact = if at == "output" { "" } else { "&redact=user" };
        let told = server.get(&format!("/streams/a/tap?at={at}&limit=2&for=10s{redact}")).text();
        let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("data: ")).collect();
        assert!(lines.len() == 2 && lines[0].contains(part) && !told.contains("ann"), "{at}: {told}");
    }
    let nowhere = server.get("/streams/a/tap?at=pipeline.processors.2");
    assert_eq!((nowhere.status, nowhere.text().contains("pipeline.processors.1")), (400, true));
    let nested = "input:
  broker:
    inputs:
      - generate: { interval: 50ms, mapping: 'root = \"one\"' }
        processors: [ mapping: 'root = \"changed\"' ]
      - generate: { interval: 50ms, mapping: 'root = \"two\"' }
buffer: { memory: {} }
pipeline:
  processors:
    - branch: { processors: [ mapping: 'root = \"inside\"' ], result_map: 'root = this' }
output:
  switch:
    cases: [ { output: { drop: {}, processors: [ mapping: 'root = \"last\"' ] } }, { output: { drop: {} } } ]
";
    server.done("POST", "/streams/b", nested);
    for (at, part) in [
        ("input.broker.inputs.0", "one"),
        ("input.broker.inputs.0.processors.0", "changed"),
        ("input.broker.inputs.1", "two"),
        ("buffer", "changed"),
        ("pipeline.processors.0.branch.processors.0", "inside"),
        ("output.switch.cases.0.output.processors.0", "last"),
        ("output.switch.cases.0.output", "last"),
    ] {
        let told = server.get(&format!("/streams/b/tap?at={at}&limit=20&for=2s")).text();
        assert!(told.contains(&format!("\"content\":\"{part}\"")), "{at}: {told}");
    }
    assert_eq!(server.get("/streams/c/tap").status, 404);
    server.done("POST", "/streams/a/pause", "");
    assert_eq!(server.get("/streams/a/tap").status, 409);
    assert_eq!(Server::start().get("/streams/a/tap").status, 403);
}

#[test]
fn a_plan_of_one_stream_shows_what_becomes_of_its_data() {
    let server = Server::with(Setup { args: vec!["--tap".into()], ..Setup::default() });
    let with = |mapping: &str| {
        ENDLESS.replace("output:", &format!("pipeline:\n  processors:\n    - mapping: '{mapping}'\noutput:"))
    };
    server.done("POST", "/streams/a", &with("root = this"));
    let plan = |mapping: &str, more: &str| {
        let spec = with(mapping).replace('\n', "\n  ");
        let body = format!("spec:\n  {spec}\n{more}");
        server.done("POST", "/streams/a/plan?sample=3&for=10s", &body).json()
    };
    let given = "messages: [ { content: '1' }, { content: '2' }, { content: '3' }, { content: '4' } ]";
    let mapping = "root = match this { 1 => 1, 2 => 20, 3 => deleted(), _ => throw(\"no\") }";
    let told = plan(mapping, given);
    assert_eq!(told["changes"][0]["action"], "update", "{told}");
    let data = &told["data"];
    assert_eq!(
        (&data["messages"], &data["same"], &data["dropped"]),
        (&json!(4), &json!(1), &json!([2])),
        "{data}"
    );
    let diff = data["changed"][0]["diff"].as_str().unwrap();
    assert!(diff.contains("\n-2\n+20\n"), "{diff}");
    assert_eq!(data["newly_failing"][0]["index"], 3);
    let sampled = plan("root = \"x\"", "");
    assert_eq!(sampled["data"]["changed"].as_array().unwrap().len(), 3, "{sampled}");
    assert_eq!(server.get("/streams/a/history").json().as_array().unwrap().len(), 1, "nothing is changed");
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_json() {
    let server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    for (method, path, status, part) in [
        ("GET", "/streams/b/status", 404, "stream 'b'"),
        ("GET", "/streams/a/status?colour=red", 400, "'colour'"),
        ("POST", "/streams/a/status", 405, "GET"),
        ("GET", "/streams/b/history", 404, "stream 'b'"),
        ("GET", "/streams/a/history?limit=1001", 400, "'limit'"),
        ("GET", "/streams/a?generation=x", 400, "'generation'"),
        ("GET", "/streams/a?generation=9", 404, "generation 9"),
        ("GET", "/streams/a/diff?to=9", 404, "generation 9"),
        ("POST", "/streams/a/rollback", 404, "no earlier generation of stream 'a' ran healthy"),
        ("POST", "/streams/a/rollback?to=99", 404, "generation 99 of stream 'a' is not kept"),
        ("GET", "/livez?x=1", 400, "'x'"),
        ("GET", "/openapi.json?x=1", 400, "'x'"),
        ("POST", "/streams/b/pause", 404, "stream 'b'"),
        ("GET", "/streams/a/pause", 405, "POST"),
        ("GET", "/revisions/9", 404, "revision 9"),
        ("GET", "/revisions/99999999999999999999", 404, "revision"),
        ("POST", "/revisions/9/restore", 404, "revision 9"),
        ("POST", "/revisions/1/restore?force=true", 400, "'force'"),
        ("DELETE", "/streams/a?dry_run=maybe", 400, "'dry_run'"),
        ("DELETE", "/streams/a?wait=forever", 400, "'wait'"),
        ("GET", "/events?since=x", 400, "'since'"),
        ("DELETE", "/streams/a?probation=soon", 400, "'probation'"),
        ("POST", "/streams/a/plan", 400, "unknown field 'x/y'"),
        ("POST", "/plan", 400, "stream 'x/y'"),
        ("POST", "/plan?force=true", 400, "'force'"),
        ("GET", "/plan", 405, "POST"),
        ("GET", "/drift?after=stream:a", 400, "'after'"),
        ("POST", "/streams/a/revert", 400, "has no file: there is nothing to revert"),
        ("GET", "/drift?limit=0", 400, "'limit'"),
        ("DELETE", "/streams/a?override=1h", 400, "'reason'"),
        ("GET", "/resources/nonesuch", 404, "nonesuch"),
        ("GET", "/resources/cache/x", 404, "cache 'x'"),
        ("DELETE", "/resources/cache/x", 404, "cache 'x'"),
    ] {
        // A body where one is taken: what is wrong is something else.
        let body = path.ends_with("/plan").then_some("x/y: { input: { stdin: {} } }");
        let answer = server.send(method, path, body);
        let said = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && said.contains(part), "{method} {path}: {} {said}", answer.status);
    }
}

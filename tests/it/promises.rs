//! What the control plane promises beside what the tests of `control.rs` walk through.

use crate::harness::{ENDLESS, PATIENCE, Server, Setup, eventually, idle_stream};
use serde_json::json;

/// A stream whose output never gets what it is given.
fn stuck() -> String {
    ENDLESS.replace("drop: {}", "socket: { network: tcp, address: '127.0.0.1:1' }")
}

fn with(args: &[&str]) -> Server {
    Server::with(Setup { args: args.iter().copied().map(str::to_owned).collect(), ..Setup::default() })
}

#[test]
fn a_write_that_takes_longer_than_its_caller_waits_goes_on() {
    let server = Server::start();
    server.done("POST", "/streams/a", &stuck());
    eventually("something is in flight", PATIENCE, || {
        (server.get("/streams/a/status").json()["counters"]["received"].as_u64() > Some(0)).then_some(())
    });
    let late = server.send("PUT", "/streams/a?timeout=2s&wait_timeout=100ms", Some(&idle_stream("two")));
    let status = late.json();
    assert_eq!((late.status, &status["phase"]), (202, &json!("Stopping")), "{status}");
    assert_eq!(status["generation"], json!({ "desired": 2, "running": 1 }));
    eventually("it runs", PATIENCE, || {
        (server.get("/streams/a/status").json()["generation"]["running"] == 2).then_some(())
    });
    let asked = server.send("PUT", "/streams/a?wait=none", Some(&idle_stream("three")));
    assert_eq!((asked.status, asked.header("etag")), (202, Some("\"3\"")));
}

#[test]
fn what_is_being_removed_is_listed_until_it_is_gone_and_so_are_its_metrics() {
    let server = Server::start();
    server.done("POST", "/streams/a", &stuck());
    eventually("something is in flight", PATIENCE, || {
        server
            .get("/metrics")
            .text()
            .contains("input_received{label=\"\",path=\"root.input\",stream=\"a\"}")
            .then_some(())
    });
    assert_eq!(server.send("DELETE", "/streams/a?timeout=2s&wait=none", None).status, 202);
    eventually("it is stopping", PATIENCE, || (server.status("a")["phase"] == "Stopping").then_some(()));
    eventually("it is gone", PATIENCE, || server.status("a").is_null().then_some(()));
    let metrics = server.get("/metrics").text();
    assert!(!metrics.contains("stream=\"a\""), "{metrics}");
}

#[test]
fn the_past_is_bounded_but_for_what_is_needed() {
    let server = with(&["--keep-generations=1", "--keep-revisions=2"]);
    server.done("POST", "/streams/a", &idle_stream("1"));
    for turn in 2..=4 {
        server.done("PUT", "/streams/a", &idle_stream(&turn.to_string()));
    }
    let status = |path: &str| server.get(path).status;
    assert_eq!((status("/streams/a?generation=2"), status("/streams/a?generation=3")), (404, 200));
    assert_eq!((status("/revisions/2"), status("/revisions/3")), (404, 200));
    let gone = server.send("POST", "/revisions/1/restore", None);
    assert!(
        gone.status == 404 && gone.json()["error"].as_str().unwrap().contains("not kept whole"),
        "{}",
        gone.text()
    );
}

#[test]
fn a_list_tells_who_owns_a_stream_and_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("s")).unwrap();
    std::fs::write(folder.path().join("s/mine.yaml"), idle_stream("mine")).unwrap();
    std::fs::write(folder.path().join("s/bad.yaml"), "input: { nonesuch: {} }").unwrap();
    let mut server = Server::inside(folder, Setup { args: vec!["s".into()], ..Setup::default() });
    server.done("POST", "/streams/theirs", &idle_stream("theirs"));
    let list = server.get("/streams").json();
    assert_eq!((&list["mine"]["owner"], &list["theirs"]["owner"]), (&json!("file"), &json!("api")));
    assert_eq!((&list["mine"]["generation"], list["mine"].get("reason")), (&json!(1), None));
    assert_eq!(list["bad"]["phase"], "Invalid");
    assert!(list["bad"]["reason"].as_str().unwrap().contains("nonesuch"), "{list}");
    // What should run is kept for streams of files too.
    server.done("POST", "/streams/mine/pause", "");
    server.stop();
    server.start_again();
    assert_eq!(server.status("mine")["phase"], "Paused");
    server.done("POST", "/streams/mine/resume", "");
    assert_eq!(server.status("mine")["phase"], "Running");
}

#[test]
fn a_restore_brings_resources_back_with_the_streams_that_use_them() {
    let server = Server::start();
    server.done("POST", "/resources/cache/c", "memory: {}");
    let user = ENDLESS.replace(
        "output:",
        "pipeline: { processors: [ cache: { resource: c, operator: set, key: k, value: v } ] }\noutput:",
    );
    server.done("POST", "/streams/a", &user);
    server.done("DELETE", "/streams/a", "");
    server.done("DELETE", "/resources/cache/c", "");
    let plan = server.done("POST", "/revisions/2/restore?dry_run=true", "").json();
    assert_eq!(plan["changes"].as_array().unwrap().len(), 2, "{plan}");
    assert_eq!(server.get("/resources/cache/c").status, 404);
    let restored = server.done("POST", "/revisions/2/restore", "");
    assert_eq!((restored.header("revision"), restored.header("etag")), (Some("5"), Some("\"5\"")));
    eventually("it runs", PATIENCE, || (server.status("a")["phase"] == "Running").then_some(()));
    assert_eq!(server.get("/resources/cache/c").json()["dependents"], json!(["stream:a"]));
}

#[test]
fn a_stream_that_fails_too_often_is_left_alone() {
    let setup = Setup { args: vec!["--max-restarts=1".into()], faulty: true, ..Setup::default() };
    let server = Server::with(setup);
    let panics = ENDLESS.replace("output:", "pipeline: { processors: [ panic: '1' ] }\noutput:");
    server.done("POST", "/streams/a", &panics);
    let given_up = || {
        let status = server.get("/streams/a/status").json();
        (status["phase"] == "Failed").then_some(status)
    };
    let status = eventually("it is given up", PATIENCE, given_up);
    assert_eq!((&status["restarts"], &status["next_retry"]), (&json!(1), &json!(null)), "{status}");
    assert!(server.log().contains("failed for good"), "{}", server.log());
    server.done("PUT", "/streams/a", ENDLESS);
    eventually("it runs", PATIENCE, || (server.status("a")["phase"] == "Running").then_some(()));
}

#[test]
fn an_event_that_is_none_cannot_be_resumed_from() {
    let server = Server::start();
    let headers = [("Last-Event-ID".to_owned(), "x".to_owned())];
    let answer = crate::http::request(server.address(), "GET", "/events", &headers, None, PATIENCE);
    assert_eq!(
        (answer.status, answer.json()["error"].as_str().unwrap().contains("Last-Event-ID")),
        (400, true)
    );
}

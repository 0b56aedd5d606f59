//! What the control plane promises beside what the tests of `control.rs` walk through.

use crate::harness::{ENDLESS, PATIENCE, Server, Setup, eventually, idle_stream};
use serde_json::json;
use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

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
fn a_whole_set_that_takes_longer_names_those_that_are_not_there_yet() {
    let server = Server::start();
    server.done("POST", "/streams/a", &stuck());
    server.done("POST", "/streams/b", &idle_stream("b"));
    eventually("something is in flight", PATIENCE, || {
        (server.get("/streams/a/status").json()["counters"]["received"].as_u64() > Some(0)).then_some(())
    });
    let spec = |mark: &str| idle_stream(mark).replace('\n', "\n  ");
    let set = format!("a:\n  {}\nb:\n  {}\n", spec("two"), spec("two"));
    let late = server.send("POST", "/streams?timeout=2s&wait_timeout=1s", Some(&set));
    assert_eq!((late.status, late.header("etag")), (202, Some("\"3\"")));
    assert_eq!(late.json(), json!({ "revision": 3, "touched": 2, "underway": { "a": "Stopping" } }));
}

#[test]
fn a_plan_tells_what_a_write_would_be_refused_for() {
    let server = Server::start();
    server.done("POST", "/streams/a", &idle_stream("a"));
    let odd = idle_stream("odd") + "nonesuch: 1\n";
    for (method, path, body) in [
        ("PUT", "/streams/a", odd.as_str()),
        ("POST", "/streams/b", &odd),
        ("PATCH", "/streams/a", "nonesuch: 1"),
        ("POST", "/resources/cache/c", "memory: { nonesuch: 1 }"),
    ] {
        assert_eq!(server.send(method, path, Some(body)).status, 400, "{method} {path}");
        for (query, refused) in [("dry_run=true", true), ("dry_run=true&chilled=true", false)] {
            let plan = server.done(method, &format!("{path}?{query}"), body).json();
            let change = &plan["changes"][0];
            assert!(change["lints"][0].as_str().unwrap().contains("nonesuch"), "{method} {path}: {plan}");
            assert_eq!(change["error"].is_string(), refused, "{method} {path}: {plan}");
        }
    }
    let indented = |text: &str| text.replace('\n', "\n  ");
    let fine = indented(&idle_stream("fine"));
    let set = format!("odd:\n  {}\nfine:\n  {fine}\nwrong: {{ input: [] }}\n", indented(&odd));
    let plan = server.done("POST", "/plan", &set).json();
    let told: Vec<_> = plan["changes"].as_array().unwrap().iter().map(|one| &one["id"]).collect();
    assert_eq!(told, ["a", "fine", "odd", "wrong"], "{plan}");
    let error = |index: usize| plan["changes"][index]["error"].as_str();
    assert_eq!((error(0), error(1)), (None, None), "{plan}");
    assert!(error(2).unwrap().contains("chilled=true") && error(3).is_some(), "{plan}");
    assert_eq!(server.get("/revisions").json().as_array().unwrap().len(), 1, "nothing is changed");
}

#[test]
fn a_body_that_is_too_large_is_refused_in_the_words_of_its_path() {
    let server = Server::start();
    let said = |path: &str| {
        let mut client = TcpStream::connect(server.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(client, "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n").unwrap();
        let mut said = String::new();
        client.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 413 "), "{said}");
        said.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert!(said("/plan").starts_with("{\"error\":\"request body is larger"));
    assert!(said("/streams").starts_with("request body is larger"));
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
    server.stop();
    std::fs::rename(server.path("s"), server.path("away")).unwrap();
    std::fs::create_dir(server.path("s")).unwrap();
    server.start_again();
    let said = server.get("/livez").json();
    let since = said["conditions"][0]["since"].as_str().unwrap_or_default();
    assert!(since.len() == "2000-01-01T00:00:00.000Z".len() && since.ends_with('Z'), "{said}");
    server.stop();
    std::fs::remove_dir(server.path("s")).unwrap();
    std::fs::rename(server.path("away"), server.path("s")).unwrap();
    server.start_again();
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

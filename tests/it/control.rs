//! The control plane beyond the Streams API.

use crate::harness::{ENDLESS, PATIENCE, Server, copy_stream, eventually};
use serde_json::json;

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
    let missing = "input: { file: { paths: [ nowhere.txt ] } }\noutput: { drop: {} }\n";
    server.done("POST", "/streams/missing", missing);
    let degraded = eventually("the input is not connected", PATIENCE, || {
        let status = server.get("/streams/missing/status").json();
        (status["phase"] == "Degraded").then_some(status)
    });
    assert_eq!(degraded["last_error"]["path"], "input");
    assert_eq!(server.status("missing")["phase"], "Degraded", "the list says the same");
    let whole = server.get("/streams/missing").json();
    assert_eq!(
        (&whole["text"], &whole["owner"], &whole["generation"]),
        (&json!(missing), &json!("api"), &json!(1))
    );
    assert_eq!(whole["status"]["phase"], "Degraded");
}

#[test]
fn what_is_wrong_with_a_request_is_said_in_json() {
    let server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    for (method, path, status, part) in [
        ("GET", "/streams/b/status", 404, "stream 'b'"),
        ("GET", "/streams/a/status?colour=red", 400, "'colour'"),
        ("POST", "/streams/a/status", 405, "GET"),
    ] {
        let answer = server.send(method, path, None);
        let said = answer.json()["error"].as_str().unwrap_or_default().to_owned();
        assert!(answer.status == status && said.contains(part), "{method} {path}: {} {said}", answer.status);
    }
}

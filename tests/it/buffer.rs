//! The `sqlite` buffer under crashes: what was acknowledged is delivered.

use crate::harness::{PATIENCE, Server, eventually};
use std::collections::BTreeSet;

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::start();
    let stream = format!(
        "input: {{ http_server: {{}} }}\nbuffer: {{ sqlite: {{ path: {} }} }}\noutput: {{ http_server: {{ timeout: 1s }} }}",
        server.path("buffer.db").display()
    );
    server.done("POST", "/streams/a", &stream);
    let mut owed = BTreeSet::new();
    for round in 0..3 {
        for number in 0..20 {
            let text = format!("{round}-{number}");
            server.done("POST", "/a/post", &text);
            owed.insert(text);
        }
        // Some are delivered; the kill comes while others are under way.
        for _ in 0..7 {
            owed.remove(&server.done("GET", "/a/get", "").text());
        }
        server.kill();
        server.start_again();
        eventually("the stream runs", PATIENCE, || server.is_active("a").then_some(()));
    }
    assert!(owed.len() >= 60 - 21, "{owed:?}");
    while !owed.is_empty() {
        let answer = server.get("/a/get");
        assert_eq!(answer.status, 200, "lost: {owed:?}\n{}", server.log());
        owed.remove(&answer.text());
    }
    let counted = server.get("/metrics").text();
    assert!(counted.contains("buffer_received{"), "{counted}");
}

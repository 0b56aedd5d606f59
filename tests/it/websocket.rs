//! Websockets from one stream to another, through the server.

use crate::harness::{PATIENCE, Server, Setup, eventually};

#[test]
fn messages_travel_both_ways_and_a_limit_loses_none() {
    let limit = "rate_limit_resources: [ { label: slow, local: { count: 1, interval: 100ms } } ]".to_owned();
    let server = Server::with(Setup { config: limit, ..Setup::default() });
    let path = |name: &str| server.path(name).display().to_string();
    let stream = format!(
        "input:
  http_server: {{ ws_welcome_message: welcome, ws_rate_limit_message: slower, rate_limit: slow }}
pipeline:
  processors:
    - mapping: 'root = \"re: \" + content().string()'
    - sync_response: {{}}
output:
  file: {{ path: {}, codec: lines }}",
        path("in")
    );
    server.done("POST", "/streams/server", &stream);
    let url = format!("ws://{}/server/post/ws", server.address());
    let client = format!(
        "input:
  websocket: {{ url: '{url}', open_message: knock, open_message_type: text }}
output:
  file: {{ path: {}, codec: lines }}",
        path("back")
    );
    server.done("POST", "/streams/client", &client);
    let lines = |name: &str| server.read(name).lines().map(str::to_owned).collect::<Vec<_>>();
    eventually("the client is answered", PATIENCE, || {
        (lines("back") == ["welcome", "re: knock"]).then_some(())
    });
    let sender = format!(
        "input:
  generate: {{ count: 5, interval: '', mapping: 'root = \"m%v\".format(counter())' }}
output:
  websocket: {{ url: '{url}' }}"
    );
    server.done("POST", "/streams/sender", &sender);
    let wanted = ["re: knock", "re: m1", "re: m2", "re: m3", "re: m4", "re: m5"];
    eventually("all are taken", PATIENCE, || (lines("in") == wanted).then_some(()));
    // A websocket is no reason to let a stream wait for its end.
    server.done("DELETE", "/streams/server", "");
    assert_eq!(server.get("/server/post/ws").status, 503);
}

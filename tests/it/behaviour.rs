//! What the server does with bad input, with a stream that misbehaves beside good ones, and with a place it cannot use.

use crate::harness::{ENDLESS, PATIENCE, Process, Server, WEIR, eventually};
use crate::http;
use std::fs::{self, File};
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

/// How soon a request must be answered while other streams keep the processors busy.
const PROMPT: Duration = Duration::from_secs(10);

fn uptime(server: &Server, id: &str) -> f64 {
    server.status(id)["uptime"]
        .as_f64()
        .unwrap_or_else(|| panic!("{id} has no uptime: {}", server.status(id)))
}

/// A member of a whole set: an endless stream as JSON.
fn member(mapping: &str) -> serde_json::Value {
    serde_json::json!({
        "input": { "generate": { "interval": "100ms", "mapping": mapping } },
        "output": { "drop": {} },
    })
}

fn config_of(server: &Server, id: &str) -> serde_json::Value {
    server.done("GET", &format!("/streams/{id}"), "").json()["config"].clone()
}

/// A server with the streams `kept`, `changed` and `gone`.
fn with_a_set() -> Server {
    let server = Server::start();
    let set = serde_json::json!({ "kept": member("root = 1"), "changed": member("root = 1"), "gone": member("root = 1") });
    server.done("POST", "/streams", &set.to_string());
    server
}

/// Posts a set with a bad member `culprit`; wants that nothing changes, and gives back the answer.
fn refuses_whole(server: &Server, bad: &serde_json::Value) -> String {
    let ages = ["kept", "changed", "gone"].map(|id| uptime(server, id));
    let set = serde_json::json!({
        "kept": member("root = 1"), "changed": member("root = 2"), "new": member("root = 3"), "culprit": bad,
    });
    let answer = server.post("/streams", &set.to_string());
    assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
    is_the_set(server);
    for (id, age) in ["kept", "changed", "gone"].into_iter().zip(ages) {
        assert!(uptime(server, id) >= age, "{bad}: {id} was restarted");
    }
    answer.text()
}

fn is_the_set(server: &Server) {
    let all = server.get("/streams").json();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["changed", "gone", "kept"]);
    for id in ["kept", "changed", "gone"] {
        assert_eq!(config_of(server, id)["input"]["generate"]["mapping"], "root = 1", "{id}");
    }
}

/// Members that lint well and cannot be built.
fn unbuildable() -> [serde_json::Value; 3] {
    let generate = |fields| serde_json::json!({ "generate": fields });
    let good = serde_json::json!({ "mapping": "root = 1" });
    let bad = serde_json::json!({ "mapping": "root = 1", "interval": "sometimes" });
    [
        serde_json::json!({ "input": generate(good), "output": { "resource": "missing" } }),
        serde_json::json!({ "input": generate(bad), "output": { "drop": {} } }),
        serde_json::json!({ "input": { "generate": { "mapping": 5, "count": "x" } }, "output": { "drop": {} } }),
    ]
}

#[test]
fn a_bad_member_of_a_whole_set_changes_nothing_and_is_named() {
    let mut server = with_a_set();
    let bad = [
        serde_json::json!({ "input": { "no_such_input": {} }, "output": { "drop": {} } }),
        serde_json::json!({ "input": { "generate": { "mapping": "root = (" } }, "output": { "drop": {} } }),
        serde_json::json!({ "input": { "generate": { "mapping": "root = 1", "odd": 1 } }, "output": { "drop": {} } }),
        serde_json::json!("no config"),
    ];
    for bad in bad {
        let said = refuses_whole(&server, &bad);
        assert!(said.contains("culprit"), "{bad}: the member is not named: {said}");
    }
    for bad in unbuildable() {
        refuses_whole(&server, &bad);
    }
    // Nothing of it was stored either.
    server.kill();
    server.start_again();
    is_the_set(&server);
}

#[test]
fn a_member_of_a_whole_set_that_cannot_be_built_is_named() {
    let server = with_a_set();
    for bad in unbuildable() {
        let said = refuses_whole(&server, &bad);
        assert!(said.contains("culprit"), "{bad}: the member is not named: {said}");
    }
}

#[test]
fn an_unchanged_stream_of_a_whole_set_is_untouched() {
    let server = Server::start();
    let first = serde_json::json!({ "same": member("root = 1"), "changed": member("root = 1"), "gone": member("root = 1") });
    server.done("POST", "/streams", &first.to_string());
    eventually("the streams have an age", PATIENCE, || (uptime(&server, "changed") > 0.3).then_some(()));
    let (old, asked) = (uptime(&server, "same"), Instant::now());
    let second = serde_json::json!({ "same": member("root = 1"), "changed": member("root = 2"), "new": member("root = 1") });
    server.done("POST", "/streams", &second.to_string());
    let all = server.get("/streams").json();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["changed", "new", "same"]);
    assert!(all["same"]["uptime"].as_f64().unwrap() >= old, "same was restarted: {all}");
    assert!(all["same"]["uptime"].as_f64() > all["new"]["uptime"].as_f64(), "{all}");
    let since = asked.elapsed().as_secs_f64();
    assert!(all["changed"]["uptime"].as_f64().unwrap() <= since, "changed was not restarted: {all}");
    assert_eq!(config_of(&server, "changed")["input"]["generate"]["mapping"], "root = 2");
}

#[test]
fn a_put_that_cannot_be_built_leaves_the_old_one_running() {
    let mut server = Server::start();
    let out = server.path("out");
    let good = format!(
        "input:\n  generate:\n    interval: 20ms\n    mapping: root = \"old\"\noutput:\n  file:\n    path: {}\n    codec: lines\n",
        out.display()
    );
    server.done("POST", "/streams/one", &good);
    let bad = [
        "input:\n  generate:\n    mapping: root = nope(\noutput:\n  drop: {}\n",
        "input:\n  generate:\n    mapping: root = 1\noutput:\n  resource: missing\n",
        "input:\n  generate:\n    interval: sometimes\n    mapping: root = 1\noutput:\n  drop: {}\n",
        "input:\n  no_such_input: {}\noutput:\n  drop: {}\n",
        "input: [",
        "",
    ];
    for bad in bad {
        let age = uptime(&server, "one");
        let answer = server.send("PUT", "/streams/one", Some(bad));
        assert_eq!(answer.status, 400, "{bad:?}: {}", answer.text());
        assert!(!answer.text().trim().is_empty(), "{bad:?}: nothing is said");
        assert!(uptime(&server, "one") >= age, "{bad:?}: the old one was restarted");
        let written = server.read("out").len();
        eventually("the old one writes on", PATIENCE, || (server.read("out").len() > written).then_some(()));
    }
    server.kill();
    server.start_again();
    assert_eq!(config_of(&server, "one")["input"]["generate"]["mapping"], "root = \"old\"");
}

#[test]
fn an_input_that_does_not_connect_is_named() {
    let server = Server::start();
    let missing = server.path("missing.csv");
    server.done("POST", "/streams/fine", ENDLESS);
    eventually("all are ready", PATIENCE, || (server.get("/ready").status == 200).then_some(()));
    let text = format!("input:\n  csv:\n    paths: [ {} ]\noutput:\n  drop: {{}}\n", missing.display());
    server.done("POST", "/streams/faulty", &text);
    let answer = eventually("/ready says it", PATIENCE, || {
        let answer = server.get("/ready");
        (answer.status == 503).then_some(answer)
    });
    assert!(answer.text().contains("faulty"), "{}", answer.text());
    assert!(!answer.text().contains("fine"), "{}", answer.text());
    let own = eventually("its own /ready says why", PATIENCE, || {
        let own = server.get("/faulty/ready");
        (own.status == 503 && own.text().contains("missing.csv")).then_some(own)
    });
    let input =
        own.json()["statuses"].as_array().unwrap().iter().find(|status| status["path"] == "input").cloned();
    assert_eq!(input.unwrap()["connected"], false, "{}", own.text());
    // Once the file is there, it connects by itself.
    fs::write(&missing, "a,b\n1,2\n").unwrap();
    eventually("all are ready again", PATIENCE, || (server.get("/ready").status == 200).then_some(()));
}

/// A server with an idle stream `victim`, and two streams whose one message keeps a processor busy for minutes.
fn with_two_spinning() -> Server {
    let server = Server::start();
    server.done("POST", "/streams/victim", ENDLESS);
    let spin = "input:\n  generate:\n    count: 1\n    interval: \"\"\n    mapping: root = 1\npipeline:\n  threads: 1\n  \
                processors:\n    - mapping: |\n        let few = range(0, 1000)\n        root = $few.map_each(a -> \
                $few.map_each(b -> $few.map_each(c -> c * a + b).sum()).sum()).sum()\noutput:\n  drop: {}\n";
    for number in 0..2 {
        server.done("POST", &format!("/streams/spin{number}"), spin);
    }
    let ticks = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    // A tick is a hundredth of a second of processor time.
    let before = ticks();
    eventually("they spin", PATIENCE, || (ticks() > before + 60).then_some(()));
    server
}

/// Wants an answer of 200 within `PROMPT`.
fn prompt(server: &Server, method: &str, path: &str, body: Option<&str>) {
    let asked = Instant::now();
    let answer = server.send(method, path, body);
    let took = asked.elapsed();
    assert_eq!(answer.status, 200, "{method} {path} after {took:?}: {}", answer.text());
    println!("beside two spinning mappings: {method} {path} in {took:?}");
    assert!(took < PROMPT, "{method} {path} took {took:?}");
}

fn both_spin(server: &Server) {
    for id in ["spin0", "spin1"] {
        assert!(server.is_active(id), "{id} did not spin to the end: {}", server.log());
    }
}

#[test]
fn spinning_mappings_do_not_stop_questions() {
    let server = with_two_spinning();
    for path in ["/ping", "/streams", "/streams/victim", "/stats", "/ping"] {
        prompt(&server, "GET", path, None);
    }
    both_spin(&server);
}

#[test]
fn spinning_mappings_do_not_stop_a_delete() {
    let server = with_two_spinning();
    prompt(&server, "DELETE", "/streams/victim", None);
    assert_eq!(server.get("/streams/victim").status, 404);
    // A new one starts, and one that spins can be deleted.
    prompt(&server, "POST", "/streams/new", Some(ENDLESS));
    both_spin(&server);
    let asked = Instant::now();
    server.done("DELETE", "/streams/spin0", "");
    println!("a spinning stream was deleted in {:?}", asked.elapsed());
}

/// Sends a body as it is.
fn send(server: &Server, method: &str, path: &str, body: &[u8]) -> http::Answer {
    http::request(server.address(), method, path, &[], Some(body), PATIENCE)
}

#[test]
fn bad_bodies_are_refused_clearly_and_the_server_lives() {
    let server = Server::start();
    server.done("POST", "/streams/fine", ENDLESS);
    let age = uptime(&server, "fine");
    let nested =
        |open: &str, close: &str| format!("{}1{}", open.repeat(5000), close.repeat(5000)).into_bytes();
    let utf8 = b"input:\n  generate:\n    mapping: root = \"\xff\xfe\"\noutput:\n  drop: {}\n".to_vec();
    // What is sent, its status, and what the answer must say.
    let bodies: [(&str, Vec<u8>, u16, &str); 12] = [
        ("invalid YAML", b"input: [ a, b\noutput: {}\n".to_vec(), 400, "line"),
        ("a tab for indentation", b"input:\n\tgenerate: {}\n".to_vec(), 400, "line"),
        ("invalid JSON", b"{\"input\": {\"generate\": ".to_vec(), 400, "line"),
        ("an unknown component", b"input:\n  nonesuch: {}\noutput:\n  drop: {}\n".to_vec(), 400, "nonesuch"),
        ("an unknown field", b"input:\n  generate:\n    odd: 1\noutput:\n  drop: {}\n".to_vec(), 400, "odd"),
        ("a list", b"[ 1, 2 ]".to_vec(), 400, ""),
        ("lists in lists", nested("[", "]"), 400, "limit"),
        ("objects in objects", nested("{\"x\":", "}"), 400, "limit"),
        ("invalid UTF-8", utf8, 400, "UTF-8"),
        ("an alias of nothing", b"input: *nothing\n".to_vec(), 400, "anchor"),
        ("zero bytes", vec![0; 64], 400, ""),
        ("65 MiB", vec![b'a'; 65 << 20], 413, "64 MiB"),
    ];
    for (what, body, status, part) in bodies {
        for (method, path) in [("POST", "/streams/one"), ("PUT", "/streams/fine"), ("POST", "/streams")] {
            let answer = send(&server, method, path, &body);
            assert_eq!(answer.status, status, "{what}: {method} {path}: {}", answer.text());
            let text = answer.text();
            // To a whole set, the keys of a single stream are the names of streams.
            let is_meant = path != "/streams" || !["nonesuch", "odd"].contains(&part);
            assert!(!is_meant || text.contains(part), "{what}: {method} {path}: {part:?} is not in {text:?}");
            assert!(!text.trim().is_empty() && text.len() < 4096, "{what}: {method} {path}: {text:?}");
            assert_eq!(server.get("/ping").status, 200, "{what}: {method} {path}");
        }
    }
    let all = server.get("/streams").json();
    assert_eq!(all.as_object().unwrap().keys().collect::<Vec<_>>(), ["fine"]);
    assert!(uptime(&server, "fine") >= age, "the stream that was there was restarted");
}

#[test]
fn odd_ids_are_refused_or_work_whole() {
    let mut server = Server::start();
    server.done("POST", "/streams/fine", ENDLESS);
    let (long, longer) = ("x".repeat(4000), "x".repeat(100_000));
    let mut accepted = Vec::new();
    let ids = [
        "%00",
        "%0a",
        "%0d%0aX:%20y",
        "%ff",
        "%",
        "%zz",
        "a%2Fb",
        "a/b/c",
        ".",
        "..",
        "%2e%2e",
        "%2e%2e%2fstate",
        "a%20b",
        "%C3%A4",
        "%E4%BD%A0",
        "a.b",
        "-",
        "_",
        "a:b",
        "a%22b",
        "a%5Cb",
        "a%3Fb",
        "%24%7BHOME%7D",
        &long,
        &longer,
    ];
    for id in ids {
        let shown = id.get(..id.len().min(20)).unwrap();
        let path = format!("/streams/{id}");
        let answer = server.post(&path, ENDLESS);
        assert!(answer.status == 200 || (400..500).contains(&answer.status), "{shown}: {}", answer.status);
        assert_eq!(server.get("/ping").status, 200, "{shown}");
        if answer.status == 200 {
            accepted.push(id);
        }
    }
    assert_eq!(
        server.get("/streams").json().as_object().unwrap().len(),
        accepted.len() + 1 - again(&accepted)
    );
    server.kill();
    server.start_again();
    // What was accepted is there after a restart, and can be changed and deleted under the same id.
    for id in &accepted {
        let shown = id.get(..id.len().min(20)).unwrap();
        let path = format!("/streams/{id}");
        for (method, body) in [("GET", None), ("PUT", Some(ENDLESS)), ("DELETE", None)] {
            let answer = server.send(method, &path, body);
            assert_eq!(answer.status, 200, "{method} {shown}: {}", answer.text());
        }
        assert_eq!(server.get(&path).status, 404, "{shown}");
    }
    assert_eq!(server.get("/streams").json().as_object().unwrap().keys().collect::<Vec<_>>(), ["fine"]);
    let shown: Vec<String> = accepted.iter().map(|id| id.chars().take(20).collect()).collect();
    println!("accepted ids: {shown:?}");
}

/// How many of the ids are another writing of one before; none may be accepted twice.
fn again(accepted: &[&str]) -> usize {
    usize::from(accepted.contains(&"..") && accepted.contains(&"%2e%2e"))
}

/// Starts a server that must not run; gives back what it said.
pub(crate) fn refused(server: &Server, config: &str, state: &str) -> String {
    let (config, said) = (server.write("refused.yaml", config), server.path("refused.log"));
    let log = File::create(&said).unwrap();
    let mut command = Command::new(WEIR);
    command.args(["streams", "-o"]).arg(config).arg("--state").arg(server.path(state));
    command.current_dir(server.path("")).stdout(log.try_clone().unwrap()).stderr(log);
    let status = Process::start(&mut command).end_within(PATIENCE);
    let text = fs::read_to_string(said).unwrap();
    let status = status.unwrap_or_else(|| panic!("it runs: {text}"));
    // A panic would be 101, a signal none.
    assert!(status.code().is_some_and(|code| code != 0 && code != 101), "{status}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// A service config that takes any port.
pub(crate) const ANY_PORT: &str = "http:\n  address: 127.0.0.1:0\n";

#[test]
fn a_state_folder_in_use_is_named() {
    let server = Server::start();
    server.done("POST", "/streams/fine", ENDLESS);
    let said = refused(&server, ANY_PORT, "state");
    assert!(said.contains(&server.path("state").display().to_string()), "the folder is not named: {said}");
    assert!(said.contains(&server.pid().to_string()), "the process is not named: {said}");
    // The one that uses it does not mind.
    server.done("POST", "/streams/more", ENDLESS);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named() {
    let server = Server::start();
    server.write("a_file", "not a folder");
    for state in ["a_file", "a_file/state"] {
        let said = refused(&server, ANY_PORT, state);
        assert!(said.contains(&server.path(state).display().to_string()), "{state} is not named: {said}");
    }
    assert_eq!(server.read("a_file"), "not a folder");
}

#[test]
fn a_port_in_use_is_named() {
    let server = Server::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = refused(&server, &format!("http:\n  address: {address}\n"), "other_state");
    assert!(said.contains(&address), "the address is not named: {said}");
}

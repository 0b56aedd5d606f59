//! `weir ctl` against a running server.

use crate::harness::{PATIENCE, Process, Server, Setup, WEIR, eventually, idle_stream};
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What it printed, on both outputs, and its exit code.
fn ctl_at(address: &str, server: &Server, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(WEIR);
    command.args(["ctl", "--server", address]).args(words).current_dir(server.path(""));
    let done = command.output().unwrap();
    let text = [done.stdout, done.stderr].concat();
    (done.status.code().unwrap(), String::from_utf8(text).unwrap())
}

fn ctl(server: &Server, words: &[&str]) -> (i32, String) {
    ctl_at(&server.address().to_string(), server, words)
}

fn lay(server: &Server, name: &str, mark: &str) {
    fs::create_dir_all(server.path("set")).unwrap();
    server.write(&format!("set/{name}.yaml"), idle_stream(mark));
}

#[test]
fn a_folder_is_applied_compared_and_written_out() {
    let server = Server::start();
    lay(&server, "a", "one");
    lay(&server, "b", "at ${HOME}");
    let apply = ["apply", "-f", "set"];
    assert_eq!(ctl(&server, &["diff", "-f", "set"]).0, 4, "all is new");
    assert_eq!(ctl(&server, &apply), (0, "stream a is created\nstream b is created\n".into()));
    assert_eq!(ctl(&server, &apply), (0, "stream a is unchanged\nstream b is unchanged\n".into()));
    assert_eq!(ctl(&server, &["diff", "-f", "set"]), (0, "0 changed, 2 unchanged\n".into()));
    lay(&server, "a", "two");
    let (code, said) = ctl(&server, &["diff", "-f", "set"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("-    mapping: root = \"one\"\n+    mapping: root = \"two\"\n"), "{said}");
    assert!(said.ends_with("update stream a, restarts\n1 changed, 1 unchanged\n"), "{said}");
    assert_eq!(ctl(&server, &["apply", "-f", "set", "--dry-run"]).0, 4);
    assert_eq!(ctl(&server, &apply), (0, "stream a is changed\nstream b is unchanged\n".into()));
    // A set is all there is.
    server.done("POST", "/streams/other", &idle_stream("x"));
    let (code, said) = ctl(&server, &["plan", "-f", "set"]);
    assert!(code == 0 && said.contains("delete stream other"), "{said}");
    assert_eq!(ctl(&server, &["apply", "-f", "set", "--prune", "--note", "by hand"]).0, 0);
    assert_eq!(server.get("/streams").json().as_object().unwrap().len(), 2);
    assert_eq!(server.get("/revisions?limit=1").json()[0]["note"], "by hand");
    server.done("POST", "/resources/cache/c", "memory: { default_ttl: 5m }");
    let (code, said) = ctl(&server, &["export", "out"]);
    assert_eq!((code, said.as_str()), (0, "3 files are in out\n"));
    assert_eq!(server.read("out/streams/b.yaml"), server.read("set/b.yaml"));
    assert!(server.read("out/resources/cache-c.yaml").starts_with("cache_resources:\n  - label: c\n"));
    assert_eq!(
        ctl(&server, &["diff", "-f", "out/streams", "--prune"]).0,
        0,
        "what is written out is what is there"
    );
}

#[test]
fn what_is_written_out_is_what_there_is_and_comes_back() {
    let server = Server::start();
    for id in ["%C3%A9", "a%20b.c", "x_benthos_test", "gone"] {
        server.done("POST", &format!("/streams/{id}"), &format!("# {id}\n{}\n", idle_stream(id)));
    }
    // One that has ended does not run again when it is applied.
    let ended = "input: { generate: { count: 1, mapping: root = 1 } }\noutput: { drop: {} }";
    server.done("POST", "/streams/ended", ended);
    assert_eq!(ctl(&server, &["wait", "ended", "--for", "completed"]).0, 0);
    server.done("POST", "/resources/cache/c", "label: c\nmemory: { default_ttl: 5m } # why");
    server.done("POST", "/resources/rate_limit/r%20s", "local: { count: 1 }");
    fs::create_dir_all(server.path("out/streams")).unwrap();
    server.write("out/streams/mine.txt", "x");
    assert_eq!(ctl(&server, &["export", "out"]), (0, "7 files are in out\n".into()));
    assert!(server.read("out/resources/cache-c.yaml").contains("# why"));
    let same = (0, "0 changed, 7 unchanged\n".to_owned());
    assert_eq!(ctl(&server, &["diff", "-f", "out"]), same);
    let revision = server.get("/revisions?limit=1").json();
    let (code, said) = ctl(&server, &["apply", "-f", "out"]);
    assert!(
        code == 0 && said.lines().count() == 7 && said.lines().all(|line| line.ends_with(" is unchanged")),
        "{said}"
    );
    assert_eq!(server.get("/revisions?limit=1").json(), revision);
    assert_eq!(ctl(&server, &["diff", "-f", "out", "--prune"]).0, 0);
    // What is gone is gone from the folder too; what others put there stays.
    server.done("DELETE", "/streams/gone", "");
    server.done("DELETE", "/resources/cache/c", "");
    server.write("out/streams/mine.yaml", idle_stream("mine"));
    server.write(
        "out/exported.list",
        server.read("out/exported.list") + "../service.yaml\nstreams/never.yaml\n",
    );
    let (code, said) = ctl(&server, &["-o", "json", "export", "out"]);
    assert!(code == 0 && said.contains("streams/%C3%A9.yaml"), "{said}");
    let there = |name: &str| server.path(name).exists();
    assert!(!there("out/streams/gone.yaml") && !there("out/resources/cache-c.yaml"));
    assert!(there("out/streams/mine.yaml") && there("out/streams/mine.txt") && there("service.yaml"));
    let (code, said) = ctl(&server, &["diff", "-f", "out"]);
    assert!(code == 4 && said.ends_with("create stream mine\n1 changed, 5 unchanged\n"), "{said}");
    // All of it comes to life elsewhere: resources first, as they were written.
    let uses = "input:\n  generate: { interval: 1h, mapping: root = 1 }\npipeline:\n  processors:\n    - rate_limit: { resource: r s }\noutput: { drop: {} }\n";
    server.write("out/streams/a.yaml", uses);
    let other = Server::start();
    let (code, said) = ctl_at(&other.address().to_string(), &server, &["apply", "-f", "out"]);
    assert!(code == 0 && said.starts_with("rate_limit r s is created\nstream a is created\n"), "{said}");
    assert_eq!(other.get("/resources/rate_limit/r%20s").json()["config"]["local"]["count"], 1);
    assert_eq!(other.get("/streams").json().as_object().unwrap().len(), 6);
    server.write("set.yaml", "cache_resources: [ { label: a, memory: {} }, { label: b, memory: {} } ]");
    let json = ctl(&server, &["-o", "json", "apply", "-f", "set.yaml"]).1;
    let told: Vec<serde_json::Value> =
        serde_json::Deserializer::from_str(&json).into_iter().map(Result::unwrap).collect();
    let made = |one: &serde_json::Value| {
        (one["kind"] == "cache") && one["done"] == "created" && one["revision"].as_u64() > Some(0)
    };
    assert!(told.len() == 2 && told.iter().all(made) && told[1]["id"] == "b", "{json}");
}

#[test]
fn streams_of_files_are_changed_for_a_time_and_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("streams")).unwrap();
    fs::write(folder.path().join("streams/a.yaml"), idle_stream("file")).unwrap();
    let args = ["--watcher", "--files=strict", "streams"].map(str::to_owned).to_vec();
    let server = Server::inside(folder, Setup { args, ..Setup::default() });
    eventually("it runs", PATIENCE, || server.is_active("a").then_some(()));
    lay(&server, "a", "api");
    let (code, said) = ctl(&server, &["apply", "-f", "set"]);
    assert!(code == 1 && said.contains("override"), "{said}");
    let with = |words: &[&str]| {
        ctl(&server, &[words, &["--override", "1h", "--reason", "a test", "--note", "noted"]].concat())
    };
    assert_eq!(with(&["apply", "-f", "set"]), (0, "stream a is changed\n".into()));
    assert_eq!(server.get("/drift").json()[0]["override"]["reason"], "a test");
    for (words, done) in [
        (&["pause", "a"][..], "paused"),
        (&["resume", "a"], "resumed"),
        (&["restart", "a"], "restarted"),
        (&["rollback", "a", "--to", "1", "--probation", "1s"], "rolled back"),
        (&["revert", "a"], "what its file says"),
        (&["delete", "a"], "removed"),
    ] {
        assert_eq!(with(words), (0, format!("stream a is {done}\n")), "{words:?}");
        assert_eq!(server.get("/revisions?limit=1").json()[0]["note"], "noted", "{words:?}");
    }
    let (code, said) = ctl(&server, &["pause", "a", "--override", "1h"]);
    assert!(code == 1 && said.contains("--reason"), "{said}");
}

#[test]
fn lint_errors_are_taken_where_that_is_asked_for() {
    let server = Server::start();
    server.write("a.yaml", idle_stream("x") + "nonsense: true\n");
    assert_eq!(ctl(&server, &["apply", "-f", "a.yaml"]).0, 1);
    assert_eq!(ctl(&server, &["apply", "-f", "a.yaml", "--chilled"]), (0, "stream a is created\n".into()));
}

#[test]
fn whoever_follows_goes_on_when_the_server_is_back() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let own_http = Some(format!("http:\n  address: 127.0.0.1:{port}\n"));
    let mut server = Server::with(Setup { own_http, ..Setup::default() });
    let out = fs::File::create(server.path("events")).unwrap();
    let mut command = Command::new(WEIR);
    command.args(["ctl", "--server", &server.address().to_string(), "events", "-f"]).stdout(out);
    let mut follower = Process::start(command.stderr(Stdio::null()));
    let told = |server: &Server, part: &str| {
        eventually(part, PATIENCE, || server.read("events").contains(part).then_some(()));
    };
    std::thread::sleep(Duration::from_millis(500));
    server.done("POST", "/streams/a", &idle_stream("x"));
    told(&server, "\"stream\":\"a\"");
    server.stop();
    assert!(follower.end_within(Duration::from_secs(1)).is_none(), "it waits for the server");
    server.start_again();
    server.done("POST", "/streams/b", &idle_stream("x"));
    told(&server, "\"stream\":\"b\"");
}

#[test]
fn a_terminal_shows_how_far_it_is() {
    let server = Server::start();
    lay(&server, "a", "one");
    let apply = format!("{WEIR} ctl --server {} apply -f set", server.address());
    let mut command = Command::new("script");
    command.args(["-qec", &apply, "/dev/null"]).current_dir(server.path("")).stdin(Stdio::null());
    let said = String::from_utf8(command.output().unwrap().stdout).unwrap();
    assert_eq!(said, "\r\x1b[Kstream 'a', 1 of 1\r\x1b[Kstream a is created\r\n");
}

#[test]
fn certificates_are_believed_and_shown() {
    let place = tempfile::tempdir().unwrap();
    crate::alone::certificate(place.path());
    let http = "http:\n  address: 127.0.0.1:0\n  cert_file: cert.pem\n  key_file: key.pem\n  client_ca_file: cert.pem\n";
    let server = Server::inside(place, Setup { own_http: Some(http.into()), ..Setup::default() });
    let address = format!("localhost:{}", server.address().port());
    let get = |words: &[&str]| ctl_at(&address, &server, &[&["get"], words].concat());
    let shown = ["--cert-file", "cert.pem", "--key-file", "key.pem"];
    let (code, said) = get(&[&["--ca-file", "cert.pem"], &shown[..]].concat());
    assert!(code == 0 && said.starts_with("ID"), "{said}");
    assert_eq!(get(&["--ca-file", "cert.pem"]).0, 2, "no certificate is shown");
    assert_eq!(get(&shown).0, 2, "the server's is not believed");
    let (code, said) = get(&["--cert-file", "cert.pem"]);
    assert!(code == 1 && said.contains("--key-file"), "{said}");
}

#[test]
fn streams_are_steered_and_exit_codes_say_how_it_went() {
    let server = Server::start();
    server.done("POST", "/streams/a", &idle_stream("one"));
    let table = [
        (&["wait", "a", "--for", "running"][..], 0, "stream a is Running"),
        (&["get"], 0, "ID  PHASE"),
        (&["get", "streams", "-o", "json"], 0, "\"phase\": \"Running\""),
        (&["get", "streams", "a"], 0, "root = \"one\""),
        (&["get", "resources"], 0, "TYPE  ID"),
        (&["status", "a", "-o", "yaml"], 0, "restarts: 0"),
        (&["pause", "a"], 0, "stream a is paused"),
        (&["wait", "a", "--timeout", "300ms"], 3, "stream a is Paused after 300ms"),
        (&["wait", "a", "--for", "walking"], 1, "Running, Degraded"),
        (&["status", "a"], 0, "phase       Paused\n"),
        (&["resume", "a"], 0, "stream a is resumed"),
        (&["restart", "a"], 0, "stream a is restarted"),
        (&["history", "a"], 0, "GENERATION  REVISION"),
        (&["rollback", "a", "--to", "9"], 1, "9"),
        (&["events"], 0, "\"stream\":\"a\""),
        (&["pause", "nobody", "a"], 1, "stream nobody: "),
        (&["-o", "json", "restart", "a"], 0, "\"done\": \"restarted\""),
        (&["-o", "json", "delete", "a"], 0, "\"id\": \"a\""),
        (&["status", "a"], 1, "not found"),
        (&["get", "things"], 1, "it is streams or resources"),
        (&["apply", "-f", "nowhere"], 1, "nowhere"),
    ];
    for (words, code, part) in table {
        let (found, said) = ctl(&server, words);
        assert!(found == code && said.contains(part), "{words:?}: {found}, {said}");
    }
    let ended = "input: { generate: { count: 1, mapping: root = 1 } }\noutput: { drop: {} }";
    server.done("POST", "/streams/b", ended);
    assert_eq!(ctl(&server, &["wait", "b", "--for", "COMPLETED"]).0, 0);
    let (code, said) = ctl(&server, &["wait", "b"]);
    assert!(code == 1 && said.contains("stream b is Completed, and will not be running"), "{said}");
    let (code, said) = ctl_at("127.0.0.1:1", &server, &["get"]);
    assert!(code == 2 && said.contains("127.0.0.1:1"), "{said}");
}

#[test]
fn a_token_comes_from_the_environment() {
    let place = tempfile::tempdir().unwrap();
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    fs::write(place.path().join("tokens"), format!("ann, {abc}, read\n")).unwrap();
    let args = vec!["--auth-file".into(), "tokens".into()];
    let server = Server::inside(place, Setup { args, ..Setup::default() });
    let run = |token: Option<&str>| {
        let mut command = Command::new(WEIR);
        command.args(["ctl", "get"]).env("WEIR_SERVER", format!("http://{}", server.address()));
        command.env_remove("WEIR_TOKEN").envs(token.map(|token| ("WEIR_TOKEN", token)));
        command.status().unwrap().code().unwrap()
    };
    assert_eq!((run(None), run(Some("abc"))), (1, 0));
}

#[test]
fn a_shell_completes_verbs_flags_and_the_ids_of_what_runs() {
    let server = Server::start();
    for id in ["one", "other", "two"] {
        server.done("POST", &format!("/streams/{id}"), &idle_stream(id));
    }
    server.done("POST", "/resources/cache/c", "memory: {}");
    let place = std::path::Path::new(WEIR).parent().unwrap();
    let path = format!("{}:{}", place.display(), std::env::var("PATH").unwrap());
    for (words, expected) in [
        ("ctl pau", "pause"),
        ("streams --max-res", "--max-restarts"),
        ("ctl pause o", "one other"),
        ("ctl status t", "two"),
        ("ctl get resources c", "cache/c"),
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        let last = words.last().unwrap();
        let script = format!(
            "source <(weir completions bash); COMP_WORDS=(weir {}); COMP_CWORD={}; _clap_complete_weir weir {last}; \
             echo ${{COMPREPLY[@]}}",
            words.join(" "),
            words.len()
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).env("PATH", &path).env("WEIR_SERVER", server.address().to_string());
        let done = shell.output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        let said: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(said.join(" "), expected, "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

#[test]
fn resources_that_use_one_another_come_back_and_hidden_secrets_do_not() {
    let server = Server::start();
    server.done("POST", "/resources/cache/base", "memory: {}");
    server.done("POST", "/resources/cache/alpha", "multilevel: [ base, base ]");
    server.done("POST", "/resources/processor/p", "cache: { resource: alpha, operator: get, key: k }");
    let user = "input: { generate: { mapping: root = 1, interval: 1h } }\n\
                pipeline: { processors: [ { resource: p } ] }\noutput: { drop: {} }\n";
    server.done("POST", "/streams/a", user);
    assert_eq!(ctl(&server, &["export", "out"]).0, 0);
    let other = Server::start();
    let out = server.path("out").display().to_string();
    let (code, said) = ctl(&other, &["apply", "-f", &out]);
    assert!(code == 0 && said.matches("is created").count() == 4, "{code}: {said}");
    assert!(other.is_active("a"));

    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let place = tempfile::tempdir().unwrap();
    let def = "cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";
    fs::write(place.path().join("tokens"), format!("eye, {abc}, read\nann, {def}, write\n")).unwrap();
    let args = vec!["--auth-file".into(), "tokens".into()];
    let server = Server::inside(place, Setup { args, ..Setup::default() });
    let secret = "input: { inproc: x }\noutput: { http_client: { url: 'http://h/', basic_auth: { enabled: true, \
                  username: u, password: hidden-from-eyes } } }";
    fs::create_dir_all(server.path("set")).unwrap();
    server.write("set/k.yaml", secret);
    let as_ = |token: &str, words: &[&str]| ctl(&server, &[&["--token", token], words].concat());
    assert_eq!(as_("def", &["apply", "-f", "set"]).0, 0);
    let (code, said) = as_("abc", &["export", "shown"]);
    assert!(code == 1 && said.contains("stream k: its secrets are hidden"), "{said}");
    assert_eq!(as_("def", &["export", "whole"]).0, 0);
    assert!(server.read("whole/streams/k.yaml").contains("hidden-from-eyes"));
    server.write("set/k.yaml", secret.replace("hidden-from-eyes", "'!!!SECRET_SCRUBBED!!!'"));
    let (code, said) = as_("def", &["apply", "-f", "set"]);
    assert!(code == 1 && said.contains("stands for a secret"), "{said}");
}

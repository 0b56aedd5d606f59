//! `weir ctl` against a running server.

use crate::harness::{Server, Setup, WEIR, idle_stream};
use std::fs;
use std::process::Command;

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
        (&["resume", "a"], 0, "stream a is resumed"),
        (&["restart", "a"], 0, "stream a is restarted"),
        (&["history", "a"], 0, "GENERATION  REVISION"),
        (&["rollback", "a", "--to", "9"], 1, "9"),
        (&["events"], 0, "\"stream\":\"a\""),
        (&["pause", "nobody", "a"], 1, "stream nobody: "),
        (&["delete", "a"], 0, "stream a is removed"),
        (&["status", "a"], 1, "not found"),
        (&["get", "things"], 1, "it is streams or resources"),
        (&["apply", "-f", "nowhere"], 1, "nowhere"),
    ];
    for (words, code, part) in table {
        let (found, said) = ctl(&server, words);
        assert!(found == code && said.contains(part), "{words:?}: {found}, {said}");
    }
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

//! State folders that cannot be used as they should be: unwritable, full, damaged, or of a newer program.

use crate::behaviour::{ANY_PORT, refused};
use crate::harness::{ENDLESS, PATIENCE, Server, eventually, idle_stream};
use std::fs;
use std::path::Path;

/// The mapping of a stream made by `idle_stream`.
fn mapping(server: &Server, id: &str) -> serde_json::Value {
    server.done("GET", &format!("/streams/{id}"), "").json()["config"]["input"]["generate"]["mapping"].clone()
}

/// A stopped server that has run `one` and `flow`.
fn with_a_past() -> Server {
    let mut server = Server::start();
    server.done("POST", "/streams/one", &idle_stream("kept"));
    server.done("POST", "/streams/flow", ENDLESS);
    server.stop();
    server
}

/// Starts a server whose calls `call` on `path` fail as `fault` says.
fn start_with_fault(server: &mut Server, path: &str, fault: &str) {
    // A path is opened as it was given, and an open file is known by its whole path.
    let (whole, fault) = (server.path(path).display().to_string(), format!("inject={fault}"));
    server.start_through(&[
        "strace",
        "-f",
        "-qq",
        "--seccomp-bpf",
        "-o",
        "/dev/null",
        "-P",
        path,
        "-P",
        &whole,
        "-e",
        &fault,
    ]);
}

#[test]
fn a_folder_that_cannot_be_written_runs_the_last_set_and_refuses_changes() {
    for (path, fault, said) in [
        ("state/lock", "openat:error=EROFS", "cannot be written"),
        ("state/probe", "openat:error=EACCES", "cannot be written"),
        ("state/probe", "write:error=ENOSPC", "full"),
    ] {
        let mut server = with_a_past();
        start_with_fault(&mut server, path, fault);
        eventually("the last set runs", PATIENCE, || server.is_active("flow").then_some(()));
        assert_eq!(mapping(&server, "one"), "root = \"kept\"", "{fault}");
        for (method, id, body) in
            [("PUT", "one", Some(ENDLESS)), ("POST", "new", Some(ENDLESS)), ("DELETE", "flow", None)]
        {
            let answer = server.send(method, &format!("/streams/{id}"), body);
            assert_eq!(answer.status, 507, "{fault}: {method} {id}: {}", answer.text());
            let text = answer.text();
            assert!(text.contains("state") && text.contains(said), "{fault}: {method} {id}: {text}");
        }
        assert!(server.is_active("flow") && server.status("new").is_null(), "{fault}");
        server.kill();
        server.start_through(&[]);
        server.done("PUT", "/streams/one", &idle_stream("changed"));
    }
}

#[test]
fn a_disk_that_fills_up_refuses_changes_until_there_is_room() {
    let mut server = Server::start();
    server.kill();
    // The third write to the journal finds no room, and so do the two that follow.
    start_with_fault(&mut server, "state/journal/0000000001", "write:error=ENOSPC:when=3..5");
    let statuses: Vec<u16> = (0..8)
        .map(|step| server.send("POST", &format!("/streams/s{step}"), Some(&idle_stream("there"))).status)
        .collect();
    assert_eq!(statuses, [200, 200, 507, 507, 507, 200, 200, 200], "{}", server.log());
    let wanted = ["s0", "s1", "s5", "s6", "s7"];
    let ids = |server: &Server| -> Vec<String> {
        server.get("/streams").json().as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(ids(&server), wanted);
    server.kill();
    server.start_through(&[]);
    assert_eq!(ids(&server), wanted);
}

#[test]
fn a_folder_of_a_newer_version_is_left_alone() {
    let server = with_a_past();
    server.write("state/format", "weir state 99\n");
    let before = fs::read(server.path("state/journal/0000000001")).unwrap();
    let said = refused(&server, ANY_PORT, "state");
    assert!(said.contains(&server.path("state").display().to_string()), "the folder is not named: {said}");
    assert!(said.contains("99"), "the version is not named: {said}");
    assert_eq!(server.read("state/format"), "weir state 99\n");
    assert_eq!(fs::read(server.path("state/journal/0000000001")).unwrap(), before);
}

/// A kind of damage, by name.
type Damage = (&'static str, fn(&Path));

const JOURNAL_DAMAGES: [Damage; 5] = [
    ("cut to half", |path| {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("empty", |path| fs::write(path, "").unwrap()),
    ("a byte flipped", |path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        fs::write(path, bytes).unwrap();
    }),
    ("all zeroes", |path| fs::write(path, vec![0; fs::read(path).unwrap().len()]).unwrap()),
    ("deleted", |path| fs::remove_file(path).unwrap()),
];

#[test]
fn a_damaged_journal_loses_nothing_that_sled_has() {
    for (name, damage) in JOURNAL_DAMAGES {
        let mut server = with_a_past();
        damage(&server.path("state/journal/0000000001"));
        server.start_again();
        assert_eq!(mapping(&server, "one"), "root = \"kept\"", "{name}");
        eventually("the last set runs", PATIENCE, || server.is_active("flow").then_some(()));
        // What is answered from now on is kept, too.
        server.done("PUT", "/streams/one", &idle_stream("changed"));
        server.kill();
        server.start_again();
        assert_eq!(mapping(&server, "one"), "root = \"changed\"", "{name}");
    }
}

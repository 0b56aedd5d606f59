//! What survives: kill -9 under load, the first stream of the README, completed runs, and damage to the sled folder.

use crate::harness::{ENDLESS, PATIENCE, Server, eventually, idle_stream, numbered_lines, slow_copy};
use crate::http;
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How often the server is killed.
const KILLS: usize = 30;
const WRITERS: usize = 3;
const IDS_EACH: usize = 3;
/// How soon a killed server must answer again.
const UP_AGAIN: Duration = Duration::from_secs(10);
const SHARED: &str = "shared";

/// The mark of a stream that is there.
pub(crate) fn mark_of(server: &Server, id: &str) -> Option<String> {
    let answer = server.get(&format!("/streams/{id}"));
    if answer.status == 404 {
        return None;
    }
    assert_eq!(answer.status, 200, "GET {id}: {}", answer.text());
    let mapping = answer.json()["config"]["input"]["generate"]["mapping"].as_str().map(str::to_owned);
    let mapping = mapping.unwrap_or_else(|| panic!("{id} has another config: {}", answer.text()));
    Some(mapping.trim_start_matches("root = ").trim_matches('"').to_owned())
}

/// An id that one writer alone writes: what was last answered, and what was on its way when the server was killed.
struct Own {
    id: String,
    known: Option<String>,
    #[expect(clippy::option_option, reason = "nothing on its way, or a deletion, or a mark")]
    unanswered: Option<Option<String>>,
}

/// A write to the id that all writers share.
struct SharedWrite {
    mark: String,
    begun: Instant,
    /// When it was answered; for one that was not, when the server was dead.
    ended: Instant,
    answered: bool,
}

pub(crate) struct Writer {
    own: Vec<Own>,
    shared: Vec<SharedWrite>,
    name: String,
    step: usize,
}

impl Writer {
    pub(crate) fn new(number: usize) -> Self {
        let own = |at| Own { id: format!("w{number}-{at}"), known: None, unanswered: None };
        Self {
            own: (0..IDS_EACH).map(own).collect(),
            shared: Vec::new(),
            name: format!("w{number}"),
            step: number,
        }
    }

    /// Writes until the server is gone; a 507 or any other refusal is a fault.
    pub(crate) fn run(&mut self, address: SocketAddr, answered: &AtomicUsize) {
        loop {
            self.step += 1;
            let mark = format!("{} {}", self.name, self.step);
            let (text, at) = (idle_stream(&mark), self.step % (IDS_EACH + 1));
            let begun = Instant::now();
            let Some(own) = self.own.get_mut(at) else {
                let answer = send(address, "PUT", SHARED, Some(&text));
                let done = answer == 200;
                self.shared.push(SharedWrite { mark, begun, ended: Instant::now(), answered: done });
                if !done {
                    assert_eq!(answer, 0, "PUT {SHARED}");
                    return;
                }
                answered.fetch_add(1, Ordering::Relaxed);
                continue;
            };
            let (method, wanted) = match (&own.known, self.step % 5) {
                (None, _) => ("POST", Some(mark)),
                (Some(_), 0 | 1) => ("DELETE", None),
                _ => ("PUT", Some(mark)),
            };
            match send(address, method, &own.id, wanted.as_ref().map(|_| text.as_str())) {
                200 => own.known = wanted,
                0 => {
                    own.unanswered = Some(wanted);
                    return;
                }
                status => panic!("{method} {}: {status}", own.id),
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The ids that must be there, as far as was answered.
    pub(crate) fn there(&self) -> impl Iterator<Item = &str> {
        self.own.iter().filter(|own| own.known.is_some()).map(|own| own.id.as_str())
    }

    /// Compares the restarted server with what was answered, and goes on from what is there.
    pub(crate) fn check(&mut self, server: &Server, round: usize) {
        for own in &mut self.own {
            let found = mark_of(server, &own.id);
            let unanswered = own.unanswered.take();
            let allowed = found == own.known || Some(&found) == unanswered.as_ref();
            assert!(
                allowed,
                "round {round}: {} is {found:?}, answered was {:?}, on its way was {unanswered:?}",
                own.id, own.known
            );
            own.known = found;
        }
    }
}

pub(crate) fn send(address: SocketAddr, method: &str, id: &str, body: Option<&str>) -> u16 {
    http::request(address, method, &format!("/streams/{id}"), &[], body.map(str::as_bytes), PATIENCE).status
}

/// What is stored of the shared id must not have ended before an answered write to it began.
pub(crate) fn check_shared(server: &Server, writers: &[Writer], first: &str, round: usize) {
    let found = mark_of(server, SHARED).unwrap_or_else(|| panic!("round {round}: {SHARED} is lost"));
    let all = || writers.iter().flat_map(|writer| &writer.shared);
    let newest = all().filter(|write| write.answered).map(|write| write.begun).max();
    match all().find(|write| write.mark == found) {
        Some(write) => {
            assert!(
                newest.is_none_or(|newest| write.ended >= newest),
                "round {round}: {found} undoes a later write"
            );
        }
        None => {
            assert!(
                found == first && newest.is_none(),
                "round {round}: {SHARED} is {found}, which is undone"
            );
        }
    }
}

/// A stream that has not started yet is not active either.
fn completed(server: &Server, id: &str) -> Option<()> {
    (server.status(id)["phase"] == "Completed").then_some(())
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |data| data.len())
}

/// Every input line must be an output line; gives back how many lines were written in all.
fn assert_nothing_lost(input: &str, output: &str) -> usize {
    let there: HashSet<&str> = output.lines().collect();
    let lost: Vec<&str> = input.lines().filter(|line| !there.contains(line)).collect();
    assert!(lost.is_empty(), "{} lines are lost, the first: {:?}", lost.len(), lost.first());
    output.lines().count()
}

#[test]
fn nothing_that_was_answered_is_lost_by_thirty_kills() {
    const LINES: usize = 6_000;
    let begun = Instant::now();
    let mut server = Server::start();
    let text = numbered_lines(LINES, 1_000);
    let from = server.write("flow.in", &text);
    let to = server.path("flow.out");
    // So slow that the file flows for as long as servers are killed.
    let flow = slow_copy(&from, &to);
    server.done("POST", "/streams/flow", &flow);
    server.done("POST", &format!("/streams/{SHARED}"), &idle_stream("first"));
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let (mut worst, mut flowing, mut total) = (Duration::ZERO, 0, 0);
    for round in 0..KILLS {
        let answered = AtomicUsize::new(0);
        let address = server.address();
        // Kills fall before, within and after the second that lies between two checkpoints.
        let (enough_writes, enough_time) =
            (3 + round * 7 % 23, Duration::from_millis(150 + round as u64 * 370 % 1300));
        std::thread::scope(|scope| {
            for writer in &mut writers {
                let answered = &answered;
                scope.spawn(move || writer.run(address, answered));
            }
            let round_begun = Instant::now();
            eventually("writes are answered", PATIENCE, || {
                let enough =
                    answered.load(Ordering::Relaxed) >= enough_writes && round_begun.elapsed() >= enough_time;
                enough.then_some(())
            });
            flowing += usize::from(server.is_active("flow"));
            server.kill();
        });
        total += answered.into_inner();
        let took = server.start_again();
        worst = worst.max(took);
        assert!(took <= UP_AGAIN, "round {round}: up again after {took:?}\n{}", server.log());
        for writer in &mut writers {
            writer.check(&server, round);
        }
        check_shared(&server, &writers, "first", round);
    }
    let left = Duration::from_mins(1);
    eventually("the file has flown whole", left, || completed(&server, "flow"));
    let written = assert_nothing_lost(&text, &server.read("flow.out"));
    println!(
        "{KILLS} kills, {flowing} of them while the file flowed; {total} writes answered; up again in at most \
         {worst:?}; {LINES} lines, {written} written; {:?} in all",
        begun.elapsed()
    );
    assert!(flowing >= KILLS / 2, "the file had flown before the servers were killed: {flowing}");
}

#[test]
fn the_first_stream_of_the_readme_goes_on_after_a_kill() {
    const LINES: usize = 1_000_000;
    let mut server = Server::start();
    let text = numbered_lines(LINES, 40);
    let from = server.write("input.ndjson", &text);
    let to = server.path("output.ndjson");
    let foo = format!(
        "input:\n  file:\n    paths: [ {} ]\npipeline:\n  processors:\n    - mapping: root = content().uppercase()\n\
         output:\n  file:\n    path: {}\n",
        from.display(),
        to.display()
    );
    server.done("POST", "/streams/foo", &foo);
    eventually("lines are written", PATIENCE, || (size(&to) > text.len() as u64 / 8).then_some(()));
    server.kill();
    let at_kill = size(&to);
    assert!(at_kill < text.len() as u64, "the whole file was written before the kill");
    server.start_again();
    let answer = server.done("GET", "/streams/foo", "").json();
    assert_eq!(answer["config"]["pipeline"]["processors"][0]["mapping"], "root = content().uppercase()");
    eventually("foo ends", PATIENCE, || completed(&server, "foo"));
    let written = assert_nothing_lost(&text.to_uppercase(), &server.read("output.ndjson"));
    println!("killed at {at_kill} of {} bytes; {LINES} lines, {written} written", text.len());
}

/// Kills a server when three quarters of a slow file are written, and wants that it does not start from the top.
fn goes_on_from_its_checkpoint(lines: usize, width: usize) {
    let mut server = Server::start();
    let text = numbered_lines(lines, width);
    let from = server.write("slow.in", &text);
    let to = server.path("slow.out");
    server.done("POST", "/streams/slow", &slow_copy(&from, &to));
    // Checkpoints are a second apart, and a line takes at least a millisecond.
    eventually("most lines are written", PATIENCE, || (size(&to) > text.len() as u64 * 3 / 4).then_some(()));
    server.kill();
    let before = server.read("slow.out").lines().count();
    server.start_again();
    eventually("the stream ends", PATIENCE, || completed(&server, "slow"));
    let written = assert_nothing_lost(&text, &server.read("slow.out"));
    let repeated = written.saturating_sub(lines);
    println!("killed at line {before} of {lines}; {repeated} lines repeated");
    assert!(repeated < before, "it started from the top: {before} lines before, {repeated} of them again");
}

#[test]
fn a_killed_stream_goes_on_from_its_checkpoint() {
    goes_on_from_its_checkpoint(2_000, 1_000);
}

#[test]
fn a_killed_stream_of_a_small_file_goes_on_from_its_checkpoint() {
    goes_on_from_its_checkpoint(4_000, 40);
}

#[test]
fn a_killed_join_begins_anew() {
    let mut server = Server::start();
    let first = server.write("first.in", "{\"id\":\"x\",\"a\":1}\n");
    let (second, to) = (server.path("second.in"), server.path("joined.out"));
    let join = format!(
        "input:\n  sequence:\n    sharded_join: {{ type: full-outer, id_path: id, iterations: 2 }}\n    inputs:\n\
         \u{20}     - file: {{ paths: [ {} ] }}\n      - file: {{ paths: [ {} ] }}\n\
         output:\n  file: {{ path: {} }}\n",
        first.display(),
        second.display(),
        to.display()
    );
    server.done("POST", "/streams/join", &join);
    // Checkpoints are a second apart: a position in the first file would be stored by then.
    let waits = || server.log().contains("second.in").then_some(());
    eventually("the second file is waited for", PATIENCE, waits);
    std::thread::sleep(Duration::from_secs(2));
    server.kill();
    server.start_again();
    server.write("second.in", "{\"id\":\"x\",\"b\":2}\n");
    eventually("the join ends", PATIENCE, || completed(&server, "join"));
    assert_eq!(server.read("joined.out"), "{\"a\":1,\"b\":2,\"id\":\"x\"}\n");
}

#[test]
fn a_join_takes_over_no_position_of_what_was_there_before() {
    let server = Server::start();
    let first = server.write("first.in", "{\"id\":\"x\",\"a\":1}\n");
    let second = server.write("second.in", "{\"id\":\"x\",\"b\":2}\n");
    let to = server.path("joined.out");
    let sequence = |join: &str, then: &str| {
        format!(
            "input: {{ sequence: {{ {join} inputs: [ {{ file: {{ paths: [ {} ] }} }}, {then} ] }} }}\n\
             output: {{ file: {{ path: {} }} }}\n",
            first.display(),
            to.display()
        )
    };
    let waits = "generate: { mapping: root = 1, interval: 1h }";
    server.done("POST", "/streams/join", &sequence("", &format!("{{ {waits} }}")));
    eventually("the first file is copied", PATIENCE, || (size(&to) > 0).then_some(()));
    // Checkpoints are a second apart.
    std::thread::sleep(Duration::from_secs(2));
    fs::remove_file(&to).unwrap();
    let other = format!("{{ file: {{ paths: [ {} ] }} }}", second.display());
    let join = "sharded_join: { type: full-outer, id_path: id },";
    server.done("PUT", "/streams/join", &sequence(join, &other));
    eventually("the join ends", PATIENCE, || completed(&server, "join"));
    assert!(server.read("joined.out").ends_with("{\"a\":1,\"b\":2,\"id\":\"x\"}\n"));
}

#[test]
fn completed_stays_completed() {
    let mut server = Server::start();
    let from = server.write("in", "one\ntwo\n");
    let to = server.path("out");
    let text = crate::harness::copy_stream(&from, &to);
    server.done("POST", "/streams/done", &text);
    server.done("POST", "/streams/other", ENDLESS);
    eventually("it completes", PATIENCE, || completed(&server, "done"));
    assert_eq!(server.read("out"), "one\ntwo\n");
    // Whatever runs it again would write these.
    server.write("in", "one\ntwo\nthree\n");
    for way in ["stop", "kill"] {
        if way == "stop" {
            server.stop();
        } else {
            server.kill();
        }
        server.start_again();
        eventually("the other runs", PATIENCE, || server.is_active("other").then_some(()));
        assert_eq!(server.status("done")["phase"], "Completed", "after {way}");
        assert_eq!(server.read("out"), "one\ntwo\n", "after {way}");
    }
    // A whole set with an equal spec does not run it again either.
    let get = |id: &str| server.get(&format!("/streams/{id}")).json()["config"].clone();
    let set = serde_json::json!({ "done": get("done"), "other": get("other") });
    assert!(set["done"]["input"]["file"]["paths"].is_array(), "{set}");
    server.done("POST", "/streams", &set.to_string());
    assert_eq!(server.status("done")["phase"], "Completed", "after an equal set");
    assert_eq!(server.read("out"), "one\ntwo\n", "after an equal set");
    // An explicit PUT does.
    server.done("PUT", "/streams/done", &text);
    eventually("PUT runs it again", PATIENCE, || server.read("out").contains("three").then_some(()));
}

/// One way to damage the sled folder of a server that does not run.
struct Damage {
    name: &'static str,
    deal: fn(&Path),
}

fn edit(path: &Path, change: fn(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    assert!(bytes.len() > 1024, "{} is only {} bytes long", path.display(), bytes.len());
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

fn flip_each(bytes: &mut [u8], step: usize) {
    bytes.iter_mut().step_by(step).for_each(|byte| *byte ^= 0x5a);
}

const DAMAGES: [Damage; 10] = [
    Damage {
        name: "db cut to half",
        deal: |sled| edit(&sled.join("db"), |bytes| bytes.truncate(bytes.len() / 2)),
    },
    Damage {
        name: "db cut by a byte",
        deal: |sled| edit(&sled.join("db"), |bytes| bytes.truncate(bytes.len() - 1)),
    },
    Damage { name: "db empty", deal: |sled| edit(&sled.join("db"), Vec::clear) },
    Damage { name: "db deleted", deal: |sled| fs::remove_file(sled.join("db")).unwrap() },
    Damage {
        name: "a byte in 97 flipped",
        deal: |sled| edit(&sled.join("db"), |bytes| flip_each(bytes, 97)),
    },
    Damage {
        name: "a byte in 8,191 flipped",
        deal: |sled| edit(&sled.join("db"), |bytes| flip_each(bytes, 8191)),
    },
    Damage {
        name: "first 512 bytes zeroed",
        deal: |sled| edit(&sled.join("db"), |bytes| bytes[..512].fill(0)),
    },
    Damage { name: "all of db zeroed", deal: |sled| edit(&sled.join("db"), |bytes| bytes.fill(0)) },
    Damage { name: "conf overwritten", deal: |sled| fs::write(sled.join("conf"), [0xff; 64]).unwrap() },
    Damage { name: "the folder deleted", deal: |sled| fs::remove_dir_all(sled).unwrap() },
];

/// The configs of all streams, as the API gives them.
fn configs(server: &Server) -> Vec<(String, Value)> {
    let all = server.get("/streams").json();
    let ids: Vec<String> = all.as_object().unwrap().keys().cloned().collect();
    ids.into_iter()
        .map(|id| (id.clone(), server.get(&format!("/streams/{id}")).json()["config"].clone()))
        .collect()
}

#[test]
fn a_damaged_sled_folder_loses_nothing() {
    let mut server = Server::start();
    for number in 0..20 {
        server.done("POST", &format!("/streams/s{number}"), &idle_stream(&format!("first {number}")));
    }
    for (round, damage) in DAMAGES.iter().enumerate() {
        // Each run changes, makes and deletes something, so that an old state would be seen.
        server.done("PUT", &format!("/streams/s{round}"), &idle_stream(&format!("changed {round}")));
        server.done("POST", &format!("/streams/new{round}"), &idle_stream("new"));
        server.done("DELETE", &format!("/streams/s{}", 19 - round), "");
        let before = configs(&server);
        assert_eq!(before.len(), 20);
        if round % 2 == 0 {
            server.stop();
        } else {
            server.kill();
        }
        (damage.deal)(&server.path("state/sled"));
        let took = server.start_again();
        assert_eq!(configs(&server), before, "{}: {}", damage.name, server.log());
        println!("{}: up again in {took:?}", damage.name);
        // What is rebuilt takes writes.
        server.done("PUT", "/streams/new0", &idle_stream(damage.name));
        assert_eq!(mark_of(&server, "new0").as_deref(), Some(damage.name));
    }
}

//! A program with components that fail as no component should: what they do to other streams.
//!
//! The program is this test binary, started again with the server's arguments in its environment.

use crate::harness::{
    ENDLESS, PATIENCE, Server, Setup, eventually, idle_stream, numbered_lines, signal, slow_copy,
};
use std::process::{Command, exit};
use weir_core::{
    error::Error,
    field::Field,
    input::{InputComponent, Reader, Reading},
    output::{OutputComponent, Writer},
    processor::{Batches, Processor, one},
    registry::{InputSpec, OutputSpec, ProcessorSpec, Table},
    spec::{Body, Status},
};

const ARGS: &str = "WEIR_TEST_ARGS";

static INPUT: InputSpec = InputSpec {
    name: "panic",
    summary: "Panics.",
    description: "",
    status: Status::Experimental,
    body: Body::Fields(&[]),
    examples: &[],
    build: |_, _| Ok(InputComponent::Reader(Box::new(Panics))),
};

static OUTPUT: OutputSpec = OutputSpec {
    name: "panic",
    summary: "Panics.",
    description: "",
    status: Status::Experimental,
    body: Body::Fields(&[]),
    examples: &[],
    build: |_, _| Ok(OutputComponent::Writer { writer: Box::new(Panics), max_in_flight: 1 }),
};

static PROCESSOR: ProcessorSpec = ProcessorSpec {
    name: "panic",
    summary: "Panics at its message.",
    description: "",
    status: Status::Experimental,
    body: Body::Single(Field::string("", "The content at which it panics.")),
    examples: &[],
    build: |node, _| Ok(Box::new(PanicsAt(node.read()?))),
};

static ABORT: ProcessorSpec = ProcessorSpec {
    name: "abort_at",
    summary: "Ends the process at its message.",
    build: |node, _| Ok(Box::new(AbortsAt(node.read()?))),
    ..PROCESSOR
};

static BUILD: ProcessorSpec = ProcessorSpec {
    name: "panic_at_build",
    build: |_, _| panic!("no build"),
    body: Body::Fields(&[]),
    ..PROCESSOR
};

const TABLE: Table = Table {
    inputs: &[&INPUT],
    outputs: &[&OUTPUT],
    processors: &[&PROCESSOR, &ABORT, &BUILD],
    ..Table::EMPTY
};

struct Panics;

#[async_trait::async_trait]
impl Reader for Panics {
    async fn connect(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&mut self, _: &mut Reading) -> Result<(), Error> {
        panic!("no read")
    }
}

#[async_trait::async_trait]
impl Writer for Panics {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, _: &[weir_bloblang::Message]) -> Result<(), weir_core::ack::WriteError> {
        panic!("no write")
    }
}

struct PanicsAt(String);

#[async_trait::async_trait]
impl Processor for PanicsAt {
    async fn process(&self, batch: Vec<weir_bloblang::Message>) -> Result<Batches, Error> {
        assert!(batch.iter().all(|message| message.content() != self.0.as_bytes()), "saw {}", self.0);
        Ok(one(batch))
    }
}

struct AbortsAt(String);

#[async_trait::async_trait]
impl Processor for AbortsAt {
    async fn process(&self, batch: Vec<weir_bloblang::Message>) -> Result<Batches, Error> {
        if batch.iter().any(|message| message.content() == self.0.as_bytes()) {
            std::process::abort();
        }
        Ok(one(batch))
    }
}

/// Starts the program with arguments of its own.
pub(crate) fn command(args: &[String]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::program", "--ignored", "--nocapture"]);
    command.env(ARGS, serde_json::to_string(args).unwrap());
    command
}

#[test]
#[ignore = "the program that the tests of this file start"]
fn program() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let args: Vec<String> = serde_json::from_str(&args).unwrap();
    let args = std::iter::once("weir".to_owned()).chain(args).map(Into::into);
    let ended = weir_server::main_with(args, &[TABLE]);
    exit(i32::from(ended != std::process::ExitCode::SUCCESS));
}

fn stream(input: &str, processor: &str, output: &str) -> String {
    format!("input:\n  {input}\npipeline:\n  processors:\n    - {processor}\noutput:\n  {output}\n")
}

#[test]
fn a_panic_fails_its_own_stream_by_name_and_no_other() {
    let server = Server::with(Setup { faulty: true, ..Setup::default() });
    let counting = "generate: { mapping: root = counter(), interval: 1ms }";
    server.done("POST", "/streams/good", ENDLESS);
    server.done("POST", "/streams/in_a_processor", &stream(counting, "panic: '3'", "drop: {}"));
    let nested = "branch: { processors: [ { panic: '3' } ] }";
    server.done("POST", "/streams/in_a_branch", &stream(counting, nested, "drop: {}"));
    server.done("POST", "/streams/in_an_input", &stream("panic: {}", "noop: {}", "drop: {}"));
    server.done("POST", "/streams/in_an_output", &stream(counting, "noop: {}", "panic: {}"));
    for (id, said) in [
        ("in_a_processor", "panic at root.pipeline.processors.0: saw 3"),
        ("in_a_branch", "panic at root.pipeline.processors.0"),
        ("in_an_input", "panic at root.input: no read"),
        ("in_an_output", "panic at root.output: no write"),
    ] {
        eventually(&format!("{id} fails by name, twice"), PATIENCE, || {
            let log = server.log();
            let failures = log.lines().filter(|line| {
                line.contains("it starts again")
                    && line.contains(&format!(" stream={id}"))
                    && line.contains(said)
            });
            (failures.count() >= 2).then_some(())
        });
    }
    let refused = server.post("/streams/in_its_build", &stream(counting, "panic_at_build: {}", "drop: {}"));
    assert_eq!((refused.status, refused.text().contains("no build")), (400, true), "{}", refused.text());
    let good = server.status("good");
    assert_eq!((&good["generation"], &good["active"]), (&1.into(), &true.into()), "{good}");
    let log = server.log();
    assert!(!log.lines().any(|line| line.contains("stream=good") && line.contains("failed")), "{log}");
    assert_eq!(server.get("/streams/in_its_build").status, 404);
}

#[test]
fn a_stream_that_the_process_died_of_twice_is_quarantined_until_it_is_resumed() {
    let mut server = Server::with(Setup { faulty: true, quarantine: true, ..Setup::default() });
    server.write("in.txt", numbered_lines(3000, 40));
    server.done("POST", "/streams/good", &slow_copy(&server.path("in.txt"), &server.path("out.txt")));
    server.done("POST", "/streams/idle", &idle_stream("idle"));
    let counting = "generate: { mapping: root = counter(), interval: 300ms }";
    let bad = stream(counting, "noop: {}\n    - abort_at: '3'", "drop: {}");
    let posted = server.post("/streams/bad", &bad);
    assert_eq!(posted.status, 200, "{}", posted.text());
    for _ in 0..2 {
        assert!(server.ends_within(PATIENCE), "it aborts");
        server.start_again();
    }
    let status = server.get("/streams/bad/status?record=true").json();
    assert_eq!(status["phase"], "Quarantined", "{status}\n{}", server.log());
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("died 2 times") && reason.contains("pipeline.processors.1"), "{reason}");
    let phases: Vec<&str> =
        status["record"].as_array().unwrap().iter().filter_map(|entry| entry["phase"].as_str()).collect();
    assert!(phases.iter().filter(|phase| **phase == "Running").count() >= 2, "{phases:?}");
    assert_eq!(server.get("/revisions?limit=1").json()[0]["verb"], "QUARANTINE");
    eventually("the neighbour is done", PATIENCE, || {
        (server.status("good")["phase"] == "Completed").then_some(())
    });
    let (copied, lines) = (server.read("out.txt"), server.read("in.txt"));
    assert!(lines.lines().all(|line| copied.contains(line)), "nothing is lost");
    assert!(server.is_active("idle"));
    // It stays so, also after an end in order, until it is asked for.
    server.stop();
    server.start_again();
    assert_eq!(server.status("bad")["phase"], "Quarantined");
    assert_eq!(server.post("/streams/bad/resume?wait=none", "").status, 202);
    assert!(server.ends_within(PATIENCE), "it runs, and aborts");
}

#[test]
fn what_goes_wrong_in_a_stream_that_runs_on_is_told_with_its_place() {
    let mut server = Server::start();
    let counting = "generate: { mapping: root = counter(), interval: 10ms }";
    let throws = "mapping: 'root = throw(\"no luck\")'";
    server.done("POST", "/streams/unlucky", &stream(counting, throws, "drop: {}"));
    let nowhere = "http_client: { url: 'http://127.0.0.1:1/', retries: 0 }";
    server.done("POST", "/streams/nowhere", &stream(counting, "noop: {}", nowhere));
    server.done(
        "POST",
        "/streams/blind",
        &stream("file: { paths: [ /nowhere/at/all ] }", "noop: {}", "drop: {}"),
    );
    let wanted = [
        ("unlucky", "pipeline.processors.0", "no luck"),
        ("nowhere", "output", "127.0.0.1:1"),
        ("blind", "input", "/nowhere/at/all"),
    ];
    for (id, path, said) in wanted {
        eventually(&format!("{id} says what is wrong"), PATIENCE, || {
            let error = server.get(&format!("/streams/{id}/status")).json()["last_error"].clone();
            let message = error["message"].as_str()?;
            assert!(error["path"] == path && message.contains(said), "{error}");
            (error["count"].as_u64()? > 1).then_some(())
        });
        let is_it = |entry: &serde_json::Value| {
            let reason = entry["reason"].as_str().unwrap_or_default();
            entry["type"] == "error"
                && entry["stream"] == id
                && entry["path"] == path
                && reason.contains(said)
        };
        eventually(&format!("an event of {id}"), PATIENCE, || {
            let events = server.get("/events?follow=false").json();
            events.as_array()?.iter().any(is_it).then_some(())
        });
        eventually(&format!("an entry of {id}"), PATIENCE, || {
            let status = server.get(&format!("/streams/{id}/status?record=true")).json();
            status["record"].as_array()?.iter().any(is_it).then_some(())
        });
    }
    // An abort that was asked for from outside ends the process like any other.
    signal(server.pid(), "ABRT");
    assert!(server.ends_within(PATIENCE), "it ends");
}

#[test]
fn a_kill_while_it_stops_is_no_death_and_an_abort_is_one() {
    let mut server = Server::with(Setup { faulty: true, quarantine: true, ..Setup::default() });
    let died = "The process before this one died";
    let stuck = "generate: { mapping: root = counter(), interval: 10ms }";
    server.done("POST", "/streams/stuck", &stream(stuck, "sleep: { duration: 1h }", "drop: {}"));
    for (name, is_death) in [("KILL", false), ("ABRT", true)] {
        signal(server.pid(), "TERM");
        let told = || server.log().contains("the service is closing").then_some(());
        eventually("it stops", PATIENCE, told);
        signal(server.pid(), name);
        assert!(server.ends_within(PATIENCE), "{name} ends it");
        server.start_again();
        assert_eq!(server.log().contains(died), is_death, "{name}: {}", server.log());
    }
}

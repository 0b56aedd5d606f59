//! What the server says of its paths is what it does: schemathesis asks them at random.

use crate::harness::{ENDLESS, Server};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version that the checks were written for.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// The program, installed in an environment of its own; nothing where there is no Python that can.
fn schemathesis() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis");
    let program = place.join("bin/schemathesis");
    let done = |command: &mut Command| command.status().is_ok_and(|status| status.success());
    let there = program.exists()
        || done(Command::new("python3").args(["-m", "venv"]).arg(&place))
            && done(Command::new(place.join("bin/pip")).args(["install", "--quiet", SCHEMATHESIS]));
    there.then_some(program)
}

#[test]
fn what_is_documented_is_what_is_answered() {
    let Some(program) = schemathesis() else {
        println!("not run: schemathesis cannot be installed here");
        return;
    };
    let mut server = Server::start();
    server.done("POST", "/streams/known", ENDLESS);
    let checks = "not_a_server_error,status_code_conformance,response_schema_conformance";
    // What never ends by itself is left out; it is asked for in tests of its own.
    let endless = ["--exclude-path", "/events", "--exclude-path", "/streams/{id}/tap"];
    let mut command = Command::new(program);
    command.args([
        "run",
        "--checks",
        checks,
        "--phases",
        "examples,coverage,fuzzing",
        "--max-examples",
        "20",
    ]);
    command.args(["--generation-database", "none", "--no-color", "--request-timeout", "60"]).args(endless);
    command.arg(format!("http://{}/openapi.json", server.address())).current_dir(server.path(""));
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}\nlog: {}", server.log());
    assert!(server.is_running() && !server.log().contains("panic"), "{}", server.log());
    let paths = server.get("/openapi.json").json()["paths"].as_object().unwrap().len();
    println!("{paths} paths; {}", said.lines().rfind(|line| line.contains("generated")).unwrap_or_default());
}

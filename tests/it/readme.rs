//! The walk-throughs of the README: their commands are run, and what they print is compared.

use crate::harness::WEIR;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// Printed between two blocks of commands.
const CUT: &str = "@@@@ next";

/// A block of commands, and what it prints.
struct Block {
    commands: String,
    prints: Vec<String>,
}

/// The blocks under a heading of the README.
fn blocks(heading: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).expect("no such heading");
    let section = section.split("\n## ").next().unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    for fenced in section.split("```").skip(1).step_by(2) {
        let (kind, body) = fenced.split_once('\n').unwrap();
        match kind {
            "sh" => blocks.push(Block { commands: body.to_owned(), prints: Vec::new() }),
            _ => blocks.last_mut().unwrap().prints = body.lines().map(str::to_owned).collect(),
        }
    }
    blocks
}

/// Whether a line is as the README has it, where `…` stands for anything.
fn fits(line: &str, pattern: &str) -> bool {
    let pattern = format!("^{}$", regex::escape(pattern).replace('…', ".*"));
    regex::Regex::new(&pattern).unwrap().is_match(line)
}

fn walk_through(heading: &str) {
    let blocks = blocks(heading);
    assert!(blocks.len() >= 2, "{heading}: only {} blocks", blocks.len());
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("bin")).unwrap();
    symlink(WEIR, place.path().join("bin/weir")).unwrap();
    // Several tests run at once: each has a port of its own.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut script = String::from("set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n");
    // A machine that runs other tests beside this one is slower than a reader.
    script.push_str("sleep() { command sleep $(($1 * 2)); }\n");
    for block in &blocks {
        let commands = block.commands.replace(":4195", &format!(":{port}"));
        let commands =
            commands.replace("weir streams", &format!("weir streams --set http.address=127.0.0.1:{port}"));
        // What a server logs is not what a command prints.
        let commands = commands.replace(" &\n", " >>log 2>&1 &\n");
        writeln!(script, "{commands}\necho\necho '{CUT}'").unwrap();
    }
    let path = format!("{}:{}", place.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("bash");
    command.args(["-c", &script]).current_dir(place.path()).env("PATH", path).stdin(Stdio::null());
    command.env("WEIR_SERVER", format!("http://127.0.0.1:{port}"));
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "x").env(format!("GIT_{who}_EMAIL"), "x@example.com");
    }
    let done = command.output().unwrap();
    let (printed, said) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let log = fs::read_to_string(place.path().join("log")).unwrap_or_default();
    assert!(done.status.success(), "{heading}: {printed}\n{said}\n{log}");
    for (block, printed) in blocks.iter().zip(printed.split(&format!("{CUT}\n"))) {
        let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
        let mut left = lines.iter();
        for wanted in &block.prints {
            let found = left.any(|line| fits(line, wanted));
            assert!(
                found,
                "{heading}: {wanted:?} is not in what\n{}prints:\n{printed}\n{log}",
                block.commands
            );
        }
    }
}

#[test]
fn files_in_git() {
    walk_through("Files in Git");
}

#[test]
fn over_rest() {
    walk_through("Over REST");
}

#[test]
fn left_alone() {
    walk_through("Left alone");
}

#[test]
fn living_with_weir() {
    walk_through("Living with weir");
}

#[test]
fn deployments_use_flags_that_exist() {
    let help = Command::new(WEIR).args(["streams", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy");
    let flag = regex::Regex::new("(?:^|[ \"])(--?[a-z][a-z-]*)").unwrap();
    for (file, starts) in
        [("weir.service", &["ExecStart=", "    -o"][..]), ("Dockerfile", &["ENTRYPOINT", "CMD"])]
    {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let lines = text.lines().filter(|line| starts.iter().any(|start| line.starts_with(start)));
        let flags: Vec<&str> = lines
            .flat_map(|line| flag.captures_iter(line))
            .map(|found| found.get(1).unwrap().as_str())
            .collect();
        assert!(flags.len() >= 3, "{file}: {flags:?}");
        for flag in flags {
            assert!(
                help.contains(&format!("{flag} "))
                    || help.contains(&format!("{flag}, "))
                    || help.contains(&format!("{flag}\n")),
                "{file}: {flag}"
            );
        }
    }
}

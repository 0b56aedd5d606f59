//! Recorded behaviour, replayed: `tests/conformance/*.jsonl`, whose format the docstring of `conform.py` beside them
//! gives, and whose rules of comparison these are too.
//!
//! `todo.txt` names the cases that are known to fail, under the reason why; a named case that passes fails the run as
//! much as one that fails unnamed. A name after `? ` may do either, which is for cases that hang on a clock.
//!
//! A Bloblang case is called by a hash of its text, for most have no name of their own; one that panics fails the run in
//! any case.
//!
//! Variables: `CONFORMANCE_DIR` reads the cases from another folder, `WEIR_TODO=write` rewrites `todo.txt`, and
//! `WEIR_ONLY=TEXT` runs only the cases whose name has that text.

mod compare;
mod missing;
mod perform;
mod process;
mod steps;
mod todo;

use serde_json::Value;
use std::{
    collections::{HashSet, VecDeque},
    env, fs,
    panic::catch_unwind,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};
use todo::Todo;

const THREADS: usize = 8;
/// How many cases that wait for a clock run side by side: more would make each other late.
const TIMED: usize = 2;
const FILES: [&str; 5] = ["bloblang", EXAMPLES, "config", "runs", "api"];
/// The examples of the reference's own pages, which are not everywhere.
const EXAMPLES: &str = "bloblang_examples";
const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");
/// Where the recordings lie beside a checkout.
const BESIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/conformance");
const PANICS: &str = "it panics";
/// The most that is shown of a failing case, in characters.
const SHOWN: usize = 3000;
/// One file at a time: all their cases at once would be too much for the clocks of some.
static TURN: Mutex<Duration> = Mutex::new(Duration::ZERO);
/// What all files may take together.
const LIMIT: Duration = Duration::from_mins(5);

struct Case {
    name: String,
    line: String,
    value: Value,
}

impl Case {
    fn text(&self, key: &str) -> &str {
        self.value.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether its outcome hangs on how much time something takes.
    fn is_timed(&self) -> bool {
        let pauses = |key| steps::list(&self.value, key).iter().any(|step| step.get("pause").is_some());
        // The API's cases look at a state right after its cause.
        self.text("kind") == "api"
            || self.value.get("stop_after").is_some()
            || pauses("steps")
            || pauses("requests")
    }

    /// Fails with what was wanted and what came.
    fn check(&self, file: &str) -> Result<(), String> {
        if file.starts_with("bloblang") {
            return catch_unwind(|| weir_bloblang::replay::replay(&self.line))
                .unwrap_or_else(|_| Err(PANICS.to_owned()));
        }
        let want = compare::wanted(&self.value);
        let got =
            perform::perform(&self.value, &want).map_err(|error| format!("cannot be replayed: {error}"))?;
        if compare::agrees(&self.value, &want, &got) {
            return Ok(());
        }
        Err(format!("want {want}\n got {got}"))
    }
}

/// Where a file's cases are; `None` when they are not there and need not be.
fn place(file: &str) -> Option<PathBuf> {
    let given = env::var_os("CONFORMANCE_DIR").map(PathBuf::from);
    let must_be = given.is_none() && file != EXAMPLES;
    let folder = given.unwrap_or_else(|| PathBuf::from(TESTS));
    let path = folder.join(file).with_extension("jsonl");
    if must_be || path.exists() {
        return Some(path);
    }
    let beside = Path::new(BESIDE).join(file).with_extension("jsonl");
    (file == EXAMPLES && beside.exists()).then_some(beside)
}

fn todo_path() -> PathBuf {
    Path::new(TESTS).join("todo.txt")
}

/// A short hash of a text that is the same everywhere (FNV-1a).
fn hash(text: &str) -> u64 {
    let mix = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, mix)
}

/// The cases of a file.
fn load(file: &str) -> Vec<Case> {
    let Some(path) = place(file) else { return Vec::new() };
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases = Vec::new();
    for (number, line) in text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{file}:{}: {error}", number + 1));
        let name = value.get("name").and_then(Value::as_str).unwrap_or("case");
        let name = if file.starts_with("bloblang") {
            format!("{file}/{name}/{:016x}", hash(line.trim_end()))
        } else {
            name.to_owned()
        };
        cases.push(Case { name, line: line.to_owned(), value });
    }
    cases
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is still to be run.
struct Queue<'a> {
    quick: VecDeque<&'a Case>,
    timed: VecDeque<&'a Case>,
    timed_running: usize,
}

fn run_all<'a>(file: &str, cases: &'a [Case], end: Instant) -> Vec<(&'a Case, Result<(), String>)> {
    let (timed, quick) = cases.iter().partition(|case| case.is_timed());
    let queue = Mutex::new(Queue { quick, timed, timed_running: 0 });
    let (free, results) = (Condvar::new(), Mutex::new(Vec::new()));
    let next = || {
        let mut queue = held(&queue);
        loop {
            if Instant::now() > end {
                return None;
            }
            if queue.timed_running < TIMED
                && let Some(case) = queue.timed.pop_front()
            {
                queue.timed_running += 1;
                return Some(case);
            }
            if let Some(case) = queue.quick.pop_front() {
                return Some(case);
            }
            if queue.timed.is_empty() {
                return None;
            }
            queue = free.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let result = case.check(file);
                    if case.is_timed() {
                        held(&queue).timed_running -= 1;
                        free.notify_all();
                    }
                    held(&results).push((case, result));
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn replay(file: &str) {
    let mut used = held(&TURN);
    let begun = Instant::now();
    let mut cases = load(file);
    let only = env::var("WEIR_ONLY").unwrap_or_default();
    cases.retain(|case| case.name.contains(&only));
    let results = run_all(file, &cases, begun + LIMIT.saturating_sub(*used));
    *used += begun.elapsed();
    let passed = results.iter().filter(|(_, result)| result.is_ok()).count();
    println!("{file}.jsonl: {passed} of {}", cases.len());
    assert_eq!(results.len(), cases.len(), "{LIMIT:?} are over before all cases of {file}.jsonl have run");
    let path = todo_path();
    let mut todo = Todo::read(&path);
    if env::var("WEIR_TODO").is_ok_and(|value| value == "write") {
        for (case, result) in results {
            let reason =
                || format!("{} {}: {}", case.text("kind"), case.text("group"), missing::reason(case));
            todo.note(&case.name, result.is_ok(), reason);
        }
        todo.write(&path);
        return;
    }
    let mut wrong = Vec::new();
    for (case, result) in &results {
        match (result, todo.expects(&case.name)) {
            (Err(error), _) if error == PANICS => wrong.push(format!("{}: {PANICS}", case.name)),
            (_, todo::Outcome::Either) | (Ok(()), todo::Outcome::Pass) | (Err(_), todo::Outcome::Failure) => {
            }
            (Ok(()), todo::Outcome::Failure) => {
                wrong.push(format!("{}: passes, but is in todo.txt", case.name));
            }
            (Err(error), todo::Outcome::Pass) => {
                wrong.push(format!("{}: {}", case.name, error.chars().take(SHOWN).collect::<String>()));
            }
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{} of {file}.jsonl not as expected:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn bloblang() {
    replay("bloblang");
}

#[test]
fn bloblang_examples() {
    replay(EXAMPLES);
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn runs() {
    replay("runs");
}

#[test]
fn api() {
    replay("api");
}

#[test]
fn every_name_in_the_list_is_a_case() {
    let todo = Todo::read(&todo_path());
    let cases: HashSet<String> = FILES.into_iter().flat_map(load).map(|case| case.name).collect();
    // Another folder may hold fewer cases.
    let is_elsewhere = |name: &str| {
        env::var_os("CONFORMANCE_DIR").is_some() || (name.starts_with(EXAMPLES) && place(EXAMPLES).is_none())
    };
    let unknown: Vec<&str> =
        todo.names().filter(|name| !cases.contains(*name) && !is_elsewhere(name)).collect();
    assert!(unknown.is_empty(), "in todo.txt, but no case: {unknown:?}");
}

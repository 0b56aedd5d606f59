//! `weir state`: looks after a state folder at rest.

use std::{path::Path, process::ExitCode};

/// Checks that everything in a state folder can be read, and says what it holds.
pub(super) fn check(folder: &str) -> Result<ExitCode, String> {
    let report = weir_control::store::state::check(Path::new(folder)).map_err(|error| error.to_string())?;
    println!("{folder}: commit {}, revision {}, {} bytes", report.commit, report.revision, report.bytes);
    for (kind, count) in &report.records {
        println!("  {kind}: {count}");
    }
    for problem in &report.problems {
        println!("problem: {problem}");
    }
    Ok(ExitCode::from(u8::from(!report.problems.is_empty())))
}

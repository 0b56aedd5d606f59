//! `weir state`: looks after a state folder at rest.

use std::{
    fs::File,
    io::{BufReader, BufWriter, stdin, stdout},
    path::Path,
    process::ExitCode,
};
use weir_control::store::state;

/// Checks that everything in a state folder can be read, and says what it holds.
pub(super) fn check(folder: &str) -> Result<ExitCode, String> {
    let report = state::check(Path::new(folder)).map_err(|error| error.to_string())?;
    println!("{folder}: commit {}, revision {}, {} bytes", report.commit, report.revision, report.bytes);
    for (kind, count) in &report.records {
        println!("  {kind}: {count}");
    }
    for problem in &report.problems {
        println!("problem: {problem}");
    }
    Ok(ExitCode::from(u8::from(!report.problems.is_empty())))
}

/// Writes what a state folder holds to a file or to standard output.
pub(super) fn export(folder: &str, to: Option<&Path>) -> Result<ExitCode, String> {
    let shown = |path: &Path, error| format!("{} cannot be written: {error}", path.display());
    let written = match to {
        Some(path) => {
            let file = File::create_new(path).map_err(|error| shown(path, error))?;
            let count = state::export(Path::new(folder), &mut BufWriter::new(&file));
            file.sync_all().map_err(|error| shown(path, error))?;
            count
        }
        None => state::export(Path::new(folder), &mut stdout().lock()),
    };
    let count = written.map_err(|error| error.to_string())?;
    eprintln!("{folder}: {count} records written");
    Ok(ExitCode::SUCCESS)
}

/// Reads an export from a file or from standard input into a folder that holds nothing.
pub(super) fn import(folder: &str, from: Option<&Path>) -> Result<ExitCode, String> {
    let read = match from {
        Some(path) => {
            let file =
                File::open(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            state::import(Path::new(folder), &mut BufReader::new(file))
        }
        None => state::import(Path::new(folder), &mut stdin().lock()),
    };
    let count = read.map_err(|error| error.to_string())?;
    eprintln!("{folder}: {count} records read");
    Ok(ExitCode::SUCCESS)
}

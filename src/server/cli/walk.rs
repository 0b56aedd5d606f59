//! The files that the arguments of commands mean.

use std::{fs, io, path::Path};

/// Why a file cannot be read, in the words that tools know.
pub(super) fn unreadable(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
        io::ErrorKind::IsADirectory => format!("read {path}: is a directory"),
        _ => format!("read {path}: {error}"),
    }
}

/// The text of a file; the error is what to print.
pub(super) fn text(path: &str) -> Result<String, String> {
    let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether a path ends with one of these extensions.
pub(super) fn has_extension(path: &str, extensions: &[&str]) -> bool {
    Path::new(path).extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
}

/// The files that paths mean. A path without a wildcard means itself, whether it is there or not.
pub(super) fn files(paths: &[String]) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for path in paths {
        if let Some(folder) = path.strip_suffix("...") {
            let folder = folder.strip_suffix('/').unwrap_or(folder);
            walk(Path::new(if folder.is_empty() { "." } else { folder }), &mut files)?;
        } else if path.contains(['*', '?', '[']) {
            let found = glob::glob(path).map_err(|error| format!("{path}: {error}"))?;
            files.extend(found.flatten().map(|path| path.to_string_lossy().into_owned()));
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn walk(folder: &Path, files: &mut Vec<String>) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(&folder.to_string_lossy(), &error))?;
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        // A link to a folder is not followed: it might lead back here.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&path, files)?;
        } else if has_extension(&path.to_string_lossy(), &["yaml", "yml"]) {
            let path = path.strip_prefix(".").unwrap_or(&path);
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

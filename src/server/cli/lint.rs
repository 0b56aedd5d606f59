//! `weir lint`: everything that is wrong with config files.

use super::environment::Lookup;
use std::{
    fs,
    io::{self, Write},
    path::Path,
};
use weir_config::{Lint, LintOptions, file, sections};
use weir_core::registry::Registry;

/// What `weir lint` is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct LintArgs {
    /// Files, globs, and folders to walk (`FOLDER/...`).
    pub paths: Vec<String>,
    /// Files of resources to lint as well (`-r`).
    pub resources: Vec<String>,
    /// Whether deprecated fields and components are reported.
    pub deprecated: bool,
    /// Whether components without a label are reported.
    pub labels: bool,
    /// Whether unset variables without a default are fine.
    pub skip_env_var_check: bool,
    /// Whether files without lints are named.
    pub verbose: bool,
}

/// Lints every file and reports to `out`. Gives the exit code: 1 if anything is wrong.
pub(super) fn lint(
    args: &LintArgs,
    registry: &Registry,
    lookup: Lookup<'_>,
    out: &mut dyn Write,
) -> io::Result<i32> {
    let files = match files(&args.paths) {
        Ok(files) => files,
        Err(message) => {
            writeln!(out, "lint paths error: {message}")?;
            return Ok(1);
        }
    };
    let options = LintOptions { deprecated: args.deprecated, labels: args.labels, strict: false };
    let mut code = 0;
    let mut done: Vec<&String> = Vec::new();
    for path in files.iter().chain(&args.resources) {
        if done.contains(&path) {
            continue;
        }
        done.push(path);
        let lints = match fs::read(path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let check = |text: &str| {
                    file::lint_text(
                        text,
                        lookup,
                        sections::CONFIG,
                        registry,
                        options,
                        !args.skip_env_var_check,
                    )
                };
                if has_extension(path, &["md"]) { markdown(&text, &check) } else { check(&text) }
            }
            Err(error) => vec![Lint::on(1, unreadable(path, &error))],
        };
        for lint in &lints {
            writeln!(out, "{path}{lint}")?;
        }
        if !lints.is_empty() {
            code = 1;
        } else if args.verbose {
            writeln!(out, "{path}: OK")?;
        }
    }
    Ok(code)
}

/// Why a file cannot be read, in the words that tools know.
pub(super) fn unreadable(path: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("open {path}: no such file or directory"),
        io::ErrorKind::PermissionDenied => format!("open {path}: permission denied"),
        io::ErrorKind::IsADirectory => format!("read {path}: is a directory"),
        _ => format!("read {path}: {error}"),
    }
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    Path::new(path).extension().is_some_and(|found| extensions.iter().any(|extension| found == *extension))
}

/// The files that paths mean. A path without a wildcard means itself, whether it is there or not.
fn files(paths: &[String]) -> Result<Vec<String>, String> {
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

/// Lints the `yaml` snippets of a Markdown file; their lines are those of the file.
fn markdown(text: &str, check: &dyn Fn(&str) -> Vec<Lint>) -> Vec<Lint> {
    let mut lints = Vec::new();
    let mut snippet: Option<(u32, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match &mut snippet {
            None if line.trim() == "```yaml" => snippet = Some((number, String::new())),
            None => {}
            Some((fence, body)) if line.trim() == "```" => {
                for mut lint in check(body) {
                    // A snippet that is no YAML is reported where it begins.
                    lint.line = if lint.message.starts_with("yaml: ") { *fence } else { *fence + lint.line };
                    lints.push(lint);
                }
                snippet = None;
            }
            Some((_, body)) => {
                body.push_str(line);
                body.push('\n');
            }
        }
    }
    lints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snippets_keep_the_lines_of_their_file() {
        let check = |text: &str| vec![Lint::on(2, text.to_owned())];
        let lints = markdown("a\n```yaml\nx: 1\n```\n```json\n{}\n```\n```yaml\ny\n```", &check);
        assert_eq!(lints, [Lint::on(4, "x: 1\n"), Lint::on(10, "y\n")]);
    }
}

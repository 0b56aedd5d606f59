//! Config files as the commands that run something take them.

use super::{Global, environment::Lookup, lint::unreadable};
use weir_config::{Node, file::Source};

/// Why a config file cannot be taken.
pub(super) fn failed(path: &str, reason: &dyn std::fmt::Display) -> String {
    format!("configuration file read error: {path}: {reason}")
}

/// Reads a config file; without one, an empty config.
pub(super) fn read(path: Option<&str>, lookup: Lookup<'_>) -> Result<Source, String> {
    let Some(path) = path else {
        return Ok(Source { node: Node::map(Vec::new()), missing: None, lint_disabled: false });
    };
    let bytes = std::fs::read(path).map_err(|error| failed(path, &unreadable(path, &error)))?;
    Source::read(&String::from_utf8_lossy(&bytes), lookup).map_err(|error| failed(path, &error))
}

/// The edits of the command line (`--set`), one by one.
pub(super) fn assignments(global: &Global) -> impl Iterator<Item = &str> {
    global.set.iter().flat_map(|set| set.split(','))
}

/// Logs what is wrong with a config, and refuses it unless that is what the user wants.
pub(super) fn report(lints: &[String], chilled: bool) -> Result<(), String> {
    for lint in lints {
        if chilled {
            tracing::warn!(lint, "Config lint error");
        } else {
            tracing::error!(lint, "Config lint error");
        }
    }
    if lints.is_empty() || chilled {
        return Ok(());
    }
    Err("shutting down due to linter errors, to prevent shutdown run weir with --chilled".into())
}

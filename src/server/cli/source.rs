//! Config files as the commands that run something take them.

use super::{environment::Lookup, walk::text};
use weir_config::{Node, file::Source};

/// What the end of a start is explained with.
pub(super) const REFUSED: &str =
    "shutting down due to linter errors, to prevent shutdown run weir with --chilled";

/// Why a config file cannot be taken.
pub(super) fn failed(path: &str, reason: &dyn std::fmt::Display) -> String {
    format!("configuration file read error: {path}: {reason}")
}

/// Reads a config file; without one, an empty config.
pub(super) fn read(path: Option<&str>, lookup: Lookup<'_>) -> Result<Source, String> {
    let Some(path) = path else {
        return Ok(Source { node: Node::map(Vec::new()), missing: None, lint_disabled: false });
    };
    let text = text(path).map_err(|error| failed(path, &error))?;
    Source::read(&text, lookup).map_err(|error| failed(path, &error))
}

/// The edits of the command line (`--set`), one by one.
pub(super) fn assignments(set: &[String]) -> impl Iterator<Item = &str> {
    set.iter().flat_map(|set| set.split(','))
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
    Err(REFUSED.into())
}

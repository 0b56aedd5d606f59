//! `weir echo`: a config as it is understood.

use super::{environment::Lookup, lint::unreadable};
use std::{
    fs,
    io::{self, Write},
};
use weir_config::{
    Node, file::Source, normalise::normalise, sections, set::set, stream::StreamConfig, write::to_yaml,
};
use weir_core::registry::Registry;

/// What `weir echo` is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct EchoArgs {
    /// The config file; without one, an empty config.
    pub path: Option<String>,
    /// Files of resources (`-r`): read, but not shown.
    pub resources: Vec<String>,
    /// Edits (`--set path=value`); each may hold several, with commas between.
    pub set: Vec<String>,
}

/// Writes the normalised config to `out`, and what is wrong to `errors`. Gives the exit code.
pub(super) fn echo(
    args: &EchoArgs,
    registry: &Registry,
    lookup: Lookup<'_>,
    out: &mut dyn Write,
    errors: &mut dyn Write,
) -> io::Result<i32> {
    match normalised(args, registry, lookup) {
        Ok(text) => {
            out.write_all(text.as_bytes())?;
            Ok(0)
        }
        Err(message) => {
            writeln!(errors, "{message}")?;
            Ok(1)
        }
    }
}

fn normalised(args: &EchoArgs, registry: &Registry, lookup: Lookup<'_>) -> Result<String, String> {
    let read = |path: &str| {
        let failed = |message: String| format!("configuration file read error: {path}: {message}");
        let bytes = fs::read(path).map_err(|error| failed(unreadable(path, &error)))?;
        let source = Source::read(&String::from_utf8_lossy(&bytes), lookup);
        source.map(|source| source.node).map_err(|error| failed(error.to_string()))
    };
    let mut node = match &args.path {
        Some(path) => read(path)?,
        None => Node::map(Vec::new()),
    };
    for assignment in args.set.iter().flat_map(|set| set.split(',')) {
        node = set(&node, assignment, sections::CONFIG, registry).map_err(|error| {
            format!("configuration file read error: failed to set '{assignment}': {error}")
        })?;
    }
    for path in &args.resources {
        read(path)?;
    }
    StreamConfig::read(&node, registry).map_err(|error| format!("configuration file read error: {error}"))?;
    weir_core::lint::read::check(&node, sections::CONFIG, registry)
        .map_err(|error| format!("configuration file read error: {error}"))?;
    let shown =
        normalise(&node, sections::CONFIG, registry).map_err(|error| format!("echo error: {error}"))?;
    Ok(to_yaml(&shown))
}

//! `weir echo`: a config as it is understood.

use super::{args::EchoArgs, environment::Lookup, source::failed, walk::text};
use std::io::{self, Write};
use weir_config::{
    Node, file::Source, normalise::normalise, sections, set::set, stream::StreamConfig, write::to_yaml,
};
use weir_core::registry::Registry;

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
        let text = text(path).map_err(|error| failed(path, &error))?;
        Source::read(&text, lookup).map(|source| source.node).map_err(|error| failed(path, &error))
    };
    let mut node = match &args.config {
        Some(path) => read(path)?,
        None => Node::map(Vec::new()),
    };
    for assignment in args.set.iter().flat_map(|set| set.split(',')) {
        node = set(&node, assignment, sections::CONFIG, registry).map_err(|error| {
            format!("configuration file read error: failed to set '{assignment}': {error}")
        })?;
    }
    for path in &args.extra.resources {
        read(path)?;
    }
    StreamConfig::read(&node, registry).map_err(|error| format!("configuration file read error: {error}"))?;
    weir_core::lint::read::check(&node, sections::CONFIG, registry)
        .map_err(|error| format!("configuration file read error: {error}"))?;
    let shown =
        normalise(&node, sections::CONFIG, registry).map_err(|error| format!("echo error: {error}"))?;
    Ok(to_yaml(&shown))
}

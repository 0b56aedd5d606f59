//! `weir streams`: many streams, kept over the Streams API and in files.

use super::{
    Global,
    args::StreamsArgs,
    environment::Variables,
    source::{assignments, failed, read, report},
    walk::text,
};
use crate::{
    secrets::hold_all,
    serve::{Access, Parts, run as serve},
    telemetry::start::start,
};
use std::{path::PathBuf, process::ExitCode, sync::Arc};
use weir_config::{
    LintOptions, Node, normalise::normalise, sections, service::ServiceConfig, set::set, tokens,
};
use weir_control::record::Retention;
use weir_core::registry::Registry;

/// Where the server listens unless it is told otherwise: nobody else can reach it.
const ADDRESS: &str = "127.0.0.1:4195";

/// Serves until a signal comes.
pub(super) fn run(global: &Global, args: &StreamsArgs, registry: Arc<Registry>) -> Result<ExitCode, String> {
    let variables = Variables::read(&global.env_file)?;
    let lookup = move |name: &str| variables.get(name);
    let (written, bare, lints) = service_config(global, args, &registry, &lookup)?;
    let mut config = ServiceConfig::read(&written, &registry)
        .map_err(|error| format!("configuration file read error: {error}"))?;
    if written.at(&["http", "address"]).is_none() {
        config.http.address = ADDRESS.into();
    }
    let _held = hold_all(&written, sections::SERVICE, &registry);
    start(&config.logger, global.log_level.as_deref())?;
    report(&lints, global.chilled)?;
    let mut shown = normalise(&written, sections::SERVICE, &registry).map_err(|error| error.to_string())?;
    for section in sections::RESOURCES.iter().map(|section| section.name).filter(|name| *name != "tests") {
        shown = shown.without(section);
    }
    shown = shown.without("parallel");
    serve(&Parts {
        registry,
        config,
        written,
        bare,
        config_path: args.observability.clone(),
        shown,
        resource_files: args.extra.resources.clone(),
        paths: args.paths.clone(),
        chilled: global.chilled,
        watch: args.watcher,
        api: !args.no_api,
        probation: args.probation,
        max_restarts: args.max_restarts,
        tap: args.tap,
        strict_files: args.files == "strict",
        retention: Retention {
            generations: args.keep_generations,
            revisions: args.keep_revisions,
            age: u64::try_from(args.keep_for.as_millis()).unwrap_or(u64::MAX),
        },
        quarantine: args.quarantine == "on",
        prefix: args.prefix_stream_endpoints,
        state: (args.state != "none").then(|| PathBuf::from(&args.state)),
        lookup: Arc::new(lookup),
        access: Access {
            auth_file: args.auth_file.clone(),
            control_address: args.control_address.clone(),
            insecure: args.insecure,
        },
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The service's config as written, edits applied, the same with its variables unexpanded, and what is wrong with it.
fn service_config(
    global: &Global,
    args: &StreamsArgs,
    registry: &Registry,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Node, Node, Vec<String>), String> {
    let path = args.observability.as_deref();
    let mut source = read(path, lookup)?;
    if let Some(missing) = &source.missing
        && !global.chilled
    {
        return Err(failed(path.unwrap_or_default(), missing));
    }
    let lints = source.lint(sections::SERVICE, registry, LintOptions::default(), false);
    let mut bare = match path {
        Some(path) => tokens::parse(&text(path)?).map_err(|error| failed(path, &error))?,
        None => source.node.clone(),
    };
    for assignment in assignments(&args.set) {
        bare = set(&bare, assignment, sections::SERVICE, registry).unwrap_or(bare);
        source.node = set(&source.node, assignment, sections::SERVICE, registry).map_err(|error| {
            format!("configuration file read error: failed to set '{assignment}': {error}")
        })?;
    }
    let place = |lint: &dyn std::fmt::Display| format!("{}{lint}", path.unwrap_or_default());
    Ok((source.node, bare, lints.iter().map(|lint| place(lint)).collect()))
}

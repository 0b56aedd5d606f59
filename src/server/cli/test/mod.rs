//! `weir test`: unit tests of configs, written in them or in a file beside them.

mod case;
mod conditions;
mod definition;
mod target;

use super::{
    Global,
    args::TestArgs,
    environment::Variables,
    walk::{files, text},
};
use crate::telemetry::start::start;
use case::{Failure, Runner};
use definition::Case;
use std::{collections::BTreeMap, path::Path, process::ExitCode, sync::Arc};
use weir_config::{Lint, LintOptions, Node, file::Source, sections, service::ServiceConfig};
use weir_core::{lint::read::check, registry::Registry};

/// What a file of tests has in its name, before the extension.
const SUFFIX: &str = "_benthos_test";

/// Runs every test of the files, and tells how they went.
pub(super) fn test(global: &Global, args: &TestArgs, registry: &Arc<Registry>) -> Result<ExitCode, String> {
    let variables = Variables::read(&global.env_file)?;
    if let Some(level) = &args.log {
        let service = ServiceConfig::read(&Node::map(Vec::new()), registry).map_err(|e| e.to_string())?;
        start(&service.logger, Some(level))?;
    }
    let targets = targets(&args.paths).map_err(|error| format!("Failed to obtain test targets: {error}"))?;
    if targets.is_empty() {
        println!("No tests were found");
        return Ok(ExitCode::FAILURE);
    }
    let runner = Runner::new(registry, &args.extra.resources, &variables)?;
    let mut failed = Vec::new();
    for (path, cases) in &targets {
        let broken = |error: String| format!("Failed to execute test target '{path}': {error}");
        let lints = lints(path, registry, &variables).map_err(broken)?;
        if args.verbose {
            for case in cases {
                println!("  - {}", if case.name.is_empty() { "(unnamed)" } else { &case.name });
            }
        }
        let mut failures = Vec::new();
        for (index, case) in cases.iter().enumerate() {
            let found = runner.run(path, case);
            failures.extend(found.map_err(|error| broken(format!("test case {index} failed: {error}")))?);
        }
        let is_fine = lints.is_empty() && failures.is_empty();
        println!("Test '{path}' {}", if is_fine { "succeeded" } else { "failed" });
        if !is_fine {
            failed.push((path, lints, failures));
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("\nFailures:");
    for (path, lints, failures) in failed {
        println!("\n--- {path} ---\n");
        for lint in &lints {
            println!("Lint: {lint}");
        }
        tell(&failures, !lints.is_empty());
    }
    Ok(ExitCode::FAILURE)
}

/// Prints failures below the names of their cases.
fn tell(failures: &[Failure], is_below: bool) {
    let mut last = "";
    for (index, failure) in failures.iter().enumerate() {
        if failure.name != last {
            if index > 0 || is_below {
                println!();
            }
            println!("{} [line {}]:", failure.name, failure.line);
            last = &failure.name;
        }
        println!("{}", failure.reason);
    }
}

/// The configs that arguments mean, with their tests, by path.
fn targets(paths: &[String]) -> Result<BTreeMap<String, Vec<Case>>, String> {
    let mut targets = BTreeMap::new();
    for path in files(paths)? {
        let (config, beside) = pair(&path);
        if !Path::new(&config).exists() {
            let why = "no such file or directory";
            return Err(format!("unable to access target config file '{config}': stat {config}: {why}"));
        }
        let is_beside = Path::new(&beside).exists();
        let is_yaml = super::walk::has_extension(&config, &["yaml", "yml"]);
        if targets.contains_key(&config) || !(is_beside || is_yaml) || Path::new(&config).is_dir() {
            continue;
        }
        let written = if is_beside { &beside } else { &config };
        let text = text(written)
            .map_err(|error| format!("failed to read test definition from '{written}': {error}"))?;
        let refused = |error: String| format!("failed to parse test definition from '{written}': {error}");
        let node = weir_core::yaml::parse(&text).map_err(|error| refused(error.to_string()))?;
        let cases = definition::read(&node).map_err(refused)?;
        if !cases.is_empty() {
            targets.insert(config, cases);
        }
    }
    Ok(targets)
}

/// The paths of a config and of the tests beside it, given either.
fn pair(path: &str) -> (String, String) {
    let path: std::path::PathBuf =
        Path::new(path).components().filter(|part| *part != std::path::Component::CurDir).collect();
    let extension = path.extension().map(|found| format!(".{}", found.to_string_lossy())).unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let named = |name: String| path.with_file_name(name + &extension).to_string_lossy().into_owned();
    match stem.strip_suffix(SUFFIX) {
        Some(config) => (named(config.to_owned()), named(stem.clone())),
        None => (named(stem.clone()), named(stem + SUFFIX)),
    }
}

/// What is wrong with a config, but for variables: each case may have its own.
fn lints(path: &str, registry: &Registry, variables: &Variables) -> Result<Vec<Lint>, String> {
    let source =
        Source::read(&text(path)?, &|name| variables.get(name)).map_err(|error| error.to_string())?;
    check(&source.node, sections::CONFIG, registry).map_err(|error| error.to_string())?;
    let options = LintOptions { strict: true, ..LintOptions::default() };
    Ok(source.lint(sections::CONFIG, registry, options, false))
}

#[cfg(test)]
mod tests {
    use super::pair;

    #[test]
    fn tests_are_beside_their_config() {
        let both = ("a/x.yaml".to_owned(), "a/x_benthos_test.yaml".to_owned());
        assert_eq!(pair("./a/x.yaml"), both);
        assert_eq!(pair("a/x_benthos_test.yaml"), both);
    }
}

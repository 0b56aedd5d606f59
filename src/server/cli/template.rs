//! `weir template`, and the templates that other commands load (`-t`).

use super::{
    args::TemplateLintArgs,
    difference,
    walk::{files, text, unreadable},
};
use crate::resource_files::paths;
use std::{
    fs,
    io::{self, Write},
};
use weir_config::{
    Lint,
    template::{Outcome, read},
};
use weir_core::registry::Registry;

/// Adds the components that template files define. Lints are told and refused, unless that is what the user wants.
pub(super) fn load(templates: &[String], registry: &mut Registry, chilled: bool) -> Result<(), String> {
    let mut is_clean = true;
    for path in paths(templates) {
        let path = path.to_string_lossy();
        let failed = |error: String| format!("template file read error: template {path}: {error}");
        let bytes = fs::read(&*path).map_err(|error| failed(unreadable(&path, &error)))?;
        let file = read(&String::from_utf8_lossy(&bytes), registry).map_err(failed)?;
        for lint in &file.lints {
            is_clean = false;
            eprintln!("template file {path}: {lint}");
        }
        file.template.map_err(failed)?.add_to(registry);
    }
    if is_clean || chilled {
        return Ok(());
    }
    Err(super::source::REFUSED.into())
}

/// Lints template files, runs their tests, and reports to `out`. Gives the exit code: 1 if anything is wrong.
pub(super) fn lint(args: &TemplateLintArgs, registry: &Registry, out: &mut dyn Write) -> io::Result<i32> {
    let files = match files(&args.paths) {
        Ok(files) => files,
        Err(message) => {
            writeln!(out, "lint paths error: {message}")?;
            return Ok(1);
        }
    };
    let mut code = 0;
    for path in &files {
        let lints = lint_file(path, registry);
        for lint in &lints {
            code = 1;
            writeln!(out, "{path}{lint}")?;
        }
        if args.verbose {
            writeln!(out, "{path}: {}", if lints.is_empty() { "OK" } else { "FAILED" })?;
        }
    }
    Ok(code)
}

fn lint_file(path: &str, registry: &Registry) -> Vec<Lint> {
    let file = match text(path).and_then(|text| read(&text, registry)) {
        Ok(file) => file,
        Err(error) => return vec![Lint::on(1, error)],
    };
    let mut lints = file.lints;
    match file.template {
        Ok(template) => {
            for (name, outcome) in template.test(registry) {
                lints.extend(shown(outcome).map(|text| Lint::on(1, format!("test '{name}': {text}"))));
            }
        }
        Err(error) => lints.push(Lint::on(1, error)),
    }
    lints
}

fn shown(outcome: Outcome) -> impl Iterator<Item = String> {
    let texts = match outcome {
        Outcome::Failed(error) => vec![error],
        Outcome::Lints(lints) => {
            lints.iter().map(|lint| format!("lint error in resulting config: {lint}")).collect()
        }
        Outcome::Differs { expected, got } => {
            let difference = difference::lines(&expected, &got);
            vec![format!("mismatch between expected and actual resulting config:\n{difference}")]
        }
    };
    texts.into_iter()
}

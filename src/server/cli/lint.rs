//! `weir lint`: everything that is wrong with config files.

use super::{
    args::LintArgs,
    environment::Lookup,
    walk::{files, has_extension, text},
};
use std::io::{self, Write};
use weir_config::{Lint, LintOptions, file, sections};
use weir_core::registry::Registry;

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
    let options = LintOptions { deprecated: args.deprecated, labels: args.labels, strict: true };
    let mut code = 0;
    let mut done: Vec<&String> = Vec::new();
    for path in files.iter().chain(&args.extra.resources) {
        if done.contains(&path) {
            continue;
        }
        done.push(path);
        let lints = match text(path) {
            Ok(text) => {
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
            Err(error) => vec![Lint::on(1, error)],
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

//! `grok`: makes objects of texts by named patterns.

mod expression;
mod patterns;

use super::flag;
use crate::log::Log;
use expression::{Definitions, Expression};
use serde::Deserialize;
use std::{collections::BTreeMap, mem, path::Path};
use weir_bloblang::{Message, Object, Value, split_dot_path};
use weir_core::{
    build_error::BuildError,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "grok",
    summary: "Makes an object of a message by the first of several expressions that matches it.",
    description: "An expression is a regular expression that names patterns: `%{NAME}`, `%{NAME:field}` to capture a field, \
                  `%{NAME:field:int}` or `float` to make it a number. A field with dots is a path. A message that no \
                  expression matches goes on unchanged, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("expressions", "The expressions, in order.").list(),
        Field::string("pattern_definitions", "Patterns that expressions may name.").map().default("{}"),
        Field::string(
            "pattern_paths",
            "Files, or folders of files, with a pattern a line: its name, a blank, the pattern.",
        )
        .list()
        .default("[]"),
        Field::bool(
            "named_captures_only",
            "Capture only what has a field; otherwise patterns also by their names.",
        )
        .default("true")
        .advanced(),
        Field::bool("use_default_patterns", "Whether the common patterns are known.")
            .default("true")
            .advanced(),
        Field::bool("remove_empty_values", "Leave out fields that are empty.").default("true").advanced(),
    ]),
    examples: &[Example {
        title: "A word and a number",
        config: "expressions: [ '%{WORD:first} %{INT:second:int}' ]",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let mut definitions = Definitions::new(config.use_default_patterns, config.pattern_definitions);
        for path in &config.pattern_paths {
            let failed =
                |error| BuildError::new(format!("failed to parse patterns from path '{path}': {error}"));
            definitions.extend(read(path).map_err(failed)?);
        }
        let compile = |text: &String| {
            let failed = |error| BuildError::new(format!("failed to compile Grok pattern '{text}': {error}"));
            Expression::compile(text, &definitions, config.named_captures_only).map_err(failed)
        };
        Ok(Box::new(Grok {
            expressions: config.expressions.iter().map(compile).collect::<Result<_, _>>()?,
            keeps_empty: !config.remove_empty_values,
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    expressions: Vec<String>,
    pattern_definitions: BTreeMap<String, String>,
    pattern_paths: Vec<String>,
    named_captures_only: bool,
    use_default_patterns: bool,
    remove_empty_values: bool,
}

/// The patterns of a file, or of the files of a folder.
fn read(path: &str) -> Result<Vec<(String, String)>, String> {
    let told = |verb: &str, path: &Path, error: std::io::Error| {
        format!("{verb} {}: {}", path.display(), weir_core::error::Error::from(error))
    };
    let whole = Path::new(path);
    let is_folder = whole.metadata().map_err(|error| told("stat", whole, error))?.is_dir();
    let mut files = vec![whole.to_path_buf()];
    if is_folder {
        let entries = whole.read_dir().map_err(|error| told("open", whole, error))?;
        files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        files.retain(|file| file.is_file());
        files.sort();
    }
    let mut patterns = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| told("open", &file, error))?;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (name, pattern) = line
                .split_once(' ')
                .ok_or_else(|| format!("{}: no pattern after '{line}'", file.display()))?;
            patterns.push((name.to_owned(), pattern.to_owned()));
        }
    }
    Ok(patterns)
}

struct Grok {
    expressions: Vec<Expression>,
    keeps_empty: bool,
    log: Log,
}

impl Grok {
    fn parse(&self, content: &[u8]) -> Option<Value> {
        let values = self.expressions.iter().find_map(|expression| {
            expression.captures(content, self.keeps_empty).filter(|values| !values.is_empty())
        })?;
        let mut object = Value::object(Object::with_capacity(values.len()));
        for (field, value) in values {
            // A path through what is no object sets nothing.
            drop(object.set_path(&split_dot_path(field), value));
        }
        Some(object)
    }
}

impl Processor for Grok {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            if let Some(value) = self.parse(message.content()) {
                message.set_value(value);
            } else {
                self.log.debug("No matches found");
                flag(message, "no pattern matches found");
            }
            out.push(mem::take(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn the_first_expression_that_matches_is_taken() {
        let config = "grok: { expressions: [ '%{INT:n:int}$', '%{WORD:a.b} %{ME:a.c}' ], pattern_definitions: { ME: 'x+' } }";
        let out = run(config, &["v 42", "y xx", "--"]).await;
        assert_eq!(shown(&out), [["{\"n\":42}", "{\"a\":{\"b\":\"y\",\"c\":\"xx\"}}", "--"]]);
        assert_eq!(out[0][2].error().unwrap().text, "no pattern matches found");
    }

    #[test]
    fn unknown_and_endless_patterns_are_refused() {
        let error = |config| try_build(config).err().unwrap().to_string();
        assert!(error("grok: { expressions: [ '%{NOPE:a}' ] }").ends_with("no pattern found for %{NOPE}"));
        let endless =
            "grok: { expressions: [ '%{A}' ], pattern_definitions: { A: '%{B}%{B}', B: '%{A}%{A}' } }";
        assert!(error(endless).contains("too deep"));
    }
}

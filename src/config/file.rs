//! From the text of a file or a request to a node or to everything that is wrong with it.

use crate::{
    Lint, LintOptions, Node,
    environment::{self, EnvironmentError, Expanded},
};
use std::fmt;
use weir_core::{field::Field, lint, registry::Registry, yaml::YamlError};

/// A text that cannot be read as a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileError {
    /// A variable in it cannot be decoded.
    Environment(EnvironmentError),
    /// It is no YAML.
    Yaml(YamlError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(error) => error.fmt(f),
            Self::Yaml(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FileError {}

/// A text, read.
#[derive(Debug, Clone)]
pub struct Source {
    /// What it holds; null on line 0 if nothing.
    pub node: Node,
    /// What it says of missing variables, if any are.
    pub missing: Option<String>,
    /// Whether it asks not to be linted.
    pub lint_disabled: bool,
}

impl Source {
    /// Replaces the variables of a text and reads it as YAML.
    pub fn read(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Self, FileError> {
        let Expanded { text: expanded, missing } =
            environment::expand(text, lookup).map_err(FileError::Environment)?;
        let node = weir_core::yaml::parse(&expanded).map_err(FileError::Yaml)?;
        let missing = Expanded { text: String::new(), missing }.complaint();
        let lint_disabled =
            ["# BENTHOS LINT DISABLE", "# WEIR LINT DISABLE"].iter().any(|mark| text.starts_with(mark));
        Ok(Self { node, missing, lint_disabled })
    }

    /// Everything that is wrong with it as a config of these sections, missing variables included.
    pub fn lint(
        &self,
        sections: &'static [Field],
        registry: &Registry,
        options: LintOptions,
        check_variables: bool,
    ) -> Vec<Lint> {
        if let Err(error) = lint::read::check(&self.node, sections, registry) {
            return vec![error.lint()];
        }
        let missing = self.missing.as_deref().filter(|_| check_variables).map(|text| Lint::on(1, text));
        let mut lints: Vec<Lint> = missing.into_iter().collect();
        if !self.lint_disabled {
            let strict = self.node.at(&["error_handling", "strict"]).and_then(Node::as_str) == Some("true");
            let options = LintOptions { strict: options.strict && strict, ..options };
            lints.extend(lint::config(&self.node, sections, registry, options));
        }
        lints
    }
}

/// Everything that is wrong with a text as a config of these sections.
pub fn lint_text(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    sections: &'static [Field],
    registry: &Registry,
    options: LintOptions,
    check_variables: bool,
) -> Vec<Lint> {
    match Source::read(text, lookup) {
        Ok(source) => source.lint(sections, registry, options, check_variables),
        Err(error) => vec![Lint::on(1, error.to_string())],
    }
}

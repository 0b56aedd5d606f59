//! Which metadata keys, or headers, are taken.

use regex::Regex;
use serde::Deserialize;
use weir_core::{build_error::BuildError, field::Field};

/// The fields of a filter.
pub(crate) const FIELDS: &[Field] = &[
    Field::string("include_prefixes", "Keys that begin with one of these are taken.")
        .list()
        .default("[]")
        .advanced(),
    Field::string("include_patterns", "Keys that match one of these regular expressions are taken.")
        .list()
        .default("[]")
        .advanced(),
];

/// A filter as configured.
#[derive(Deserialize, Default)]
pub(crate) struct FilterConfig {
    include_prefixes: Vec<String>,
    include_patterns: Vec<String>,
}

/// Says which keys are taken; without prefixes and patterns none.
#[derive(Default)]
pub(crate) struct Filter {
    prefixes: Vec<String>,
    patterns: Vec<Regex>,
}

impl Filter {
    /// Compiles the patterns.
    pub(crate) fn new(config: FilterConfig) -> Result<Self, BuildError> {
        let compile = |pattern: &String| {
            Regex::new(pattern).map_err(|error| {
                BuildError::new(format!("failed to compile regexp '{pattern}': {error}"))
                    .at("include_patterns")
            })
        };
        let patterns = config.include_patterns.iter().map(compile).collect::<Result<_, _>>()?;
        Ok(Self { prefixes: config.include_prefixes, patterns })
    }

    #[cfg(test)]
    pub(crate) fn by_prefix(prefix: &str) -> Self {
        Self { prefixes: vec![prefix.into()], patterns: Vec::new() }
    }

    /// Whether nothing is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.patterns.is_empty()
    }

    /// Whether this key is taken.
    pub(crate) fn takes(&self, key: &str) -> bool {
        self.prefixes.iter().any(|prefix| key.starts_with(prefix))
            || self.patterns.iter().any(|pattern| pattern.is_match(key))
    }
}

//! Why a config could not be read or a component not be built.

use std::fmt;

/// A failure to read a config or to build a component, with the place in the config.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildError {
    path: Vec<String>,
    line: Option<u32>,
    message: String,
}

impl BuildError {
    /// A failure that has no place yet; lowercase, no full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), line: None, message: message.into() }
    }

    /// The same failure, seen from one level up: `field` (a key or a list index) is where it happened.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.path.insert(0, field.into());
        self
    }

    /// The same failure on a line of the config; the innermost line stays, and 0 is none.
    #[must_use]
    pub fn on_line(mut self, line: u32) -> Self {
        if self.line.is_none() && line > 0 {
            self.line = Some(line);
        }
        self
    }

    /// The same failure with words before its message.
    #[must_use]
    pub fn context(mut self, words: impl fmt::Display) -> Self {
        self.message = format!("{words}: {self}");
        self.path.clear();
        self.line = None;
        self
    }

    /// The path of keys and indexes, joined with dots; empty for the component itself.
    pub fn path(&self) -> String {
        self.path.join(".")
    }

    /// The line in the config, if it is known.
    pub fn line(&self) -> Option<u32> {
        self.line
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.path {
            if part.bytes().all(|byte| byte.is_ascii_digit()) {
                write!(f, "index {part}: ")?;
            } else {
                write!(f, "field '{part}': ")?;
            }
        }
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for BuildError {}

impl serde::de::Error for BuildError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::new(format!("field '{field}' is required and was not present in the config"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_place_from_outside_in() {
        let error = BuildError::new("expected array value, got !!map").on_line(3).on_line(1);
        let error = error.at("processors").at("pipeline");
        assert_eq!(error.path(), "pipeline.processors");
        assert_eq!(
            error.to_string(),
            "field 'pipeline': field 'processors': line 3: expected array value, got !!map"
        );
        assert_eq!(
            BuildError::new("no").at("0").context("failed to init").to_string(),
            "failed to init: index 0: no"
        );
    }
}

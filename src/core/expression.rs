//! Bloblang in configs: mappings and interpolated strings, compiled when the config is read.
//!
//! Ten thousand streams often hold the same few texts: what is compiled is shared by text for as long as
//! anybody uses it.

use crate::build_error::BuildError;
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    collections::HashMap,
    ops::Deref,
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
};
use weir_bloblang::{Environment, ParseError, Program};

/// The language's tables, made once.
fn language() -> &'static Environment {
    static LANGUAGE: OnceLock<Environment> = OnceLock::new();
    LANGUAGE.get_or_init(Environment::new)
}

/// A compiled mapping or query.
#[derive(Debug, Clone)]
pub struct Mapping(Arc<Program>);

impl Mapping {
    /// Compiles it, or finds it compiled. The error is the processor's: `failed to parse bloblang mapping …`.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        Self::compiled(text, |error| {
            format!("failed to parse bloblang mapping '': {}", error.without_position())
        })
    }

    /// The same, with an error that says where in the text: `failed to parse mapping: line 1 char 9: …`.
    pub fn parse_placed(text: &str) -> Result<Self, BuildError> {
        Self::compiled(text, |error| format!("failed to parse mapping: {error}"))
    }

    fn compiled(text: &str, refuse: fn(&ParseError) -> String) -> Result<Self, BuildError> {
        static KNOWN: OnceLock<Known<Program>> = OnceLock::new();
        let compile = || Program::parse(text, language()).map_err(|error| BuildError::new(refuse(&error)));
        KNOWN.get_or_init(Known::default).find(text, compile, weir_bloblang::Program::is_pure).map(Self)
    }
}

impl Deref for Mapping {
    type Target = Program;
    fn deref(&self) -> &Program {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Mapping {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A string that may hold `${! }` expressions.
#[derive(Debug, Clone)]
pub struct Interpolated(Arc<weir_bloblang::Interpolated>);

impl Interpolated {
    /// Compiles it, or finds it compiled.
    pub fn parse(text: &str) -> Result<Self, BuildError> {
        static KNOWN: OnceLock<Known<weir_bloblang::Interpolated>> = OnceLock::new();
        let compile = || {
            weir_bloblang::Interpolated::parse(text, language())
                .map_err(|error| BuildError::new(format!("failed to parse interpolated field: {error}")))
        };
        KNOWN.get_or_init(Known::default).find(text, compile, weir_bloblang::Interpolated::is_pure).map(Self)
    }
}

impl Deref for Interpolated {
    type Target = weir_bloblang::Interpolated;
    fn deref(&self) -> &weir_bloblang::Interpolated {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Interpolated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// What is compiled now, by text.
struct Known<T>(Mutex<HashMap<Arc<str>, Weak<T>>>);

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Known<T> {
    fn find(
        &self,
        text: &str,
        compile: impl FnOnce() -> Result<T, BuildError>,
        is_shared: impl FnOnce(&T) -> bool,
    ) -> Result<Arc<T>, BuildError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.get(text).and_then(Weak::upgrade) {
            return Ok(found);
        }
        let made = Arc::new(compile()?);
        // One that counts or the like has a state of its own.
        if !is_shared(&made) {
            return Ok(made);
        }
        // What nobody uses any more goes when the table would grow.
        if known.len() == known.capacity() {
            known.retain(|_, weak| weak.strong_count() > 0);
        }
        known.insert(text.into(), Arc::downgrade(&made));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_share_one_program() {
        let (one, other) = (Mapping::parse("root = 1").unwrap(), Mapping::parse("root = 1").unwrap());
        assert!(Arc::ptr_eq(&one.0, &other.0));
        let counting = || Mapping::parse("root = counter()").unwrap();
        assert!(!Arc::ptr_eq(&counting().0, &counting().0));
    }
}

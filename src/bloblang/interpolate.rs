//! Strings with `${! }` in them.

use crate::compile::{Expr, Part};
use crate::environment::Environment;
use crate::error::Fault;
use crate::eval::Cx;
use crate::message::Message;
use crate::parse::{self, ParseError};

/// A string that may hold queries.
#[derive(Debug)]
pub struct Interpolated(Parts);

#[derive(Debug)]
enum Parts {
    Static(Box<str>),
    Dynamic(Box<[Part]>),
}

impl Interpolated {
    /// Compiles a string.
    pub fn parse(source: &str, environment: &Environment) -> Result<Self, ParseError> {
        // Most strings hold nothing to compile.
        if !source.contains("${") {
            return Ok(Self(Parts::Static(source.into())));
        }
        let mut parts = parse::interpolated(source, environment)?;
        let literal = |part: &Part| matches!(part, Part::Literal(_));
        if parts.len() <= 1 && parts.iter().all(literal) {
            return Ok(Self(Parts::Static(match parts.pop() {
                Some(Part::Literal(text)) => text,
                _ => "".into(),
            })));
        }
        Ok(Self(Parts::Dynamic(parts.into())))
    }

    /// The text, if it is the same for every message.
    pub fn as_static(&self) -> Option<&str> {
        match &self.0 {
            Parts::Static(text) => Some(text),
            Parts::Dynamic(_) => None,
        }
    }

    /// The text for one message of a batch.
    pub fn resolve(&self, batch: &[Message], index: usize) -> Result<Vec<u8>, Fault> {
        let mut out = Vec::new();
        self.resolve_into(batch, index, &mut out)?;
        Ok(out)
    }

    /// The text for one message of a batch, invalid UTF-8 replaced.
    pub fn resolve_string(&self, batch: &[Message], index: usize) -> Result<String, Fault> {
        if let Parts::Static(text) = &self.0 {
            return Ok((**text).to_owned());
        }
        let bytes = self.resolve(batch, index)?;
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Appends the text for one message of a batch.
    pub fn resolve_into(&self, batch: &[Message], index: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        let parts = match &self.0 {
            Parts::Static(text) => {
                out.extend_from_slice(text.as_bytes());
                return Ok(());
            }
            Parts::Dynamic(parts) => parts,
        };
        let mut cx = Cx::query(batch, index);
        for part in parts {
            match part {
                Part::Literal(text) => out.extend_from_slice(text.as_bytes()),
                Part::Expr(expr) => cx.run(expr)?.write_text(out),
            }
        }
        Ok(())
    }

    /// Whether it depends on nothing but the message and its batch, and never waits.
    pub fn is_pure(&self) -> bool {
        !self.any(|call| call.impure || call.blocks)
    }

    /// Whether it may take long or wait.
    pub fn blocks(&self) -> bool {
        self.any(|call| call.blocks)
    }

    fn any(&self, wanted: impl Fn(&crate::spec::Traits) -> bool) -> bool {
        let Parts::Dynamic(parts) = &self.0 else { return false };
        let mut found = false;
        for part in parts {
            if let Part::Expr(expr) = part {
                expr.walk(&mut |expr| {
                    if let Expr::Call(call) = expr {
                        found |= wanted(&call.spec.traits);
                    }
                });
            }
        }
        found
    }
}

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
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
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
                Part::Expr(expr) => {
                    let value = cx.run(expr)?;
                    cx.walk(&value)?;
                    value.write_text(out);
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(source: &str) -> String {
        let batch = [Message::new(&br#"{"a":{"k":"<"},"b":null,"c":"x"}"#[..])];
        let text = Interpolated::parse(source, &Environment::new()).map_err(|error| error.to_string());
        text.and_then(|text| text.resolve_string(&batch, 0).map_err(|fault| fault.to_string()))
            .unwrap_or_else(|e| e)
    }

    #[test]
    fn pieces() {
        assert_eq!(resolved("${! this.a }-${! this.b }"), r#"{"k":"\u003c"}-null"#);
        assert_eq!(resolved("${{!x}} $ ${x} ${!json(\"c\")}"), "${!x} $ ${x} x");
        assert_eq!(resolved("${! this.c"), "char 11: required: expected end of expression");
        assert_eq!(resolved("${! root }"), "unable to reference `root` from this context");
    }

    #[test]
    fn what_holds_no_query_is_static() {
        let text = |source| Interpolated::parse(source, &Environment::new()).unwrap();
        assert_eq!(text("a $ b").as_static(), Some("a $ b"));
        assert_eq!(text("${{!x}}").as_static(), Some("${!x}"));
        assert_eq!(text("").as_static(), Some(""));
        assert_eq!(text("${!uuid_v4()}").as_static(), None);
    }
}

//! Errors of evaluation. Most are swallowed by `|` or `catch`, so their text is made only when it is read.

use std::fmt;
use std::sync::Arc;

use crate::json::JsonError;
use crate::number::{Narrow, format_shortest32};
use crate::value::Value;

/// Why an evaluation failed. One pointer wide.
#[derive(Clone, Debug)]
pub struct Fault(Box<Kind>);

/// What an expression is called in errors, such as ``field `this.a` ``.
pub(crate) type Source = Arc<str>;

#[derive(Clone, Debug)]
enum Kind {
    Text(Box<str>),
    Expected {
        expected: &'static str,
        value: Value,
        from: Option<Source>,
    },
    Mismatch {
        verb: &'static str,
        left: &'static str,
        left_from: Source,
        right: &'static str,
        right_from: Source,
    },
    From {
        source: Source,
        inner: Fault,
    },
    Context {
        prefix: Box<str>,
        inner: Fault,
    },
    NoContext {
        path: String,
    },
    Json(JsonError),
    Line {
        line: u32,
        inner: Fault,
    },
    TooManyMaps {
        map: Box<str>,
        most: u32,
    },
}

impl Fault {
    /// An error of this text.
    #[cold]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Box::new(Kind::Text(text.into().into_boxed_str())))
    }

    /// A value of the wrong type: `expected` names what is accepted, such as `string` or `number or string`.
    #[cold]
    pub fn expected(expected: &'static str, value: &Value) -> Self {
        Self(Box::new(Kind::Expected { expected, value: value.clone(), from: None }))
    }

    /// Two operands that do not go together.
    #[cold]
    pub(crate) fn mismatch(
        verb: &'static str,
        left: (&'static str, Source),
        right: (&'static str, Source),
    ) -> Self {
        let ((left, left_from), (right, right_from)) = (left, right);
        Self(Box::new(Kind::Mismatch { verb, left, left_from, right, right_from }))
    }

    /// Names where a value came from, unless something further in was named already.
    #[cold]
    #[must_use]
    #[expect(clippy::wrong_self_convention, reason = "it says where a value is from")]
    pub(crate) fn from_source(mut self, source: &Source) -> Self {
        if let Kind::Expected { from, .. } = &mut *self.0 {
            from.get_or_insert_with(|| source.clone());
            return self;
        }
        if matches!(&*self.0, Kind::Mismatch { .. }) || self.is_sourced() {
            return self;
        }
        Self(Box::new(Kind::From { source: source.clone(), inner: self }))
    }

    /// Puts `prefix: ` before the text.
    #[cold]
    #[must_use]
    pub fn context(self, prefix: impl Into<String>) -> Self {
        Self(Box::new(Kind::Context { prefix: prefix.into().into_boxed_str(), inner: self }))
    }

    /// A path from a context that is not there.
    #[cold]
    pub(crate) fn no_context(path: String) -> Self {
        Self(Box::new(Kind::NoContext { path }))
    }

    /// Content that is not JSON.
    #[cold]
    pub(crate) fn json(error: &JsonError) -> Self {
        Self(Box::new(Kind::Json(error.clone())))
    }

    /// Too many maps within one another.
    #[cold]
    pub(crate) fn too_many_maps(map: &str, most: u32) -> Self {
        Self(Box::new(Kind::TooManyMaps { map: map.into(), most }))
    }

    /// Names the line of the statement that failed.
    #[cold]
    #[must_use]
    pub(crate) fn at_line(self, line: u32) -> Self {
        Self(Box::new(Kind::Line { line, inner: self }))
    }

    /// Of a map that failed: only the innermost statement counts, and of endless recursion only that.
    #[cold]
    #[must_use]
    pub(crate) fn innermost_line(self) -> Self {
        let Kind::Line { line, inner } = &*self.0 else { return self };
        if let Some(innermost) = inner.find(&|kind| matches!(kind, Kind::Line { .. })) {
            return innermost.clone();
        }
        match inner.find(&|kind| matches!(kind, Kind::TooManyMaps { .. })) {
            Some(cause) => cause.clone().at_line(*line),
            None => self,
        }
    }

    /// Where the message itself could not be parsed, says so instead of naming a missing context.
    #[cold]
    #[must_use]
    pub(crate) fn explain(self, error: &JsonError) -> Self {
        let Some(Kind::NoContext { path }) =
            self.find(&|kind| matches!(kind, Kind::NoContext { .. })).map(|f| &*f.0)
        else {
            return self;
        };
        let what = if path.is_empty() { "this".to_owned() } else { format!("this.{path}") };
        let cause = match error {
            JsonError::Empty => "message is empty".to_owned(),
            error => format!("parse as json: {error}"),
        };
        let text = format!("unable to reference message as structured (with '{what}'): {cause}");
        match &*self.0 {
            Kind::Line { line, .. } => Self::new(text).at_line(*line),
            _ => Self::new(text),
        }
    }

    /// The outermost error of a kind within.
    fn find(&self, wanted: &dyn Fn(&Kind) -> bool) -> Option<&Fault> {
        if wanted(&self.0) {
            return Some(self);
        }
        match &*self.0 {
            Kind::From { inner, .. } | Kind::Context { inner, .. } | Kind::Line { inner, .. } => {
                inner.find(wanted)
            }
            _ => None,
        }
    }

    fn is_sourced(&self) -> bool {
        self.find(&|kind| matches!(kind, Kind::From { .. })).is_some()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Text(text) => f.write_str(text),
            Kind::Expected { expected, value, from } => {
                write!(f, "expected {expected} value, got {}", value.type_name())?;
                if let Some(from) = from {
                    write!(f, " from {from}")?;
                }
                write_shown(f, value)
            }
            Kind::Mismatch { verb, left, left_from, right, right_from } => {
                write!(f, "cannot {verb} types {left} (from {left_from}) and {right} (from {right_from})")
            }
            Kind::From { source, inner } => write!(f, "{source}: {inner}"),
            Kind::Context { prefix, inner } => write!(f, "{prefix}: {inner}"),
            Kind::NoContext { path } if path.is_empty() => f.write_str("context was undefined"),
            Kind::NoContext { path } => write!(f, "context was undefined, unable to reference `{path}`"),
            Kind::Json(JsonError::Empty) => f.write_str("target message part does not exist"),
            Kind::Json(error) => error.fmt(f),
            Kind::Line { line, inner } => write!(f, "failed assignment (line {line}): {inner}"),
            Kind::TooManyMaps { map, most } => write!(
                f,
                "entering {map} exceeded maximum allowed stacks of {most}, this could be due to unbounded recursion"
            ),
        }
    }
}

/// Scalars are shown, containers are not.
fn write_shown(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    if let Value::Narrow(Narrow::Float32(number)) = value {
        return write!(f, " ({})", format_shortest32(*number));
    }
    match value.kind() {
        crate::value::Kind::String => write!(f, " (\"{}\")", value.to_text()),
        crate::value::Kind::Bool | crate::value::Kind::Number => write!(f, " ({})", value.to_text()),
        _ => Ok(()),
    }
}

impl std::error::Error for Fault {}

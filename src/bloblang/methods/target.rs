//! Reading a method's target, with the errors the language gives for other types.

use std::borrow::Cow;
use std::sync::Arc;

use crate::error::Fault;
use crate::object::Object;
use crate::text::{Text, lossy};
use crate::value::{Kind, Value};

/// The target of a method that takes strings and bytes and gives back what it was given.
pub(super) struct TextTarget<'a> {
    pub(super) bytes: Cow<'a, [u8]>,
    /// Whether it is bytes.
    raw: bool,
}

impl TextTarget<'_> {
    /// A result of the target's own type.
    pub(super) fn give(&self, bytes: &[u8]) -> Value {
        if self.raw { Value::bytes(bytes.to_vec()) } else { Value::String(Text::new(bytes)) }
    }

    /// As UTF-8, invalid bytes replaced.
    pub(super) fn str(&self) -> Cow<'_, str> {
        lossy(&self.bytes)
    }

    pub(super) fn is_bytes(&self) -> bool {
        self.raw
    }
}

/// A string or bytes.
#[inline]
pub(super) fn text(target: &Value) -> Result<TextTarget<'_>, Fault> {
    match target.as_bytes() {
        Some(bytes) => Ok(TextTarget { bytes, raw: matches!(target, Value::Bytes(_)) }),
        None => Err(Fault::expected("string", target)),
    }
}

/// A string, bytes, or a timestamp as its text.
pub(super) fn coerced(target: &Value) -> Result<Cow<'_, [u8]>, Fault> {
    target.text_bytes().ok_or_else(|| Fault::expected("string", target))
}

/// As [`coerced`], as UTF-8.
pub(super) fn coerced_str(target: &Value) -> Result<Cow<'_, str>, Fault> {
    Ok(match coerced(target)? {
        Cow::Borrowed(bytes) => lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(lossy(&bytes).into_owned()),
    })
}

/// An array.
#[inline]
pub(super) fn array(target: &Value) -> Result<Arc<Vec<Value>>, Fault> {
    target.to_array().ok_or_else(|| Fault::expected("array", target))
}

/// An object.
#[inline]
pub(super) fn object(target: &Value) -> Result<Arc<Object>, Fault> {
    target.to_object().ok_or_else(|| Fault::expected("object", target))
}

/// Any number, as a float.
pub(super) fn float(target: &Value) -> Result<f64, Fault> {
    match target.as_number() {
        Some(number) => Ok(number.to_f64()),
        None => Err(not_a_number(target)),
    }
}

/// Why a value gave no number: its type, or a text beyond floats.
pub(super) fn not_a_number(target: &Value) -> Fault {
    match target.number_text() {
        Some(text) => Fault::new(crate::compat::parse_error("ParseFloat", text, "value out of range")),
        None => Fault::expected("number", target),
    }
}

/// Bytes that a pair takes, about.
pub(super) const PAIR: usize = 200;

/// A pair as lambdas over objects see it.
pub(super) fn pair(first: (&str, Value), second: (&str, Value)) -> Value {
    let mut object = Object::with_capacity(2);
    object.insert(first.0, first.1);
    object.insert(second.0, second.1);
    Value::object(object)
}

/// `key` and `value` of a member.
pub(super) fn member(key: &[u8], value: Value) -> Value {
    pair(("key", Value::String(Text::new(key))), ("value", value))
}

/// Whether a query's result is a boolean, and which.
pub(super) fn boolean(value: &Value) -> Option<bool> {
    (value.kind() == Kind::Bool).then(|| value.as_bool()).flatten()
}

/// What plugins take as bytes: bytes, a string, or a timestamp as its text.
pub(super) fn raw_bytes(target: &Value) -> Result<Cow<'_, [u8]>, Fault> {
    target.text_bytes().ok_or_else(|| Fault::expected("bytes", target))
}

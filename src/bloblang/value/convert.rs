//! Making values, and reading them as text.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Value;
use crate::number::{self, Narrow};
use crate::object::Object;
use crate::stack::deep;
use crate::text::Text;
use crate::timestamp::Timestamp;

impl Value {
    /// A value of bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::Bytes(Arc::new(bytes.into()))
    }

    /// A string value.
    pub fn string(text: impl Into<Text>) -> Self {
        Self::String(text.into())
    }

    /// An integer of the machine's width, as searches and YAML yield.
    pub fn word(value: i64) -> Self {
        Self::Narrow(Narrow::Word(value))
    }

    /// The value as text: what `string()` gives, and interpolation writes.
    pub fn to_text(&self) -> Text {
        let mut out = Vec::new();
        self.write_text(&mut out);
        Text::new(&out)
    }

    /// Appends the value as text: scalars plainly, null as `null`, containers as JSON.
    pub fn write_text(&self, out: &mut Vec<u8>) {
        if let Some(bytes) = self.as_bytes() {
            out.extend_from_slice(&bytes);
            return;
        }
        match self {
            Self::Float(n) => out.extend_from_slice(number::format_shortest(*n).as_bytes()),
            Self::Timestamp(time) => out.extend_from_slice(time.to_string().as_bytes()),
            other => {
                let start = out.len();
                if other.write_json_html_escaped(out).is_err() {
                    out.truncate(start);
                    out.extend_from_slice(b"null");
                }
            }
        }
    }

    /// The bytes a payload has when this is its root, or `None` if it cannot be written.
    pub fn to_payload(&self) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some((**bytes).clone()),
            other => {
                let mut out = Vec::new();
                other.write_payload(&mut out);
                Some(Bytes::from(out))
            }
        }
    }

    /// Appends the payload form: strings and bytes raw, everything else JSON; nothing if JSON cannot express it.
    pub fn write_payload(&self, out: &mut Vec<u8>) {
        if let Some(bytes) = self.as_bytes() {
            out.extend_from_slice(&bytes);
            return;
        }
        let start = out.len();
        if self.write_json(out).is_err() {
            out.truncate(start);
        }
    }

    /// Strings, bytes and timestamps as bytes: the coercion string methods share.
    pub fn text_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Timestamp(time) => Some(Cow::Owned(time.to_string().into_bytes())),
            other => other.as_bytes(),
        }
    }

    /// A copy that refers to no document: everything is built.
    #[must_use]
    pub fn into_owned(self) -> Self {
        match &self {
            Self::Node(..) => {
                if let Some(object) = self.to_object() {
                    return Self::object(
                        object.iter().map(|(key, value)| (key, deep(|| value.into_owned()))).collect(),
                    );
                }
                if let Some(items) = self.to_array() {
                    return Self::from(
                        items.iter().map(|item| deep(|| item.clone().into_owned())).collect::<Vec<_>>(),
                    );
                }
                if let Some(text) = self.number_text() {
                    return Self::Number(Arc::from(text));
                }
                self.as_bytes().map_or(Self::Null, |bytes| Self::String(Text::new(&bytes)))
            }
            _ => self,
        }
    }

    /// An object value.
    pub fn object(object: Object) -> Self {
        Self::Object(Arc::new(object))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<Text> for Value {
    fn from(text: Text) -> Self {
        Self::String(text)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self::bytes(bytes)
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::Array(Arc::new(items))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::object(object)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Timestamp(Arc::new(time))
    }
}

impl From<crate::number::Num> for Value {
    fn from(number: crate::number::Num) -> Self {
        match number {
            crate::number::Num::Int(n) => Self::Int(n),
            crate::number::Num::Uint(n) => Self::Uint(n),
            crate::number::Num::Float(n) => Self::Float(n),
        }
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl FromIterator<Value> for Value {
    fn from_iter<I: IntoIterator<Item = Value>>(items: I) -> Self {
        Self::from(items.into_iter().collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms() {
        let object = Value::parse_json(&br#"{"k":"<"}"#[..]).unwrap();
        assert_eq!(object.to_text(), r#"{"k":"\u003c"}"#);
        assert_eq!(Value::Float(1e6).to_text(), "1e+06");
        assert_eq!(Value::Null.to_text(), "null");
        assert_eq!(Value::from(vec![Value::Float(f64::NAN)]).to_text(), "null");
        assert_eq!(object.into_owned().to_json(), r#"{"k":"<"}"#);
    }
}

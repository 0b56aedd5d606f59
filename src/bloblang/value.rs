//! Values of the language.

mod compare;
mod convert;
mod path;
mod weight;
mod written;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::json::{
    Doc, Kind as NodeKind, MAX_DEPTH, MAX_TEXT, Numbers, Style, Unwritable, write_document, write_string,
};
use crate::number::{self, Narrow, Num};
use crate::object::Object;
use crate::stack::{deep, is_roomy};
use crate::text::Text;
use crate::timestamp::Timestamp;
pub(crate) use path::bounded_dot_path;
pub use path::{ArrayProblem, PathError, Segment, dot_path, split_dot_path};
pub(crate) use weight::Allowance;

/// A value. Cloning never copies a container.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Null.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float.
    Float(f64),
    /// A number of a narrower kind.
    Narrow(Narrow),
    /// A number's text, not converted yet.
    Number(Arc<str>),
    /// A string.
    String(Text),
    /// Bytes.
    Bytes(Arc<Bytes>),
    /// A point in time, with the zone it is shown in.
    Timestamp(Arc<Timestamp>),
    /// An array.
    Array(Arc<Vec<Value>>),
    /// An object.
    Object(Arc<Object>),
    /// Any value of a parsed document.
    Node(Arc<Doc>, u32),
    /// The wish to delete what is assigned to.
    Delete,
    /// The absence of a value.
    Nothing,
}

/// The types the language names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A string.
    String,
    /// Bytes.
    Bytes,
    /// Any number.
    Number,
    /// A boolean.
    Bool,
    /// A point in time.
    Timestamp,
    /// An array.
    Array,
    /// An object.
    Object,
    /// Null.
    Null,
    /// The wish to delete.
    Delete,
    /// The absence of a value.
    Nothing,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// The name in messages and of `type()`.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Timestamp => "timestamp",
            Self::Array => "array",
            Self::Object => "object",
            Self::Null => "null",
            Self::Delete => "delete",
            Self::Nothing => "nothing",
            Self::Unknown => "unknown",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

const _: () = assert!(size_of::<Value>() <= 24);

/// How long a text may become, and how deep what it shows may still be.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    end: usize,
    levels: usize,
}

impl Room {
    /// Room for one document behind what is there.
    pub(crate) fn after(out: &[u8]) -> Self {
        Self { end: out.len() + MAX_TEXT, levels: MAX_DEPTH }
    }

    /// Room within a container.
    #[inline]
    fn below(self) -> Result<Self, Unwritable> {
        Ok(Self { levels: self.levels.checked_sub(1).ok_or(Unwritable::TooDeep)?, ..self })
    }

    #[inline]
    pub(crate) fn check(self, out: &[u8]) -> Result<(), Unwritable> {
        if out.len() > self.end { Err(Unwritable::TooLarge) } else { Ok(()) }
    }
}

impl Drop for Value {
    /// Containers nobody shares are emptied here, since there may be any number within one another.
    #[inline]
    fn drop(&mut self) {
        match self {
            Self::Array(items) => {
                if let Some(items) = Arc::get_mut(items) {
                    if is_roomy() { items.clear() } else { unravel(std::mem::take(items)) }
                }
            }
            Self::Object(object) => {
                if let Some(object) = Arc::get_mut(object) {
                    if is_roomy() { object.clear() } else { unravel(object.take_values()) }
                }
            }
            _ => {}
        }
    }
}

/// Drops values nested as deep as they may be without a stack.
#[cold]
fn unravel(mut rest: Vec<Value>) {
    while let Some(mut value) = rest.pop() {
        match &mut value {
            Value::Array(items) => {
                if let Some(items) = Arc::get_mut(items) {
                    rest.append(items);
                }
            }
            Value::Object(object) => {
                if let Some(object) = Arc::get_mut(object) {
                    rest.append(&mut object.take_values());
                }
            }
            _ => {}
        }
    }
}

impl Value {
    /// A handle to a node, or the plain value where that is as cheap.
    #[inline]
    pub(crate) fn node(doc: &Arc<Doc>, index: u32) -> Self {
        match doc.node(index).kind() {
            NodeKind::Null => Self::Null,
            NodeKind::True => Self::Bool(true),
            NodeKind::False => Self::Bool(false),
            NodeKind::Number if doc.numbers != Numbers::Text => doc.number(doc.node(index)),
            _ => Self::Node(Arc::clone(doc), index),
        }
    }

    /// The root of a document.
    #[inline]
    pub fn document(doc: &Arc<Doc>) -> Self {
        Self::node(doc, 0)
    }

    /// Parses JSON, keeping the text of numbers.
    pub fn parse_json(bytes: impl Into<Bytes>) -> Result<Self, crate::json::JsonError> {
        Ok(Self::document(&Doc::parse(bytes.into())?))
    }

    /// The value's type.
    #[inline]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) | Self::Uint(_) | Self::Float(_) | Self::Narrow(_) | Self::Number(_) => Kind::Number,
            Self::String(_) => Kind::String,
            Self::Bytes(_) => Kind::Bytes,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Array(_) => Kind::Array,
            Self::Object(_) => Kind::Object,
            Self::Node(doc, index) => match doc.node(*index).kind() {
                NodeKind::Null => Kind::Null,
                NodeKind::True | NodeKind::False => Kind::Bool,
                NodeKind::Number => Kind::Number,
                NodeKind::Plain | NodeKind::Escaped | NodeKind::Rewritten => Kind::String,
                NodeKind::Array | NodeKind::CanonicalArray => Kind::Array,
                NodeKind::Object | NodeKind::CanonicalObject => Kind::Object,
            },
            Self::Delete => Kind::Delete,
            Self::Nothing => Kind::Nothing,
        }
    }

    /// The name of the value's type.
    pub fn type_name(&self) -> &'static str {
        self.kind().name()
    }

    /// Whether it is null itself.
    #[inline]
    pub fn is_null(&self) -> bool {
        self.kind() == Kind::Null
    }

    /// Whether it is null, delete or nothing: what `|` and `or` pass over.
    #[inline]
    pub fn is_absent(&self) -> bool {
        matches!(self.kind(), Kind::Null | Kind::Delete | Kind::Nothing)
    }

    /// The boolean, if it is one.
    #[inline]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Node(doc, index) => match doc.node(*index).kind() {
                NodeKind::True => Some(true),
                NodeKind::False => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// The text of a number that is still text.
    #[inline]
    pub fn number_text(&self) -> Option<&str> {
        match self {
            Self::Number(text) => Some(text),
            Self::Node(doc, index) if doc.node(*index).kind() == NodeKind::Number => {
                std::str::from_utf8(doc.raw(doc.node(*index))).ok()
            }
            _ => None,
        }
    }

    /// The number, if it is one that floats can hold.
    #[inline]
    pub fn as_number(&self) -> Option<Num> {
        match self {
            Self::Int(n) => Some(Num::Int(*n)),
            Self::Uint(n) => Some(Num::Uint(*n)),
            Self::Float(n) => Some(Num::Float(*n)),
            Self::Narrow(n) => Some(n.to_num()),
            Self::Number(text) => number::parse_text(text.as_bytes()),
            Self::Node(doc, index) => {
                let node = doc.node(*index);
                if node.kind() == NodeKind::Number { number::parse_text(doc.raw(node)) } else { None }
            }
            _ => None,
        }
    }

    /// The bytes of a string or of bytes.
    #[inline]
    pub fn as_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::String(text) => Some(Cow::Borrowed(text.as_bytes())),
            Self::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            Self::Node(doc, index) => {
                let node = doc.node(*index);
                node.kind().is_string().then(|| doc.string(node))
            }
            _ => None,
        }
    }

    /// The text of a string or of bytes, invalid UTF-8 replaced.
    #[inline]
    pub fn as_str(&self) -> Option<Cow<'_, str>> {
        Some(match self.as_bytes()? {
            Cow::Borrowed(bytes) => crate::text::lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => crate::text::lossy(error.as_bytes()).into_owned(),
            }),
        })
    }

    /// Number of items of an array or members of an object.
    pub fn count(&self) -> Option<usize> {
        match self {
            Self::Array(items) => Some(items.len()),
            Self::Object(object) => Some(object.len()),
            Self::Node(doc, index) => {
                let kind = doc.node(*index).kind();
                if kind.is_array() {
                    Some(doc.count(*index) as usize)
                } else {
                    self.to_object().map(|object| object.len())
                }
            }
            _ => None,
        }
    }

    /// The item at a position of an array.
    pub fn item(&self, position: usize) -> Option<Value> {
        match self {
            Self::Array(items) => items.get(position).cloned(),
            Self::Node(doc, index) => doc.item(*index, position).map(|item| Self::node(doc, item)),
            _ => None,
        }
    }

    /// The member of an object.
    #[inline]
    pub fn member(&self, key: &[u8]) -> Option<Value> {
        match self {
            Self::Object(object) => object.get(key),
            Self::Node(doc, index) => {
                doc.member(*index, key, crate::object::key_prefix(key)).map(|at| Self::node(doc, at))
            }
            _ => None,
        }
    }

    /// The items of an array, its children staying lazy.
    pub fn to_array(&self) -> Option<Arc<Vec<Value>>> {
        match self {
            Self::Array(items) => Some(Arc::clone(items)),
            Self::Node(doc, index) if doc.node(*index).kind().is_array() => {
                let mut items = Vec::with_capacity(doc.count(*index) as usize);
                items.extend(doc.items(*index).map(|item| Self::node(doc, item)));
                Some(Arc::new(items))
            }
            _ => None,
        }
    }

    /// The members of an object, its children staying lazy.
    pub fn to_object(&self) -> Option<Arc<Object>> {
        match self {
            Self::Object(object) => Some(Arc::clone(object)),
            Self::Node(doc, index) if doc.node(*index).kind().is_object() => {
                Some(Arc::new(Object::open(doc, *index)))
            }
            _ => None,
        }
    }

    /// The items of an array to change; lazy ones are opened first.
    pub fn array_mut(&mut self) -> Option<&mut Vec<Value>> {
        if let Self::Node(..) = self {
            *self = Self::Array(self.to_array()?);
        }
        match self {
            Self::Array(items) => Some(Arc::make_mut(items)),
            _ => None,
        }
    }

    /// The members of an object to change; lazy ones are opened first.
    pub fn object_mut(&mut self) -> Option<&mut Object> {
        if let Self::Node(..) = self {
            *self = Self::Object(self.to_object()?);
        }
        match self {
            Self::Object(object) => Some(Arc::make_mut(object)),
            _ => None,
        }
    }

    /// Writes compact JSON: sorted keys, shortest escapes.
    #[inline]
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        self.write(Style::Plain, out, Room::after(out))
    }

    /// Writes compact JSON with `<`, `>` and `&` escaped.
    pub fn write_json_html_escaped(&self, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        self.write(Style::Html, out, Room::after(out))
    }

    pub(crate) fn write(&self, style: Style, out: &mut Vec<u8>, room: Room) -> Result<(), Unwritable> {
        match self {
            Self::Null | Self::Delete | Self::Nothing => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(n) => number::write_int(*n, out),
            Self::Uint(n) => number::write_uint(*n, out),
            Self::Float(n) if n.is_finite() => number::write_json_float(*n, out),
            Self::Float(n) => return Err(Unwritable::NotFinite(*n)),
            Self::Narrow(Narrow::Float32(n)) if n.is_finite() => number::write_json_float32(*n, out),
            Self::Narrow(n) => match n.to_num() {
                Num::Int(n) => number::write_int(n, out),
                Num::Uint(n) => number::write_uint(n, out),
                Num::Float(n) => return Err(Unwritable::NotFinite(n)),
            },
            Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::String(text) => write_string(text.as_bytes(), style, out),
            Self::Bytes(bytes) => {
                use base64::Engine as _;
                out.push(b'"');
                out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(&**bytes).as_bytes());
                out.push(b'"');
            }
            Self::Timestamp(time) => write_string(time.to_string().as_bytes(), style, out),
            Self::Array(items) => {
                let room = room.below()?;
                out.push(b'[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(b',');
                    }
                    deep(|| item.write(style, out, room))?;
                    room.check(out)?;
                }
                out.push(b']');
            }
            Self::Object(object) => deep(|| object.write(style, out, room.below()?))?,
            Self::Node(doc, index) => write_document(doc, *index, style, out),
        }
        Ok(())
    }

    /// Compact JSON as text; empty if it holds a number JSON cannot express.
    pub fn to_json(&self) -> String {
        let mut out = Vec::new();
        match self.write_json(&mut out) {
            Ok(()) => String::from_utf8(out).unwrap_or_default(),
            Err(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_reads_like_an_owned_value() {
        let value = Value::parse_json(&br#"{"a":[1,{"b":"x\ny"}],"n":1.50,"t":true}"#[..]).unwrap();
        assert_eq!(value.kind(), Kind::Object);
        let list = value.member(b"a").unwrap();
        assert_eq!(list.count(), Some(2));
        assert_eq!(list.item(1).unwrap().member(b"b").unwrap().as_str().unwrap(), "x\ny");
        assert_eq!(value.member(b"n").unwrap().as_number(), Some(Num::Float(1.5)));
        assert_eq!(value.member(b"n").unwrap().to_json(), "1.50");
        assert_eq!(value.member(b"t").unwrap().as_bool(), Some(true));
        assert!(value.member(b"zz").is_none());
    }

    #[test]
    fn editing_a_copy_leaves_the_original() {
        let value = Value::parse_json(&br#"{"a":{"b":1}}"#[..]).unwrap();
        let mut copy = value.clone();
        copy.object_mut().unwrap().get_mut("a").unwrap().object_mut().unwrap().insert("b", Value::Int(2));
        assert_eq!(value.to_json(), r#"{"a":{"b":1}}"#);
        assert_eq!(copy.to_json(), r#"{"a":{"b":2}}"#);
    }

    #[test]
    fn numbers_json_cannot_express_are_refused() {
        let value = Value::from(vec![Value::Float(f64::NAN)]);
        assert!(value.write_json(&mut Vec::new()).is_err());
        assert_eq!(value.to_json(), "");
    }
}

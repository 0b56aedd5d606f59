//! JSON documents: a flat tape over the payload, read lazily, written in canonical form.

mod escape;
mod scan;
mod tape;
mod write;

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::text::lossy;
use crate::value::Value;
pub(crate) use tape::{Kind, MAX_BYTES, MAX_DEPTH, MAX_TEXT, Node};
pub use write::Unwritable;
pub(crate) use write::{Style, Writer, sort_members, write_document, write_string};

/// Why bytes are not one JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// There is nothing to parse.
    Empty,
    /// The text breaks the grammar; the decoder's words for it.
    Syntax(String),
    /// Containers are nested too deeply.
    Depth,
    /// The document is longer than can be indexed; its length in bytes.
    TooLarge(usize),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("message is empty"),
            Self::Syntax(text) => f.write_str(text),
            Self::Depth => f.write_str("exceeded max depth"),
            Self::TooLarge(len) => write!(f, "document of {len} bytes exceeds the limit of {MAX_BYTES}"),
        }
    }
}

impl std::error::Error for JsonError {}

/// What the numbers of a document become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Their text is kept until a number is needed.
    Text,
    /// They are 64-bit floats.
    Float,
    /// They are what they were when they were written: integers, and floats if they have a fraction.
    Typed,
}

/// A parsed document: the bytes and an index over them. Values refer to it by node.
#[derive(Debug)]
pub struct Doc {
    pub(crate) bytes: Bytes,
    pub(crate) nodes: Box<[Node]>,
    pub(crate) flags: tape::Flags,
    pub(crate) numbers: Numbers,
}

thread_local! {
    static SCRATCH: RefCell<tape::Parser> = RefCell::new(tape::Parser::default());
}

impl Doc {
    /// Parses and validates exactly one document, blanks around it allowed.
    pub fn parse(bytes: Bytes) -> Result<Arc<Self>, JsonError> {
        Self::parse_with(bytes, Numbers::Text)
    }

    /// As [`Doc::parse`], choosing what numbers become.
    pub fn parse_with(bytes: Bytes, numbers: Numbers) -> Result<Arc<Self>, JsonError> {
        if bytes.len() > MAX_BYTES {
            return Err(JsonError::TooLarge(bytes.len()));
        }
        let parsed = SCRATCH.with(|scratch| {
            let mut fresh = tape::Parser::default();
            // A parse never calls back into a parse; should that change, a fresh parser serves.
            match scratch.try_borrow_mut() {
                Ok(mut parser) => parser.parse(&bytes),
                Err(_) => fresh.parse(&bytes),
            }
        });
        match parsed {
            Ok((nodes, flags)) => Ok(Arc::new(Self { bytes, nodes, flags, numbers })),
            Err(tape::Failure::Depth) => Err(JsonError::Depth),
            Err(tape::Failure::Syntax) => Err(crate::compat::json_error(&bytes)),
        }
    }

    /// The bytes the document was parsed from.
    pub fn source(&self) -> &Bytes {
        &self.bytes
    }

    #[inline]
    pub(crate) fn node(&self, index: u32) -> Node {
        self.nodes.get(index as usize).copied().unwrap_or_default()
    }

    /// The text between the quotes of a string node, or of a number.
    #[inline]
    pub(crate) fn raw(&self, node: Node) -> &[u8] {
        self.bytes.get(node.offset()..node.offset() + node.len()).unwrap_or_default()
    }

    /// The bytes of a string or key node, escapes resolved, invalid UTF-8 replaced.
    #[inline]
    pub(crate) fn string(&self, node: Node) -> Cow<'_, [u8]> {
        let raw = self.raw(node);
        if node.kind() == Kind::Plain {
            if self.flags.utf8 {
                return Cow::Borrowed(raw);
            }
            return match lossy(raw) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            };
        }
        Cow::Owned(escape::unescape(raw))
    }

    /// Index of the node after the value at `index`.
    #[inline]
    pub(crate) fn next(&self, index: u32) -> u32 {
        index + self.node(index).extent()
    }

    /// The number of a node, where numbers are not kept as text.
    pub(crate) fn number(&self, node: Node) -> Value {
        let text = self.raw(node);
        match crate::number::parse_int(text) {
            Some(whole) if self.numbers == Numbers::Typed => Value::Int(whole),
            _ => Value::Float(crate::number::parse_float(text).unwrap_or(0.0)),
        }
    }

    /// Whether there is a number in the value at `index`.
    pub(crate) fn has_numbers(&self, index: u32) -> bool {
        let (mut at, end) = (index, self.next(index));
        while at < end {
            let kind = self.node(at).kind();
            if kind == Kind::Number {
                return true;
            }
            at += if kind.is_array() || kind.is_object() { 2 } else { 1 };
        }
        false
    }

    /// The text of a number beyond floats, if there is one.
    pub(crate) fn huge_number(&self) -> Option<&str> {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at).copied() {
            if node.kind() == Kind::Number && crate::number::parse_float(self.raw(node)).is_none() {
                return std::str::from_utf8(self.raw(node)).ok();
            }
            at += if node.kind().is_array() || node.kind().is_object() { 2 } else { 1 };
        }
        None
    }

    /// Length of the text of the value at `index`.
    #[inline]
    pub(crate) fn text_len(&self, index: u32) -> usize {
        let node = self.node(index);
        if node.kind().is_array() || node.kind().is_object() {
            self.node(index + 1).offset()
        } else {
            node.len()
        }
    }

    /// Number of members or items of a container.
    #[inline]
    pub(crate) fn count(&self, index: u32) -> u32 {
        self.node(index + 1).word()
    }

    /// First eight bytes of a node's raw text as a big-endian number, zero-padded.
    #[inline]
    pub(crate) fn prefix(&self, node: Node) -> u64 {
        prefix_at(&self.bytes, node.offset(), node.len())
    }

    /// Node of the member `key` of the object at `index`; of equal keys the last.
    #[inline]
    pub(crate) fn member(&self, index: u32, key: &[u8], prefix: u64) -> Option<u32> {
        let node = self.node(index);
        if !node.kind().is_object() {
            return None;
        }
        let members = self.nodes.get(index as usize + 2..(index + node.extent()) as usize)?;
        let (mut rest, mut found, utf8) = (members, None, self.flags.utf8);
        while let [name, value, ..] = rest {
            // Mostly the length tells keys apart already.
            let is_it = if name.is_escaped() || !utf8 {
                *self.string(*name) == *key
            } else {
                name.is_plain(key.len())
                    && self.prefix(*name) == prefix
                    && (key.len() <= 8 || self.raw(*name) == key)
            };
            if is_it {
                found = Some(members.len() - rest.len());
                // Canonical objects have each key once.
                if node.kind() == Kind::CanonicalObject {
                    break;
                }
            }
            rest = rest.get(1 + value.extent() as usize..).unwrap_or_default();
        }
        #[expect(clippy::cast_possible_truncation, reason = "documents are at most MAX_BYTES long")]
        found.map(|at| index + 3 + at as u32)
    }

    /// Node of the item at `position` of the array at `index`.
    pub(crate) fn item(&self, index: u32, position: usize) -> Option<u32> {
        if !self.node(index).kind().is_array() || position >= self.count(index) as usize {
            return None;
        }
        let mut at = index + 2;
        for _ in 0..position {
            at = self.next(at);
        }
        Some(at)
    }

    /// Nodes of the items of the array at `index`; nothing for other kinds.
    pub(crate) fn items(&self, index: u32) -> impl Iterator<Item = u32> + '_ {
        let node = self.node(index);
        let end = if node.kind().is_array() { index + node.extent() } else { 0 };
        let mut at = index + 2;
        std::iter::from_fn(move || {
            let item = at;
            (item < end).then(|| {
                at = self.next(item);
                item
            })
        })
    }

    /// Key nodes of the object at `index`, in document order; the value follows its key.
    pub(crate) fn keys(&self, index: u32) -> impl Iterator<Item = u32> + '_ {
        let node = self.node(index);
        let end = if node.kind().is_object() { index + node.extent() } else { 0 };
        let mut at = index + 2;
        std::iter::from_fn(move || {
            let key = at;
            (key < end).then(|| {
                at = self.next(key + 1);
                key
            })
        })
    }
}

/// The [`prefix`] of a key that stands in a text.
#[inline]
fn prefix_at(bytes: &[u8], offset: usize, len: usize) -> u64 {
    let Some(rest) = bytes.get(offset..) else { return 0 };
    match rest.first_chunk::<8>() {
        Some(chunk) if len >= 8 => u64::from_be_bytes(*chunk),
        Some(chunk) => u64::from_be_bytes(*chunk) & !(u64::MAX >> (8 * len)),
        None => prefix(rest.get(..len).unwrap_or_default()),
    }
}

/// First eight bytes of a key as a big-endian number, zero-padded: orders as the keys do.
#[inline]
pub(crate) fn prefix(key: &[u8]) -> u64 {
    if let Some(chunk) = key.first_chunk::<8>() {
        return u64::from_be_bytes(*chunk);
    }
    key.iter().enumerate().fold(0, |word, (n, byte)| word | (u64::from(*byte) << (56 - 8 * n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_the_last_of_equal_keys_winning() {
        let doc = Doc::parse(Bytes::from_static(br#" {"a":1,"long key here":[1,{"x":null},3],"\u0061":2} "#))
            .unwrap();
        let at = doc.member(0, b"a", prefix(b"a")).unwrap();
        assert_eq!(doc.raw(doc.node(at)), b"2");
        let list = doc.member(0, b"long key here", prefix(b"long key here")).unwrap();
        assert_eq!(doc.count(list), 3);
        assert_eq!(doc.raw(doc.node(doc.item(list, 2).unwrap())), b"3");
        assert_eq!(doc.item(list, 3), None);
        assert_eq!(doc.items(list).count(), 3);
        assert_eq!(doc.keys(0).count(), 3);
    }

    #[test]
    fn bad_documents_are_refused() {
        for bad in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":}",
            "nul",
            "01",
            "1.",
            "\"\n\"",
            "\"\\x\"",
            "1 2",
            "{\"a\" 1}",
            "-",
            "\"\\u12g4\"",
        ] {
            assert!(Doc::parse(Bytes::from_static(bad.as_bytes())).is_err(), "{bad}");
        }
        let deep = "[".repeat(10_001) + &"]".repeat(10_001);
        assert_eq!(Doc::parse(Bytes::from(deep)).unwrap_err(), JsonError::Depth);
        let deep = "[".repeat(10_000) + &"]".repeat(10_000);
        assert!(Doc::parse(Bytes::from(deep)).is_ok());
    }
}

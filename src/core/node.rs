//! Configuration nodes: values that know where they were written.
//!
//! A [`Node`] is what the YAML parser makes and everything after it works on: the linter reports its positions,
//! components read their config from it, the normaliser and the store write it out again. It is immutable and
//! cheap to clone; an alias shares the anchored node.

use crate::{build_error::BuildError, field::Field};
use std::{fmt, sync::Arc};

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// Without quotes.
    #[default]
    Plain,
    /// In single quotes.
    SingleQuoted,
    /// In double quotes.
    DoubleQuoted,
    /// A block starting with `|`.
    Literal,
    /// A block starting with `>`.
    Folded,
}

/// The type of a value, by the rules of YAML 1.1 as far as the reference's library keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tag {
    /// `!!null`
    Null,
    /// `!!bool`
    Bool,
    /// `!!int`
    Int,
    /// `!!float`
    Float,
    /// `!!str`
    Str,
    /// `!!timestamp`
    Timestamp,
    /// `!!binary`
    Binary,
    /// `!!merge`, the key `<<`.
    Merge,
    /// `!!seq`
    Seq,
    /// `!!map`
    Map,
    /// Any other, as written.
    Other(Arc<str>),
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "!!null",
            Self::Bool => "!!bool",
            Self::Int => "!!int",
            Self::Float => "!!float",
            Self::Str => "!!str",
            Self::Timestamp => "!!timestamp",
            Self::Binary => "!!binary",
            Self::Merge => "!!merge",
            Self::Seq => "!!seq",
            Self::Map => "!!map",
            Self::Other(tag) => tag,
        })
    }
}

/// One value that is neither list nor map: its text and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, quotes and folding resolved.
    pub text: Arc<str>,
    /// Its type.
    pub tag: Tag,
    /// How it was written.
    pub style: Style,
}

/// What a node holds.
#[derive(Debug, Clone)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// Keys and values in the order written; keys may repeat, and `<<` is kept as a key.
    Map(Vec<(Node, Node)>),
}

/// Line and column of a node's first character, from 1; zero where it was made and not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column in characters.
    pub column: u32,
}

#[derive(Debug)]
struct Inner {
    value: Value,
    position: Position,
    declared: Option<&'static [Field]>,
}

/// A configuration value with its position.
#[derive(Debug, Clone)]
pub struct Node {
    inner: Arc<Inner>,
    alias: bool,
}

impl Node {
    /// A node at a position.
    pub fn new(value: Value, position: Position) -> Self {
        Self { inner: Arc::new(Inner { value, position, declared: None }), alias: false }
    }

    /// A null without a position.
    pub fn null() -> Self {
        Self::scalar("null", Tag::Null)
    }

    /// A string without a position.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::scalar(text, Tag::Str)
    }

    /// A scalar without a position.
    pub fn scalar(text: impl Into<Arc<str>>, tag: Tag) -> Self {
        let scalar = Scalar { text: text.into(), tag, style: Style::Plain };
        Self::new(Value::Scalar(scalar), Position::default())
    }

    /// A list without a position.
    pub fn list(items: Vec<Node>) -> Self {
        Self::new(Value::List(items), Position::default())
    }

    /// A map without a position.
    pub fn map(entries: Vec<(Node, Node)>) -> Self {
        Self::new(Value::Map(entries), Position::default())
    }

    /// A map of one key, without a position.
    pub fn single(key: &str, value: Node) -> Self {
        Self::map(vec![(Self::string(key), value)])
    }

    /// The same node as reached through an alias.
    #[must_use]
    pub fn aliased(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), alias: true }
    }

    /// Another value at this node's position.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        Self::new(value, self.position())
    }

    /// Another value at this node's position, whose keys are exactly those of `fields`.
    #[must_use]
    pub fn with_fields(&self, entries: Vec<(Node, Node)>, fields: &'static [Field]) -> Self {
        let inner = Inner { value: Value::Map(entries), position: self.position(), declared: Some(fields) };
        Self { inner: Arc::new(inner), alias: false }
    }

    /// The same value at another position.
    #[must_use]
    pub fn with_position(&self, position: Position) -> Self {
        Self::new(self.value().clone(), position)
    }

    /// The fields that filled this map, if a spec did.
    pub fn declared(&self) -> Option<&'static [Field]> {
        self.inner.declared
    }

    /// What it holds.
    pub fn value(&self) -> &Value {
        &self.inner.value
    }

    /// Where it was written; an alias is where its anchor is.
    pub fn position(&self) -> Position {
        self.inner.position
    }

    /// Its line, from 1.
    pub fn line(&self) -> u32 {
        self.inner.position.line
    }

    /// Its column, from 1.
    pub fn column(&self) -> u32 {
        self.inner.position.column
    }

    /// Whether it was reached through an alias.
    pub fn is_alias(&self) -> bool {
        self.alias
    }

    /// Its type.
    pub fn tag(&self) -> &Tag {
        match self.value() {
            Value::Scalar(scalar) => &scalar.tag,
            Value::List(_) => &Tag::Seq,
            Value::Map(_) => &Tag::Map,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        *self.tag() == Tag::Null
    }

    /// The scalar, if it is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match self.value() {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    /// The text of a scalar, whatever its type; a null has none.
    pub fn as_str(&self) -> Option<&str> {
        self.as_scalar().filter(|scalar| scalar.tag != Tag::Null).map(|scalar| &*scalar.text)
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match self.value() {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// Keys and values, if it is a map.
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match self.value() {
            Value::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// Keys as text with values; empty unless it is a map.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&str, &Node)> {
        self.as_map().unwrap_or_default().iter().map(|(key, value)| (key.key_text(), value))
    }

    /// The text as a map's key; lists and maps have none.
    pub fn key_text(&self) -> &str {
        self.as_scalar().map_or("", |scalar| &scalar.text)
    }

    /// The value under a key of a map, the last one if it repeats; what `<<` merges in is not seen.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().rev().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    /// The value at a path of keys and list indexes.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, part| match node.value() {
            Value::Map(_) => node.get(part),
            Value::List(items) => items.get(part.parse::<usize>().ok()?),
            Value::Scalar(_) => None,
        })
    }

    /// A copy of the map with a key set, in place if it is there; of anything else a map of that key alone.
    #[must_use]
    pub fn with(&self, key: &str, value: Node) -> Self {
        let mut entries = self.as_map().unwrap_or_default().to_vec();
        match entries.iter_mut().rev().find(|(name, _)| name.key_text() == key) {
            Some(entry) => entry.1 = value,
            None => entries.push((Self::string(key), value)),
        }
        self.with_value(Value::Map(entries))
    }

    /// A copy of the map without a key.
    #[must_use]
    pub fn without(&self, key: &str) -> Self {
        let mut entries = self.as_map().unwrap_or_default().to_vec();
        entries.retain(|(name, _)| name.key_text() != key);
        self.with_value(Value::Map(entries))
    }

    /// The map with its `<<` keys resolved: explicit keys win over merged ones, of repeated keys the last wins.
    #[must_use]
    pub fn merged(&self) -> Self {
        let Value::Map(entries) = self.value() else { return self.clone() };
        if self.inner.declared.is_some() || !entries.iter().any(|(key, _)| *key.tag() == Tag::Merge) {
            return self.clone();
        }
        let mut result: Vec<(Node, Node)> =
            entries.iter().filter(|(key, _)| *key.tag() != Tag::Merge).cloned().collect();
        for (_, source) in entries.iter().filter(|(key, _)| *key.tag() == Tag::Merge) {
            for source in source.as_list().unwrap_or(std::slice::from_ref(source)) {
                for (key, value) in source.merged().as_map().unwrap_or_default() {
                    if !result.iter().any(|(name, _)| name.key_text() == key.key_text()) {
                        result.push((key.clone(), value.clone()));
                    }
                }
            }
        }
        self.with_value(Value::Map(result))
    }

    /// Reads the node into a config struct. Any scalar fills a string, `2.5` fills an integer with 2, a quoted
    /// number is no number; errors name the path and the line.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, BuildError> {
        T::deserialize(crate::node_serde::NodeReader::new(self))
    }

    /// An error about this node.
    pub fn error(&self, message: impl Into<String>) -> BuildError {
        BuildError::new(message).on_line(self.line())
    }
}

/// Equal trees: positions, styles and aliases aside, merge keys resolved.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        if Arc::ptr_eq(&self.inner, &other.inner) {
            return true;
        }
        match (self.value(), other.value()) {
            (Value::Scalar(a), Value::Scalar(b)) => a.tag == b.tag && a.text == b.text,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(_), Value::Map(_)) => {
                let (a, b) = (self.merged(), other.merged());
                let (a, b) = (a.as_map().unwrap_or_default(), b.as_map().unwrap_or_default());
                a.len() == b.len()
                    && a.iter().all(|(key, value)| b.iter().any(|(k, v)| k == key && v == value))
            }
            _ => false,
        }
    }
}

//! Paths into values: reading, setting, deleting.

use std::fmt;

use super::{Kind, Value};
use crate::compat;
use crate::error::Fault;
use crate::object::{Object, key_prefix};
use crate::stack::deep;
use crate::text::Text;

/// One segment of a path, prepared for look-ups.
#[derive(Clone, Debug)]
pub struct Segment {
    text: Text,
    prefix: u64,
    /// The array position it names, if it reads as one.
    index: Option<usize>,
}

impl Segment {
    /// A segment of this literal key.
    pub fn new(key: impl Into<Text>) -> Self {
        let text = key.into();
        let prefix = key_prefix(text.as_bytes());
        let index = crate::number::parse_int(text.as_bytes()).and_then(|index| usize::try_from(index).ok());
        Self { text, prefix, index }
    }

    /// The key as text.
    pub fn text(&self) -> &Text {
        &self.text
    }

    fn is_wildcard(&self) -> bool {
        self.text.as_bytes() == b"*"
    }
}

/// The segments of a dot path: `~1` stands for a dot, `~0` for a tilde.
pub fn split_dot_path(path: &str) -> Vec<Segment> {
    path.split('.').map(|part| Segment::new(part.replace("~1", ".").replace("~0", "~"))).collect()
}

/// Longest dot path that is made while a mapping runs, in segments.
const MAX_SEGMENTS: usize = 10_000;

/// The segments of a dot path that may be of any length.
pub(crate) fn bounded_dot_path(path: &str) -> Result<Vec<Segment>, Fault> {
    if path.bytes().filter(|byte| *byte == b'.').count() >= MAX_SEGMENTS {
        return Err(Fault::new(format!("path of more than {MAX_SEGMENTS} segments")));
    }
    Ok(split_dot_path(path))
}

/// A dot path of segments, escaped.
pub fn dot_path(segments: &[Segment]) -> String {
    let parts: Vec<String> =
        segments.iter().map(|part| part.text.as_str().replace('~', "~0").replace('.', "~1")).collect();
    parts.join(".")
}

/// Why a path could not be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Something on the way is no object.
    NotObject {
        /// The path to set.
        path: String,
        /// The path of what is in the way.
        culprit: String,
        /// Its type.
        kind: Kind,
    },
    /// An array on the way does not take the segment.
    Array {
        /// The path to set.
        path: String,
        /// Which segment, from 0.
        position: usize,
        /// What is wrong with it.
        problem: ArrayProblem,
    },
}

/// What is wrong with a segment applied to an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArrayProblem {
    /// It is no number; the segment.
    NotIndex(String),
    /// It is negative; the index.
    Negative(i64),
    /// It is beyond the end; index and length.
    OutOfRange(i64, usize),
    /// The item is null and cannot be descended into; the segment.
    NullItem(String),
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotObject { path, culprit, kind } => {
                let culprit = if culprit.is_empty() { "the root" } else { culprit };
                write!(
                    f,
                    "unable to set target path {path} as the value of {culprit} was a non-object type ({kind})"
                )
            }
            Self::Array { path, position, problem } => {
                write!(f, "unable to set target path {path}: {}", compat::array_problem(*position, problem))
            }
        }
    }
}

impl std::error::Error for PathError {}

impl Value {
    /// The child a segment names; null if there is none.
    #[inline]
    #[must_use]
    pub fn get(&self, segment: &Segment) -> Value {
        self.child(segment).unwrap_or(Value::Null)
    }

    #[inline]
    fn child(&self, segment: &Segment) -> Option<Value> {
        match self {
            Self::Node(doc, index) => {
                let kind = doc.node(*index).kind();
                if kind.is_object() {
                    return doc
                        .member(*index, segment.text.as_bytes(), segment.prefix)
                        .map(|at| Self::node(doc, at));
                }
                doc.item(*index, segment.index?).map(|at| Self::node(doc, at))
            }
            Self::Object(object) => object.get(segment.text.as_bytes()),
            Self::Array(items) => items.get(segment.index?).cloned(),
            _ => None,
        }
    }

    /// What a path leads to; `*` gathers what the rest of the path finds in an array's items.
    pub fn get_path(&self, path: &[Segment]) -> Option<Value> {
        // The common case walks nodes of one document without touching its count.
        if let Self::Node(doc, index) = self {
            let mut at = *index;
            for (n, segment) in path.iter().enumerate() {
                let kind = doc.node(at).kind();
                if kind.is_object() {
                    at = doc.member(at, segment.text.as_bytes(), segment.prefix)?;
                } else if kind.is_array() && segment.is_wildcard() {
                    return Self::node(doc, at).gather(path.get(n + 1..).unwrap_or_default());
                } else {
                    at = doc.item(at, segment.index?)?;
                }
            }
            return Some(Self::node(doc, at));
        }
        let Some((first, mut rest)) = path.split_first() else { return Some(self.clone()) };
        if first.is_wildcard() && matches!(self, Self::Array(_)) {
            return self.gather(rest);
        }
        let mut value = self.child(first)?;
        while let Some((segment, after)) = rest.split_first() {
            if matches!(value, Self::Node(..)) || (segment.is_wildcard() && matches!(value, Self::Array(_))) {
                return value.get_path(rest);
            }
            value = value.child(segment)?;
            rest = after;
        }
        Some(value)
    }

    /// Whether a path gathers from arrays that may share their items, so that it could find any number.
    #[inline]
    pub(crate) fn multiplies(&self, path: &[Segment]) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_)) && path.iter().any(Segment::is_wildcard)
    }

    fn gather(&self, rest: &[Segment]) -> Option<Value> {
        let found: Vec<Value> = deep(|| {
            self.to_array().map(|items| items.iter().filter_map(|item| item.get_path(rest)).collect())
        })?;
        (!found.is_empty()).then(|| Value::from(found))
    }

    /// Sets what a path leads to, making objects on the way. Null and nothing count as an empty object.
    pub fn set_path(&mut self, path: &[Segment], value: Value) -> Result<(), PathError> {
        let Some(first) = path.first() else {
            *self = value;
            return Ok(());
        };
        if matches!(self.kind(), Kind::Null | Kind::Nothing) {
            *self = Value::object(Object::new());
        }
        if self.kind() == Kind::Array && first.text.as_bytes() == b"-" {
            let item = if path.len() == 1 { Value::Null } else { Value::object(Object::new()) };
            if let Some(items) = self.array_mut() {
                items.push(item);
                let last = items.len() - 1;
                if let Some(slot) = items.get_mut(last) {
                    return slot.set_from(path, 1, value);
                }
            }
        }
        self.set_from(path, 0, value)
    }

    fn set_from(&mut self, path: &[Segment], start: usize, value: Value) -> Result<(), PathError> {
        if start >= path.len() {
            *self = value;
            return Ok(());
        }
        let mut target = self;
        // An array on the way takes the blame for what lies within it.
        let mut array = None;
        for (position, segment) in path.iter().enumerate().skip(start) {
            let last = position + 1 == path.len();
            let kind = target.kind();
            if kind == Kind::Array {
                array.get_or_insert(position);
            }
            target = match kind {
                Kind::Object => {
                    let Some(object) = target.object_mut() else { return Ok(()) };
                    if last {
                        object.insert(segment.text.clone(), value);
                        return Ok(());
                    }
                    let empty = || Value::object(Object::new());
                    let Some(child) = object.get_or_insert_with(&segment.text, empty) else { break };
                    if child.is_null() {
                        *child = empty();
                    }
                    child
                }
                Kind::Array => {
                    let Some(items) = target.array_mut() else { return Ok(()) };
                    let problem = |problem| PathError::Array { path: dot_path(path), position, problem };
                    if segment.text.as_bytes() == b"-" {
                        items.push(if last { Value::Null } else { Value::object(Object::new()) });
                        let end = items.len() - 1;
                        let Some(item) = items.get_mut(end) else { return Ok(()) };
                        if last {
                            *item = value;
                            return Ok(());
                        }
                        item
                    } else {
                        let text = || segment.text.as_str().into_owned();
                        let Some(index) = crate::number::parse_int(segment.text.as_bytes()) else {
                            return Err(problem(ArrayProblem::NotIndex(text())));
                        };
                        let Ok(at) = usize::try_from(index) else {
                            return Err(problem(ArrayProblem::Negative(index)));
                        };
                        let len = items.len();
                        let Some(item) = items.get_mut(at) else {
                            return Err(problem(ArrayProblem::OutOfRange(index, len)));
                        };
                        if !last && item.is_null() {
                            return Err(problem(ArrayProblem::NullItem(text())));
                        }
                        if last {
                            *item = value;
                            return Ok(());
                        }
                        item
                    }
                }
                _ => {
                    let (position, kind) = array.map_or((position, kind), |position| (position, Kind::Array));
                    let culprit = dot_path(path.get(..position).unwrap_or_default());
                    return Err(PathError::NotObject { path: dot_path(path), culprit, kind });
                }
            };
        }
        Ok(())
    }

    /// Deletes what a path leads to, if it is there. Items of the root array stay.
    pub fn delete_path(&mut self, path: &[Segment]) {
        let Some((last, parents)) = path.split_last() else { return };
        // Look first: opening the spine for nothing would be waste.
        if self.get_path(path).is_none() {
            return;
        }
        let mut target = self;
        for segment in parents {
            let kind = target.kind();
            let child = match kind {
                Kind::Object => {
                    target.object_mut().and_then(|object| object.get_mut(segment.text.as_bytes()))
                }
                Kind::Array => {
                    target.array_mut().zip(segment.index).and_then(|(items, index)| items.get_mut(index))
                }
                _ => None,
            };
            let Some(child) = child else { return };
            target = child;
        }
        match target.kind() {
            Kind::Object => {
                if let Some(object) = target.object_mut() {
                    object.remove(last.text.as_bytes());
                }
            }
            Kind::Array if !parents.is_empty() => {
                if let (Some(items), Some(index)) = (target.array_mut(), last.index)
                    && index < items.len()
                {
                    items.remove(index);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        Value::parse_json(text.as_bytes().to_vec()).unwrap()
    }

    fn set(text: &str, path: &str) -> String {
        let mut value = json(text);
        match value.set_path(&split_dot_path(path), Value::Int(9)) {
            Ok(()) => value.to_json(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn setting() {
        for (text, path, want) in [
            ("{}", "a.b", r#"{"a":{"b":9}}"#),
            (r#"{"a":null}"#, "a.b", r#"{"a":{"b":9}}"#),
            ("null", "a", r#"{"a":9}"#),
            (r#"{"a":[1,2]}"#, "a.1", r#"{"a":[1,9]}"#),
            (r#"{"a":[]}"#, "a.-.b", r#"{"a":[{"b":9}]}"#),
            ("[]", "-.b", r#"[{"b":9}]"#),
            (
                r#"{"a":5}"#,
                "a.b",
                "unable to set target path a.b as the value of a was a non-object type (number)",
            ),
            (
                "5",
                "a.b",
                "unable to set target path a.b as the value of the root was a non-object type (number)",
            ),
            (
                r#"{"a":[1]}"#,
                "a.0.b.c",
                "unable to set target path a.0.b.c as the value of a was a non-object type (array)",
            ),
            (
                r#"{"arr":[1,2]}"#,
                "arr.5",
                "unable to set target path arr.5: failed to resolve path segment '1': found array but index '5' exceeded target array size of '2'",
            ),
        ] {
            assert_eq!(set(text, path), want, "{text} {path}");
        }
    }

    #[test]
    fn reading_and_deleting() {
        let value = json(r#"{"a":[{"x":1},{"y":2}],"e":[]}"#);
        assert_eq!(value.get_path(&split_dot_path("a.*.x")).unwrap().to_json(), "[1]");
        assert_eq!(value.get_path(&split_dot_path("a.01")).unwrap().to_json(), r#"{"y":2}"#);
        assert!(value.get_path(&split_dot_path("e.*")).is_none());
        let mut edited = value.clone();
        edited.delete_path(&split_dot_path("a.0"));
        edited.delete_path(&split_dot_path("nope.x"));
        assert_eq!(edited.to_json(), r#"{"a":[{"y":2}],"e":[]}"#);
        assert_eq!(dot_path(&split_dot_path("a~1b.c~0")), "a~1b.c~0");
    }
}

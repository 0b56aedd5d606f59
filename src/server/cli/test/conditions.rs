//! What a unit test says of a message.

use super::{
    super::{difference, walk::unreadable},
    definition::value,
};
use regex::bytes::Regex;
use std::{fs, path::Path};
use weir_config::Node;
use weir_core::{
    bloblang::{Environment, Kind, Message, Program, Scratch, Value, indented},
    build_error::BuildError,
};

/// One condition of a message.
pub(super) enum Condition {
    Bloblang(Program),
    ContentEquals(String),
    ContentMatches(Regex),
    FileEquals(String),
    /// A file that holds JSON, and whether a part of the message's is enough.
    FileJson(String, Scope),
    /// JSON, or a text that should be JSON.
    Json(Vec<u8>, Scope),
    Metadata(Vec<(String, Value)>),
}

/// How much of a message's JSON is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Whole,
    Part,
}

/// Names of conditions, in the order in which they are looked at.
const NAMES: [&str; 9] = [
    "bloblang",
    "content_equals",
    "content_matches",
    "file_equals",
    "file_json_contains",
    "file_json_equals",
    "json_contains",
    "json_equals",
    "metadata_equals",
];

impl Condition {
    /// The conditions of one message; what has another name is none.
    pub(super) fn read_all(node: &Node) -> Result<Vec<Self>, BuildError> {
        let node = node.merged();
        let read = |name: &&'static str| {
            let condition = Self::read(name, node.get(name)?);
            Some(condition.map_err(|error| BuildError::new(format!("{name}: {error}"))))
        };
        NAMES.iter().filter_map(read).collect()
    }

    fn read(name: &str, node: &Node) -> Result<Self, BuildError> {
        let text = || node.as_str().unwrap_or_default();
        let json = |scope| -> Result<Self, BuildError> {
            Ok(match node.as_scalar().filter(|scalar| scalar.tag == weir_core::node::Tag::Str) {
                Some(text) => Self::Json(text.text.as_bytes().to_vec(), scope),
                None => Self::Json(value(node)?.to_json().into_bytes(), scope),
            })
        };
        Ok(match name {
            "bloblang" => Self::Bloblang(
                Program::parse(text(), &Environment::new())
                    .map_err(|error| BuildError::new(error.without_position()))?,
            ),
            "content_equals" => Self::ContentEquals(text().to_owned()),
            "content_matches" => {
                Self::ContentMatches(Regex::new(text()).map_err(|error| BuildError::new(error.to_string()))?)
            }
            "file_equals" => Self::FileEquals(text().to_owned()),
            "file_json_contains" => Self::FileJson(text().to_owned(), Scope::Part),
            "file_json_equals" => Self::FileJson(text().to_owned(), Scope::Whole),
            "json_contains" => json(Scope::Part)?,
            "json_equals" => json(Scope::Whole)?,
            _ => {
                let mut wanted = Vec::new();
                for (name, node) in node.merged().entries() {
                    wanted.push((name.to_owned(), value(node)?));
                }
                wanted.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Metadata(wanted)
            }
        })
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Bloblang(_) => "bloblang",
            Self::ContentEquals(_) => "content_equals",
            Self::ContentMatches(_) => "content_matches",
            Self::FileEquals(_) => "file_equals",
            Self::FileJson(_, Scope::Part) => "file_json_contains",
            Self::FileJson(_, Scope::Whole) => "file_json_equals",
            Self::Json(_, Scope::Part) => "json_contains",
            Self::Json(_, Scope::Whole) => "json_equals",
            Self::Metadata(_) => "metadata_equals",
        }
    }

    /// Says why a message does not meet it. Files are found from `folder`.
    pub(super) fn check(&self, message: &Message, folder: &Path) -> Result<(), String> {
        self.met(message, folder).map_err(|reason| format!("{}: {reason}", self.name()))
    }

    fn met(&self, message: &Message, folder: &Path) -> Result<(), String> {
        let file = |path: &str, what: &str| {
            let path = folder.join(path);
            fs::read(&path).map_err(|error| {
                format!("failed to read comparison {what}: {}", unreadable(&path.to_string_lossy(), &error))
            })
        };
        match self {
            Self::Bloblang(program) => {
                match program.check(std::slice::from_ref(message), 0, &mut Scratch::default()) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err("bloblang expression was false".into()),
                    Err(fault) => Err(fault.to_string()),
                }
            }
            Self::ContentEquals(text) => same_content(text.as_bytes(), message.content()),
            Self::ContentMatches(pattern) if pattern.is_match(message.content()) => Ok(()),
            Self::ContentMatches(pattern) => Err(format!(
                "pattern mismatch\n   pattern: {pattern}\n  received: {}",
                text(message.content())
            )),
            Self::FileEquals(path) => same_content(&file(path, "file")?, message.content()),
            Self::FileJson(path, scope) => same_json(&file(path, "JSON file")?, message.content(), *scope),
            Self::Json(json, scope) => same_json(json, message.content(), *scope),
            Self::Metadata(wanted) => same_metadata(wanted, message),
        }
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn same_content(wanted: &[u8], got: &[u8]) -> Result<(), String> {
    if wanted == got {
        return Ok(());
    }
    Err(format!("content mismatch\n  expected: {}\n  received: {}", text(wanted), text(got)))
}

fn same_metadata(wanted: &[(String, Value)], message: &Message) -> Result<(), String> {
    for (name, wanted) in wanted {
        let Some(got) = message.metadata().get(name) else {
            return Err(format!("metadata key '{name}' expected but not found"));
        };
        if !is_same(wanted, got) {
            let (wanted, got) = (wanted.to_text(), got.to_text());
            return Err(format!("metadata key '{name}' mismatch\n  expected: {wanted}\n  received: {got}"));
        }
    }
    Ok(())
}

/// Numbers are compared by value.
fn is_same(wanted: &Value, got: &Value) -> bool {
    match (wanted.as_number(), got.as_number()) {
        (Some(wanted), Some(got)) => wanted.to_f64().total_cmp(&got.to_f64()).is_eq(),
        _ => wanted.to_json() == got.to_json(),
    }
}

fn same_json(wanted: &[u8], got: &[u8], scope: Scope) -> Result<(), String> {
    let what = if scope == Scope::Whole { "JSON content mismatch" } else { "JSON superset mismatch" };
    let parse = |bytes: &[u8]| Value::parse_json(bytes.to_vec());
    match (parse(wanted), parse(got)) {
        (Ok(wanted), Ok(got)) if holds(&got, &wanted, scope) => Ok(()),
        (Ok(wanted), Ok(got)) => Err(format!("{what}\n{}", difference::lines(&shown(&wanted), &shown(&got)))),
        (Ok(_), Err(error)) => Err(format!("{what}\nthe message is no JSON: {error}")),
        (Err(error), _) => Err(format!("{what}\nwhat is expected is no JSON: {error}")),
    }
}

fn shown(value: &Value) -> String {
    let compact = value.to_json();
    let lines = indented(compact.as_bytes(), b"  ");
    lines.map_or(compact, |lines| String::from_utf8_lossy(&lines).into_owned()) + "\n"
}

/// Whether a value is the wanted one, or holds it. Numbers are compared by their text.
fn holds(got: &Value, wanted: &Value, scope: Scope) -> bool {
    match (got.kind(), wanted.kind()) {
        (Kind::Object, Kind::Object) => {
            let (Some(got), Some(wanted)) = (got.to_object(), wanted.to_object()) else { return false };
            (scope == Scope::Part || got.len() == wanted.len())
                && wanted
                    .iter()
                    .all(|(key, wanted)| got.get(&*key).is_some_and(|got| holds(&got, &wanted, scope)))
        }
        (Kind::Array, Kind::Array) => {
            let (Some(got), Some(wanted)) = (got.to_array(), wanted.to_array()) else { return false };
            (got.len() == wanted.len() || scope == Scope::Part && got.len() > wanted.len())
                && got.iter().zip(wanted.iter()).all(|(got, wanted)| holds(got, wanted, scope))
        }
        _ => match (got.number_text(), wanted.number_text()) {
            (Some(got), Some(wanted)) => got == wanted,
            _ => got.to_json() == wanted.to_json(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_by_value_and_numbers_by_text() {
        for (wanted, got, scope, is_same) in [
            (r#"{"a":1,"b":[2]}"#, r#"{ "b":[2], "a":1 }"#, Scope::Whole, true),
            ("[1]", "[1.0]", Scope::Whole, false),
            (r#"{"a":{}}"#, r#"{"a":{"b":1},"c":2}"#, Scope::Part, true),
            (r#"{"a":{}}"#, r#"{"a":{"b":1}}"#, Scope::Whole, false),
            ("[1]", "[1,2]", Scope::Part, true),
            ("[2]", "[1,2]", Scope::Part, false),
            (r#""1""#, "1", Scope::Whole, false),
            ("x", "1", Scope::Whole, false),
        ] {
            let result = same_json(wanted.as_bytes(), got.as_bytes(), scope);
            assert_eq!(result.is_ok(), is_same, "{wanted} {got} {result:?}");
        }
        let error = same_json(br#"{"a":1}"#, br#"{"a":2}"#, Scope::Whole).unwrap_err();
        assert_eq!(error, "JSON content mismatch\n  {\n-   \"a\": 1\n+   \"a\": 2\n  }");
    }
}

//! Submitted texts: read, checked and linted before anything is built, in the reference's order.

use super::{Streams, answer};
use bytes::Bytes;
use http::StatusCode;
use weir_config::{LintOptions, Node, environment, sections, tokens};
use weir_control::{
    record::{Format, Key, fingerprint},
    service::Submission,
};
use weir_core::{
    http::Response,
    kind::Kind,
    lint,
    node::{Position, Value},
    yaml,
};

/// Why a text is not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It cannot be read.
    Error(String),
    /// It has lint errors.
    Lints(Vec<String>),
}

impl Refusal {
    /// The answer to give on a path that the reference does not have.
    pub(crate) fn answer_here(&self) -> Response {
        let body = match self {
            Self::Error(text) => serde_json::json!({ "error": text }),
            Self::Lints(lints) => serde_json::json!({ "error": lints.join("\n"), "lint_errors": lints }),
        };
        answer::json(StatusCode::BAD_REQUEST, &body)
    }

    /// The answer to give.
    pub(crate) fn answer(&self) -> Response {
        match self {
            Self::Error(text) => answer::error(StatusCode::BAD_REQUEST, text),
            Self::Lints(lints) => answer::lints(lints),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn error(text: impl ToString) -> Refusal {
    Refusal::Error(text.to_string())
}

/// Checks a text. Where only a plan is asked for, its lint errors become part of that.
pub(super) fn checked(
    dry_run: bool,
    chilled: bool,
    check: impl Fn(bool) -> Result<Submission, Refusal>,
) -> Result<Submission, Refusal> {
    match check(chilled) {
        Err(Refusal::Lints(_)) if dry_run => {
            check(true).map(|submission| Submission { chilled: false, ..submission })
        }
        done => done,
    }
}

/// A submitted text, expanded and read.
#[derive(Clone)]
pub(crate) struct Text {
    /// As submitted.
    pub(crate) source: String,
    /// With variables expanded.
    pub(crate) node: Node,
    /// With variables unexpanded: what is compared and shown.
    pub(crate) bare: Node,
}

/// Bodies up to this are read where requests are answered; larger ones on threads that may take their time.
const SMALL: usize = 64 << 10;

impl Streams {
    /// Reads a body with `read`, away from the thread that answers requests if it is large.
    pub(super) async fn off_thread<T: Send + 'static>(
        &self,
        body: &Bytes,
        read: impl FnOnce(&Self, &[u8]) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        if body.len() <= SMALL {
            return read(self, body);
        }
        let (streams, body) = (self.clone(), body.clone());
        let done = tokio::task::spawn_blocking(move || read(&streams, &body)).await;
        done.unwrap_or_else(|panic| Err(error(panic)))
    }

    /// Reads a body: text, variables, YAML.
    pub(crate) fn read(&self, body: &[u8], chilled: bool) -> Result<Text, Refusal> {
        let source = std::str::from_utf8(body).map_err(|_| error("yaml: invalid UTF-8"))?;
        self.read_text(source.to_owned(), chilled)
    }

    /// Reads a text: variables, YAML.
    pub(crate) fn read_text(&self, source: String, chilled: bool) -> Result<Text, Refusal> {
        let expanded = environment::expand(&source, &*self.lookup).map_err(error)?;
        if let (Some(complaint), false) = (expanded.complaint(), chilled) {
            return Err(error(complaint));
        }
        let node = yaml::parse(&expanded.text).map_err(error)?;
        // Without variables both are one, and the second reading is saved.
        let bare =
            if expanded.text == source { node.clone() } else { tokens::parse(&source).map_err(error)? };
        Ok(Text { source, node, bare })
    }

    /// Checks and lints a stream's config, and makes it ready to be built.
    pub(crate) fn stream_submission(
        &self,
        id: &str,
        text: Text,
        chilled: bool,
    ) -> Result<Submission, Refusal> {
        let registry = &self.runtime.engine().registry;
        repeated(&text.node)?;
        lint::read::check(&text.node, sections::STREAM, registry).map_err(error)?;
        let lints = lint::config(&text.node, sections::STREAM, registry, LintOptions::default());
        let lints = refuse_lints(lints.iter().map(ToString::to_string).collect(), chilled)?;
        Ok(Submission { lints, ..self.ready(id, text, chilled) })
    }

    /// Reads, checks and lints a stream's file, which may have unit tests and ask not to be linted.
    pub(crate) fn file_submission(
        &self,
        id: &str,
        bytes: &[u8],
        chilled: bool,
    ) -> Result<Submission, Refusal> {
        let text = self.read(bytes, chilled)?;
        let registry = &self.runtime.engine().registry;
        lint::read::check(&text.node, sections::STREAM_FILE, registry).map_err(error)?;
        let silent = ["# BENTHOS LINT DISABLE", "# WEIR LINT DISABLE"]
            .iter()
            .any(|mark| text.source.starts_with(mark));
        let lints = if silent {
            Vec::new()
        } else {
            lint::config(&text.node, sections::STREAM_FILE, registry, LintOptions::default())
        };
        let lints: Vec<String> = lints.iter().map(ToString::to_string).collect();
        if chilled {
            lints
                .iter()
                .for_each(|lint| tracing::warn!(stream = id, lint, "Config lint error in the stream's file"));
        } else {
            refuse_lints(lints, false)?;
        }
        Ok(self.ready(id, text, chilled))
    }

    /// Lints one member of a whole set; what is wrong with it is said with its id.
    pub(crate) fn member_submission(
        &self,
        id: &str,
        text: Text,
        chilled: bool,
    ) -> Result<Submission, Refusal> {
        let registry = &self.runtime.engine().registry;
        let named = |text: String| format!("stream '{id}': {text}");
        let placed = |refusal| match refusal {
            Refusal::Error(text) => Refusal::Error(named(text)),
            Refusal::Lints(lints) => Refusal::Lints(lints.into_iter().map(named).collect()),
        };
        repeated(&text.node).map_err(placed)?;
        let lints = lint::config(&text.node, sections::STREAM, registry, LintOptions::default());
        let lints = refuse_lints(lints.iter().map(|lint| named(lint.to_string())).collect(), chilled)?;
        lint::read::check(&text.node, sections::STREAM, registry).map_err(|e| placed(error(e)))?;
        Ok(Submission { lints, ..self.ready(id, text, chilled) })
    }

    /// Checks and lints a resource's config, and makes it ready to be built.
    pub(crate) fn resource_submission(
        &self,
        key: Key,
        kind: Kind,
        text: Text,
        chilled: bool,
    ) -> Result<Submission, Refusal> {
        let registry = &self.runtime.engine().registry;
        repeated(&text.node)?;
        let readable = lint::read::component(kind, &text.node, registry).map_err(error);
        let lints = if is_bare(&text.node) {
            Vec::new()
        } else {
            lint::component(kind, &text.node, registry, LintOptions::default())
        };
        let lints = refuse_lints(lints.iter().map(ToString::to_string).collect(), chilled)?;
        readable?;
        let text = Text { node: crate::runtime::unlabelled(&text.node), ..text };
        Ok(Submission { lints, ..self.resource_ready(key, kind, text, chilled) })
    }

    /// Makes the checked text of a resource ready to be built.
    pub(crate) fn resource_ready(&self, key: Key, kind: Kind, text: Text, chilled: bool) -> Submission {
        let (runtime, node, id) = (self.runtime.clone(), text.node, key.id.to_string());
        let fingerprint = fingerprint(canonical(&text.bare).as_bytes());
        let build = Box::new(move || runtime.resource(kind, &id, &node));
        let format = format(&text.source);
        let lints = Vec::new();
        Submission { key, format, text: text.source, chilled, fingerprint, lints, build: Some(build) }
    }

    /// Makes a checked text ready to be built.
    pub(super) fn ready(&self, id: &str, text: Text, chilled: bool) -> Submission {
        let (runtime, node, name) = (self.runtime.clone(), text.node, id.to_owned());
        let fingerprint = fingerprint(canonical(&text.bare).as_bytes());
        let build = Box::new(move || runtime.stream(&name, &node));
        let (key, format) = (Key::stream(id), format(&text.source));
        let lints = Vec::new();
        Submission { key, format, text: text.source, chilled, fingerprint, lints, build: Some(build) }
    }
}

/// Nothing, a scalar or an empty list: no component to lint, so that the first reading says what is wrong.
fn is_bare(node: &Node) -> bool {
    match node.value() {
        Value::Scalar(_) => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
    }
}

/// Gives the lints back where they are accepted.
pub(crate) fn refuse_lints(lints: Vec<String>, chilled: bool) -> Result<Vec<String>, Refusal> {
    if lints.is_empty() || chilled { Ok(lints) } else { Err(Refusal::Lints(lints)) }
}

/// Refuses keys that are written twice: which one counts would be a guess.
fn repeated(node: &Node) -> Result<(), Refusal> {
    match node.value() {
        Value::Scalar(_) => Ok(()),
        Value::List(items) => items.iter().try_for_each(repeated),
        Value::Map(entries) => {
            let mut seen = std::collections::HashMap::with_capacity(entries.len());
            for (key, value) in entries {
                if let Some(first) = seen.insert(key.key_text(), key.line()) {
                    let text = format!(
                        "line {}: key '{}' is already defined on line {first}",
                        key.line(),
                        key.key_text()
                    );
                    return Err(error(text));
                }
                repeated(value)?;
            }
            Ok(())
        }
    }
}

pub(super) fn format(text: &str) -> Format {
    if text.trim_start().starts_with('{') { Format::Json } else { Format::Yaml }
}

/// A text that equal trees share: keys sorted, merged keys resolved, types told apart.
pub(crate) fn canonical(node: &Node) -> String {
    let mut out = String::new();
    write_canonical(node, &mut out);
    out
}

fn write_canonical(node: &Node, out: &mut String) {
    let word = |text: &str, out: &mut String| {
        out.push_str(&text.len().to_string());
        out.push(':');
        out.push_str(text);
    };
    match node.value() {
        Value::Scalar(scalar) => {
            word(&scalar.tag.to_string(), out);
            word(&scalar.text, out);
        }
        Value::List(items) => {
            out.push('[');
            items.iter().for_each(|item| write_canonical(item, out));
            out.push(']');
        }
        Value::Map(_) => {
            let merged = node.merged();
            let mut entries: Vec<_> = merged.as_map().unwrap_or_default().iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.key_text().cmp(b.key_text()));
            out.push('{');
            for (key, value) in entries {
                word(key.key_text(), out);
                write_canonical(value, out);
            }
            out.push('}');
        }
    }
}

/// The same tree without positions: what a patch makes is written nowhere.
pub(crate) fn unplaced(node: &Node) -> Node {
    let bare = match node.value() {
        Value::Scalar(_) => node.clone(),
        Value::List(items) => node.with_value(Value::List(items.iter().map(unplaced).collect())),
        Value::Map(entries) => node.with_value(Value::Map(
            entries.iter().map(|(key, value)| (unplaced(key), unplaced(value))).collect(),
        )),
    };
    bare.with_position(Position::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> Node {
        tokens::parse(text).unwrap()
    }

    #[test]
    fn equal_specs_have_one_canonical_form() {
        let same = |a: &str, b: &str| canonical(&node(a)) == canonical(&node(b));
        assert!(same("a: 1\nb: [ x ]", "{\"b\":[\"x\"],\"a\":1} # c"));
        assert!(same("x: &x { a: 1 }\ny: *x", "{ x: { a: 1 }, y: { a: 1 } }"));
        assert!(same("a: ${N}", "a:    ${N}"));
        assert!(!same("a: 1", "a: '1'"));
        assert!(!same("a: ${N}", "a: '${N}'"));
        assert!(!same("a: [ '1:a' ]", "a: [ '1', 'a' ]"));
    }

    #[test]
    fn repeated_keys_are_refused_wherever_they_are() {
        assert!(repeated(&node("a: 1\nb: { c: 1 }")).is_ok());
        let refusal = repeated(&node("a:\n  - b: 1\n    b: 2")).unwrap_err();
        assert_eq!(refusal, Refusal::Error("line 3: key 'b' is already defined on line 2".into()));
    }

    #[test]
    fn a_tree_loses_all_its_positions() {
        let bare = unplaced(&node("a:\n  - b: 1"));
        assert_eq!(bare.at(&["a", "0", "b"]).unwrap().line(), 0);
    }
}

//! YAML (hence JSON) text to nodes with positions. Only the first document is read.

use crate::node::{Node, Position, Scalar, Style, Tag, Value};
use base64::Engine as _;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use std::{borrow::Cow, collections::HashMap, fmt, sync::Arc};

/// How deep a document may nest.
pub const MAX_DEPTH: usize = 250;

/// How many nodes a document may have once its aliases are expanded, beyond ten for each written one.
const MAX_EXPANSION: usize = 100_000;

/// A text that is no YAML, or more of it than is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct YamlError {
    /// Line of the fault, from 1; 0: nowhere in particular.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "yaml: {}", self.message),
            line => write!(f, "yaml: line {line}: {}", self.message),
        }
    }
}

impl std::error::Error for YamlError {}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        let line = u32::try_from(error.marker().line()).unwrap_or(u32::MAX);
        let (line, message) = crate::compat::yaml_fault(line, error.info());
        Self { line, message }
    }
}

/// Reads the first document of a text; an empty one is a null on line 0.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) {
        return Err(YamlError { line: 0, message: "control characters are not allowed".into() });
    }
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder { text, end: weir_bloblang::unbroken_yaml_end(text), ..Builder::default() };
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            // What follows a whole document on its line is not looked at, as in the reference.
            Err(_) if builder.root.is_some() && builder.open.is_empty() => break,
            event => event?,
        };
        builder.event(event, span)?;
        if builder.ended {
            break;
        }
    }
    Ok(builder.root.unwrap_or_else(Node::null))
}

/// A list or map that is not closed yet.
struct Open {
    is_map: bool,
    items: Vec<Node>,
    position: Position,
    anchor: usize,
    /// Nodes in it, aliases expanded.
    weight: usize,
}

#[derive(Default)]
struct Builder<'a> {
    text: &'a str,
    /// The lines of the text, once a block scalar needs them.
    lines: Option<Vec<&'a str>>,
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    written: usize,
    ended: bool,
    /// Where a last line without a break ends.
    end: usize,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let position = Position {
            line: u32::try_from(span.start.line()).unwrap_or(u32::MAX),
            column: u32::try_from(span.start.col() + 1).unwrap_or(u32::MAX),
        };
        let fault = |message: &str| Err(YamlError { line: position.line, message: message.into() });
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
                let is_cut = is_block && span.end.index() >= self.end;
                let text =
                    if is_cut { text.strip_suffix('\n').unwrap_or(&text).to_owned().into() } else { text };
                let scalar = scalar(text, style, tag.as_deref());
                let position = if is_block { self.header(position) } else { position };
                self.add(Node::new(Value::Scalar(scalar), position), anchor, 1, position)
            }
            Event::Alias(id) => {
                let Some((node, weight)) = self.anchors.get(&id) else {
                    return fault("an anchor contains an alias of itself");
                };
                let (node, weight) = (node.aliased(), *weight);
                self.add(node, 0, weight, position)
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if self.open.len() >= MAX_DEPTH {
                    return fault("exceeded the maximum nesting depth");
                }
                let is_map = matches!(event, Event::MappingStart(..));
                self.open.push(Open { is_map, items: Vec::new(), position, anchor, weight: 1 });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let position = open.position;
                let value = if open.is_map { Value::Map(pairs(open.items)) } else { Value::List(open.items) };
                self.add(Node::new(value, position), open.anchor, open.weight, position)
            }
            Event::DocumentEnd | Event::StreamEnd => {
                self.ended = true;
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => Ok(()),
        }
    }

    /// Where the `|` or `>` of a block scalar is whose content starts at `content`.
    fn header(&mut self, content: Position) -> Position {
        let text = self.text;
        let lines = self.lines.get_or_insert_with(|| text.lines().collect());
        for line in (1..content.line).rev() {
            let written = lines.get(line as usize - 1).copied().unwrap_or("");
            let mut before = ' ';
            for (index, (at, c)) in written.char_indices().enumerate() {
                if matches!(c, '|' | '>')
                    && before.is_whitespace()
                    && ends_header(written.get(at + 1..).unwrap_or(""))
                {
                    return Position { line, column: u32::try_from(index + 1).unwrap_or(u32::MAX) };
                }
                before = c;
            }
        }
        content
    }

    fn add(&mut self, node: Node, anchor: usize, weight: usize, position: Position) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), weight));
        }
        self.written += 1;
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.weight = parent.weight.saturating_add(weight);
        if parent.weight > MAX_EXPANSION.saturating_add(self.written.saturating_mul(10)) {
            return Err(YamlError {
                line: position.line,
                message: "document contains excessive aliasing".into(),
            });
        }
        parent.items.push(node);
        Ok(())
    }
}

/// Whether this follows the `|` or `>` of a block scalar: indentation, chomping and a comment, if anything.
fn ends_header(text: &str) -> bool {
    let text = text.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-'));
    let rest = text.trim_start();
    rest.is_empty() || rest.starts_with('#') && rest.len() < text.len()
}

fn pairs(items: Vec<Node>) -> Vec<(Node, Node)> {
    let mut entries = Vec::with_capacity(items.len() / 2);
    let mut items = items.into_iter();
    while let (Some(key), Some(value)) = (items.next(), items.next()) {
        entries.push((key, value));
    }
    entries
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, tag: Option<&saphyr_parser::Tag>) -> Scalar {
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    };
    let tag = match tag {
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "null" => Tag::Null,
            "bool" => Tag::Bool,
            "int" => Tag::Int,
            "float" => Tag::Float,
            "timestamp" => Tag::Timestamp,
            // Bytes that are text are that text from here on.
            "binary" => match binary(&text) {
                Some(text) => return Scalar { text: text.into(), tag: Tag::Str, style },
                None => Tag::Binary,
            },
            "str" => Tag::Str,
            other => Tag::Other(format!("!!{other}").into()),
        },
        Some(tag) if tag.suffix.is_empty() => Tag::Str,
        Some(tag) => Tag::Other(format!("{}{}", tag.handle, tag.suffix).into()),
        None if style == Style::Plain => resolve(&text),
        None => Tag::Str,
    };
    Scalar { text: Arc::from(text), tag, style }
}

/// The text that a `!!binary` scalar encodes.
fn binary(text: &str) -> Option<String> {
    let compact: String = text.split_ascii_whitespace().collect();
    String::from_utf8(base64::engine::general_purpose::STANDARD.decode(compact).ok()?).ok()
}

/// The type of a plain scalar.
pub fn resolve(text: &str) -> Tag {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Tag::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return Tag::Bool,
        "<<" => return Tag::Merge,
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" | "-.inf" | "-.Inf" | "-.INF" | ".nan"
        | ".NaN" | ".NAN" => return Tag::Float,
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Tag::Str;
    }
    if is_timestamp(text) {
        return Tag::Timestamp;
    }
    let bare = text.replace('_', "");
    match crate::node_serde::integer(&bare) {
        Some(value) if i64::try_from(value).is_ok() || u64::try_from(value).is_ok() => return Tag::Int,
        _ => {}
    }
    if weir_bloblang::is_yaml_float(&bare) { Tag::Float } else { Tag::Str }
}

/// `2006-1-2`, alone or followed by a time.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = match text.split_once(['T', 't', ' ']) {
        Some((date, time)) => (date, Some(time)),
        None => (text, None),
    };
    let digits = |text: &str, max| {
        !text.is_empty() && text.len() <= max && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut parts = date.split('-');
    let (year, month, day) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let is_date =
        year.len() == 4 && digits(year, 4) && digits(month, 2) && digits(day, 2) && parts.next().is_none();
    let in_range = |text: &str, max: u32| text.parse::<u32>().is_ok_and(|value| value <= max);
    if !is_date || !in_range(month, 12) || !in_range(day, 31) {
        return false;
    }
    let Some(time) = time else { return true };
    let clock = time.trim_end_matches(['Z', 'z']);
    let clock = clock.split_once(['+', '-']).map_or(clock, |(clock, _)| clock);
    let mut parts = clock.splitn(3, ':');
    let (hour, minute, second) =
        (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let second = second.split_once('.').map_or(second, |(second, _)| second);
    digits(hour, 2) && digits(minute, 2) && digits(second, 2) && in_range(hour, 23) && in_range(minute, 59)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    fn position(node: &Node) -> (u32, u32) {
        (node.line(), node.column())
    }

    #[test]
    fn a_last_line_without_a_break_gets_none() {
        for (text, wanted) in [
            ("a: |\n  x", "x"),
            ("a: |+\n  x", "x"),
            ("a: >\n  x\n  y", "x y"),
            ("a: |\n  x\n  ", "x\n"),
            ("a: |\n  x\n", "x\n"),
            ("a: |\n  x\nb: x", "x\n"),
            ("a: |\n  ä\n# x", "ä\n"),
            ("a: \"x\\n\"", "x\n"),
        ] {
            assert_eq!(parse(text).unwrap().get("a").unwrap().as_str(), Some(wanted), "{text:?}");
        }
    }

    #[test]
    fn positions_are_those_of_the_first_character() {
        let node =
            parse("input:\n  file:\n    paths: [ a, 'b' ]\n    mapping: |\n      x\n  list:\n    - c: 1\n")
                .unwrap();
        assert_eq!(position(&node), (1, 1));
        assert_eq!(position(node.get("input").unwrap()), (2, 3));
        let file = node.at(&["input", "file"]).unwrap();
        assert_eq!(position(file), (3, 5));
        assert_eq!(position(file.get("paths").unwrap()), (3, 12));
        assert_eq!(position(file.at(&["paths", "1"]).unwrap()), (3, 17));
        assert_eq!(position(file.get("mapping").unwrap()), (4, 14));
        assert_eq!(position(node.at(&["input", "list"]).unwrap()), (7, 5));
        assert_eq!(position(node.at(&["input", "list", "0"]).unwrap()), (7, 7));
    }

    #[test]
    fn scalars_are_typed() {
        let typed = |text: &str| parse(text).unwrap().tag().to_string();
        for (text, tag) in [
            ("017", "!!int"),
            ("08", "!!float"),
            ("1_0", "!!int"),
            ("0x1F", "!!int"),
            ("1e1", "!!float"),
            ("'1'", "!!str"),
            ("no", "!!str"),
            ("~", "!!null"),
            ("2020-01-02", "!!timestamp"),
            ("2020-01-02T03:04:05Z", "!!timestamp"),
            ("2020-13-02", "!!str"),
            ("1.2.3", "!!str"),
            ("-", "!!seq"),
            ("!!int '5'", "!!int"),
            ("!env FOO", "!env"),
            ("18446744073709551615", "!!int"),
            ("18446744073709551616", "!!float"),
        ] {
            assert_eq!(typed(text), tag, "{text}");
        }
    }

    #[test]
    fn only_the_first_document_is_read() {
        assert_eq!(parse("a: 1\n---\n: [").unwrap().get("a").unwrap().as_str(), Some("1"));
        assert_eq!(parse(r#"{"a":1}{"b":2}"#).unwrap().get("a").unwrap().as_str(), Some("1"));
        assert!(parse(r#"{"a":1"#).is_err());
        assert!(parse("").unwrap().is_null());
        assert!(parse("# nothing\n").unwrap().is_null());
        assert_eq!(parse("").unwrap().line(), 0);
        assert_eq!(parse("null").unwrap().line(), 1);
    }

    #[test]
    fn bombs_are_refused() {
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().message.contains("limit"));
        let mut laughs = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 1..9 {
            let item = format!("*a{},", level - 1).repeat(10);
            writeln!(laughs, "a{level}: &a{level} [{item}]").unwrap();
        }
        assert!(parse(&laughs).unwrap_err().message.contains("aliasing"));
        assert!(parse("a: &a [ *a ]").is_err());
    }

    #[test]
    fn faults_name_their_line() {
        assert_eq!(parse("a: 1\nb: %x").unwrap_err().line, 2);
        assert!(parse("a: *nowhere").is_err());
        assert!(parse("a: \"\\q\"").is_err());
        assert!(parse("a: \"\u{1}\"").is_err());
        assert!(parse("input:\n\tstdin: {}").is_err());
    }
}

//! Reading YAML.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{resolve, unbroken_end};
use crate::object::Object;
use crate::text::Text;
use crate::value::{Kind, Value};

/// Deepest nesting.
const MAX_DEPTH: usize = 250;
/// How many values aliases may stand for in all.
const MAX_EXPANSION: usize = 100_000;

/// Most keys of a map that are shown to have come twice.
const MAX_ERRORS: usize = 100;

/// A list or map not closed yet.
struct Open {
    map: bool,
    items: Vec<Value>,
    /// The line of each item.
    lines: Vec<usize>,
    anchor: usize,
    line: usize,
    /// How many errors there were before it.
    errors: usize,
}

#[derive(Default)]
struct Loader {
    open: Vec<Open>,
    anchors: HashMap<usize, Value>,
    root: Option<Value>,
    expanded: usize,
    /// Keys that came twice.
    errors: Vec<String>,
}

/// The text of bytes, unless something in it has no place in YAML.
pub(crate) fn readable(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let octet = bytes.get(error.valid_up_to()).copied().unwrap_or_default();
        let what = match (octet, error.error_len()) {
            (0x80..=0xbf | 0xf8..=0xff, _) => "invalid leading UTF-8 octet",
            (_, None) => "incomplete UTF-8 octet sequence",
            (_, Some(_)) => "invalid trailing UTF-8 octet",
        };
        format!("yaml: {what}")
    })?;
    let fits = |char| matches!(char, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..);
    if text.strip_prefix('\u{feff}').unwrap_or(text).chars().all(|char| fits(char) && char != '\u{feff}') {
        Ok(text)
    } else {
        Err("yaml: control characters are not allowed".to_owned())
    }
}

/// Reads the first document; nothing at all is null.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut loader = Loader::default();
    let end = unbroken_end(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| format!("yaml: line {}: {}", error.marker().line(), error.info()))?;
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| format!("{}{}", tag.handle, tag.suffix));
                let is_cut =
                    matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) && span.end.index() >= end;
                let text = if is_cut { text.strip_suffix('\n').unwrap_or(&text) } else { &text };
                let value = scalar(text, style == ScalarStyle::Plain, tag.as_deref())?;
                loader.put(value, anchor, line);
            }
            Event::Alias(anchor) => {
                let value = loader
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .ok_or_else(|| format!("yaml: line {line}: unknown anchor"))?;
                loader.expanded += size(&value);
                if loader.expanded > MAX_EXPANSION {
                    return Err("yaml: document contains excessive aliasing".to_owned());
                }
                loader.put(value, 0, line);
            }
            Event::SequenceStart(anchor, _) => loader.start(false, anchor, line)?,
            Event::MappingStart(anchor, _) => loader.start(true, anchor, line)?,
            Event::SequenceEnd | Event::MappingEnd => loader.end(),
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    if loader.errors.is_empty() {
        return Ok(loader.root.unwrap_or_default());
    }
    Err(format!("yaml: unmarshal errors:\n  {}", loader.errors.join("\n  ")))
}

/// Number of values in a value.
fn size(value: &Value) -> usize {
    let inner: usize = match (value.to_array(), value.to_object()) {
        (Some(items), _) => items.iter().map(size).sum(),
        (None, Some(object)) => object.values().map(|value| size(&value)).sum(),
        (None, None) => 0,
    };
    inner + 1
}

fn scalar(text: &str, plain: bool, tag: Option<&str>) -> Result<Value, String> {
    let string = || Ok(Value::from(text));
    match tag.map(|tag| tag.rsplit([':', '!']).next().unwrap_or(tag)) {
        Some("str") => string(),
        Some("binary") => {
            use base64::Engine as _;
            let packed: String = text.split_ascii_whitespace().collect();
            let decoded = base64::engine::general_purpose::STANDARD.decode(packed);
            decoded
                .map(|bytes| Value::String(Text::new(&bytes)))
                .map_err(|_| "yaml: !!binary value contains invalid base64 data".to_owned())
        }
        Some("int" | "float" | "bool" | "null" | "timestamp") => {
            Ok(resolve(text).unwrap_or_else(|| Value::from(text)))
        }
        _ if plain => Ok(resolve(text).unwrap_or_else(|| Value::from(text))),
        _ => string(),
    }
}

impl Loader {
    fn start(&mut self, map: bool, anchor: usize, line: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err("yaml: exceeded max depth".to_owned());
        }
        let errors = self.errors.len();
        self.open.push(Open { map, items: Vec::new(), lines: Vec::new(), anchor, line, errors });
        Ok(())
    }

    fn put(&mut self, value: Value, anchor: usize, line: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            Some(open) => {
                open.items.push(value);
                open.lines.push(line);
            }
            None => self.root = Some(value),
        }
    }

    fn end(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let (anchor, line) = (open.anchor, open.line);
        let value = if open.map { self.object(open) } else { open.items.into() };
        self.put(value, anchor, line);
    }

    /// Builds a map of keys and values by turns; `<<` merges what it does not have.
    fn object(&mut self, open: Open) -> Value {
        let mut object = Object::new();
        let mut merged = Vec::new();
        let mut seen: HashMap<Text, usize> = HashMap::new();
        let mut errors = Vec::new();
        let mut items = open.items.into_iter().zip(open.lines);
        while let (Some((key, line)), Some((value, _))) = (items.next(), items.next()) {
            let name = key.to_text();
            if name == "<<" && matches!(value.kind(), Kind::Object | Kind::Array) {
                match value.to_array() {
                    Some(items) => merged.extend(items.iter().cloned()),
                    None => merged.push(value),
                }
                continue;
            }
            if let Some(first) = seen.insert(name.clone(), line)
                && errors.len() < MAX_ERRORS
            {
                let name = super::super::quote(&name.as_str());
                errors.push(format!("line {line}: mapping key {name} already defined at line {first}"));
            }
            object.insert(name, value);
        }
        if !errors.is_empty() {
            // What is wrong further in is not looked at.
            self.errors.truncate(open.errors);
            self.errors.append(&mut errors);
        }
        for source in merged {
            for (key, value) in source.to_object().unwrap_or_default().iter() {
                if !object.contains_key(&key) {
                    object.insert(key, value);
                }
            }
        }
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        for (text, want) in [
            ("a: 1\nb: [x, 'y', true, null]\n", r#"{"a":1,"b":["x","y",true,null]}"#),
            ("- &a {x: 1}\n- *a\n", r#"[{"x":1},{"x":1}]"#),
            ("b: &b {x: 1, y: 2}\nc: {<<: *b, x: 3}\n", r#"{"b":{"x":1,"y":2},"c":{"x":3,"y":2}}"#),
            ("", "null"),
            ("a\n---\nb", "\"a\""),
            ("a: !!str 1\nb: !!binary aGk=", r#"{"a":"1","b":"hi"}"#),
            ("1: x", r#"{"1":"x"}"#),
        ] {
            assert_eq!(parse(text).unwrap().to_json(), want, "{text}");
        }
        assert!(parse("a: 1\na: 2").is_err() && parse("a: [").is_err());
    }
}

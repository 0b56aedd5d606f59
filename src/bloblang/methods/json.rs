//! Methods that read and write JSON.

use bytes::Bytes;

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::json::{Doc, JsonError, Numbers};
use crate::spec::{Args, Default, Param, Spec};
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("parse_json", "Parses JSON; numbers become floats.", PARSE, parse_json),
    Spec::method("format_json", "Writes JSON over several lines.", FORMAT, format_json),
];

const PARSE: &[Param] = &[Param::bool("use_number", "Whether numbers keep their text.").optional()];
const FORMAT: &[Param] = &[
    Param::string("indent", "What to indent with.").default(Default::String("    ")),
    Param::bool("no_indent", "Whether to write one line.").default(Default::Bool(false)),
    Param::bool("escape_html", "Whether `<`, `>` and `&` are escaped.").default(Default::Bool(true)),
];

fn parse_json(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 64)?;
    let numbers = if args.bool(0) == Some(true) { Numbers::Text } else { Numbers::Float };
    let bytes = match &target {
        Value::Bytes(bytes) => (**bytes).clone(),
        _ => Bytes::copy_from_slice(&text.bytes),
    };
    let failed = |error: JsonError| {
        let text = match error {
            JsonError::Empty => "EOF".to_owned(),
            error => error.to_string(),
        };
        Fault::new(format!("failed to parse value as JSON: {text}"))
    };
    let doc = match Doc::parse_with(bytes.clone(), numbers) {
        Ok(doc) => doc,
        // Only the first document counts; what follows is not looked at.
        Err(error) => match crate::compat::first_document(&bytes) {
            Ok(len) => Doc::parse_with(bytes.slice(..len), numbers).map_err(failed)?,
            Err(JsonError::Syntax(text)) if text == "unexpected EOF" => {
                let blank = bytes.iter().all(u8::is_ascii_whitespace);
                let text = if blank { "EOF" } else { "unexpected EOF" };
                return Err(failed(JsonError::Syntax(text.to_owned())));
            }
            Err(_) => return Err(failed(error)),
        },
    };
    if numbers == Numbers::Float
        && let Some(text) = doc.huge_number()
    {
        let text = format!("json: cannot unmarshal number {text} into Go value of type float64");
        return Err(failed(JsonError::Syntax(text)));
    }
    Ok(Value::document(&doc))
}

fn format_json(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let mut compact = Vec::new();
    let written = match args.bool(2) {
        Some(false) => target.write_json(&mut compact),
        _ => target.write_json_html_escaped(&mut compact),
    };
    written.map_err(|error| Fault::new(error.to_string()))?;
    cx.spend(compact.len() as u64 / 32)?;
    let indent = args.bytes(0).unwrap_or_default();
    if args.bool(1) == Some(true) || indent.is_empty() {
        return Ok(Value::bytes(compact));
    }
    if !matches!(target.kind(), Kind::Object | Kind::Array) {
        return Ok(Value::bytes(compact));
    }
    indented(&compact, indent).map(Value::bytes)
}

/// Breaks compact JSON into indented lines.
pub fn indented(compact: &[u8], indent: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    let line = |out: &mut Vec<u8>, depth: usize| {
        out.push(b'\n');
        for _ in 0..depth {
            out.extend_from_slice(indent);
        }
    };
    for (at, byte) in compact.iter().copied().enumerate() {
        if out.len() > super::strings::MAX_BYTES {
            return Err(Fault::new("result is too large"));
        }
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                if !matches!(compact.get(at + 1), Some(b'}' | b']')) {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                if !matches!(at.checked_sub(1).and_then(|before| compact.get(before)), Some(b'{' | b'[')) {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                line(&mut out, depth);
            }
            b':' => out.extend_from_slice(b": "),
            other => {
                in_string = other == b'"';
                out.push(other);
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_indented() {
        let out = indented(br#"{"a":[],"b":{"c":"x{\","}}"#, b"  ").unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\n  \"a\": [],\n  \"b\": {\n    \"c\": \"x{\\\",\"\n  }\n}"
        );
    }
}

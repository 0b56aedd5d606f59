//! Lines of `key=value` pairs.

use super::target::coerced;
use crate::compat::quote_bytes;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("parse_logfmt", "Parses a line of key=value pairs into an object.", &[], parse_logfmt)];

fn parse_logfmt(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let text = coerced(&target)?;
    cx.spend(text.len() as u64 / 16)?;
    cx.charge(text.len().saturating_mul(16))?;
    parse(&text).map(Value::from)
}

/// The bytes until one of `ends`, and what follows.
fn until<'a>(text: &'a [u8], ends: &[u8]) -> (&'a [u8], &'a [u8]) {
    let end = text.iter().position(|byte| ends.contains(byte)).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, b""))
}

fn parse(mut text: &[u8]) -> Result<Object, Fault> {
    let mut object = Object::new();
    loop {
        text = until_other(text);
        if text.is_empty() {
            return Ok(object);
        }
        let (key, rest) = until(text, b"= \t");
        let Some(value) = rest.strip_prefix(b"=") else {
            object.insert(key, Value::Bool(true));
            text = rest;
            continue;
        };
        if key.is_empty() {
            text = value;
        } else if let Some(quoted) = value.strip_prefix(b"\"") {
            let (value, rest) = unquoted(quoted).ok_or_else(|| {
                Fault::new(format!("logfmt: unterminated quoted value for key {}", quote_bytes(key)))
            })?;
            object.insert(key, Value::String(Text::from(value)));
            text = rest;
        } else {
            let (value, rest) = until(value, b" \t");
            object.insert(key, Value::String(Text::new(value)));
            text = rest;
        }
    }
}

fn until_other(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b' ' | b'\t')).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// A value up to its closing quote, and what follows; unknown escapes stay.
fn unquoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        match rest {
            [b'"', tail @ ..] => return Some((out, tail)),
            [b'\\', escape, tail @ ..] => {
                match escape {
                    b'"' | b'\\' | b'/' => out.push(*escape),
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    b'b' => out.push(8),
                    b'f' => out.push(12),
                    other => out.extend_from_slice(&[b'\\', *other]),
                }
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
            [] => return None,
        }
    }
}

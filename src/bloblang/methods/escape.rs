//! Escaping for HTML and URLs, and formatting by verbs.

use super::strings::MAX_BYTES;
use super::target::{coerced, coerced_str};
use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("escape_html", "Escapes what HTML gives a meaning.", &[], escape_html),
    Spec::method("unescape_html", "Resolves HTML's character references.", &[], unescape_html),
    Spec::method("escape_url_query", "Escapes for a URL's query.", &[], escape_url_query),
    Spec::method("unescape_url_query", "Resolves the escapes of a URL's query.", &[], unescape_url_query),
    Spec::method("escape_url_path", "Escapes for a segment of a URL's path.", &[], escape_url_path),
    Spec::method("unescape_url_path", "Resolves the escapes of a URL's path.", &[], unescape_url_path),
    Spec::method("format", "Formats values by the verbs in the string.", &[], format).variadic(),
    Spec::plugin("parse_form_url_encoded", "Parses a form as URLs encode it.", &[], parse_form),
];

fn string(bytes: &[u8]) -> Value {
    Value::String(Text::new(bytes))
}

fn escape_html(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = coerced(&target)?;
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for byte in bytes.iter() {
        match byte {
            b'&' => out.extend_from_slice(b"&amp;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            b'"' => out.extend_from_slice(b"&#34;"),
            other => out.push(*other),
        }
    }
    Ok(string(&out))
}

fn unescape_html(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(compat::html::unescape(&coerced_str(&target)?).into())
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~')
}

/// Escapes all bytes but those to keep.
pub(super) fn percent(bytes: &[u8], keep: impl Fn(u8) -> bool, plus: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for byte in bytes.iter().copied() {
        match byte {
            b' ' if plus => out.push(b'+'),
            byte if keep(byte) => out.push(byte),
            byte => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

fn escape_url_query(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(string(&percent(&coerced(&target)?, is_unreserved, true)))
}

fn escape_url_path(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let keep = |byte| is_unreserved(byte) || matches!(byte, b'$' | b'&' | b'+' | b'=' | b':' | b'@');
    Ok(string(&percent(&coerced(&target)?, keep, false)))
}

/// Resolves percent escapes.
pub(super) fn unpercent(bytes: &[u8], plus: bool) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'%' => {
                let escape = bytes.get(at..(at + 3).min(bytes.len())).unwrap_or_default();
                let digit = |at: usize| escape.get(at).and_then(|byte| char::from(*byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                    let shown = compat::quote_bytes(escape);
                    return Err(Fault::new(format!("invalid URL escape {shown}")));
                };
                out.push(u8::try_from(high << 4 | low).unwrap_or_default());
                at += 3;
                continue;
            }
            b'+' if plus => out.push(b' '),
            other => out.push(other),
        }
        at += 1;
    }
    Ok(out)
}

fn unescape_url_query(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(string(&unpercent(&coerced(&target)?, true)?))
}

fn unescape_url_path(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(string(&unpercent(&coerced(&target)?, false)?))
}

fn format(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let values: Vec<&Value> = args.values().collect();
    values.iter().try_for_each(|value| cx.walk(value))?;
    let out = compat::sprintf(&coerced(&target)?, &values, MAX_BYTES)
        .ok_or_else(|| Fault::new(format!("result exceeds the limit of {MAX_BYTES} bytes")))?;
    cx.spend(out.len() as u64 / 32)?;
    Ok(string(&out))
}

fn parse_form(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = coerced(&target)?;
    cx.spend(bytes.len() as u64 / 16)?;
    cx.charge(bytes.len().saturating_mul(16))?;
    let mut object = Object::new();
    let mut failed = None;
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pair.contains(&b';') {
            failed.get_or_insert_with(|| Fault::new("invalid semicolon separator in query"));
            continue;
        }
        let cut = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let (key, value) = (pair.get(..cut).unwrap_or_default(), pair.get(cut + 1..).unwrap_or_default());
        let (key, value) = match (unpercent(key, true), unpercent(value, true)) {
            (Ok(key), Ok(value)) => (key, string(&value)),
            (Err(fault), _) | (_, Err(fault)) => {
                failed.get_or_insert(fault);
                continue;
            }
        };
        match object.get_mut(&key) {
            None => object.insert(key, value),
            Some(existing) => match existing.array_mut() {
                Some(items) => items.push(value),
                None => *existing = vec![std::mem::take(existing), value].into(),
            },
        }
    }
    match failed {
        Some(fault) => Err(fault.context("failed to parse value as url-encoded data")),
        None => Ok(object.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_escapes() {
        assert_eq!(percent("foo & é".as_bytes(), is_unreserved, true), b"foo+%26+%C3%A9");
        assert_eq!(unpercent(b"foo+%26%c3%a9", true).unwrap(), "foo &é".as_bytes());
        assert_eq!(unpercent(b"a%2", true).unwrap_err().to_string(), "invalid URL escape \"%2\"");
    }
}

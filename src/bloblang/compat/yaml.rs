//! YAML as the reference's library reads and writes it.

mod emit;
mod load;

pub(crate) use emit::format;
pub(crate) use load::{parse, readable};

use crate::timestamp::Timestamp;
use crate::value::Value;

/// What a plain scalar stands for; strings are `None`.
fn resolve(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Some(Value::Null),
        "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Value::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    match text.as_bytes().first()? {
        b'0'..=b'9' | b'+' | b'-' | b'.' => {}
        _ => return None,
    }
    if let Some(time) = timestamp(text) {
        return Some(time.into());
    }
    let plain = text.replace('_', "");
    if let Ok(number) = super::parse_int_text(&plain, 0, 64) {
        return Some(Value::word(number));
    }
    if let Ok(number) = super::parse_uint_text(&plain, 0) {
        return Some(Value::Uint(number));
    }
    is_float(&plain).then(|| plain.parse().ok()).flatten().map(Value::Float)
}

/// Where a document ends, in characters, if its last line has no break: a block scalar that goes so far has none either,
/// though the parser adds one.
pub fn unbroken_end(document: &str) -> usize {
    if document.ends_with(['\n', '\r']) { usize::MAX } else { document.chars().count() }
}

/// Whether a plain YAML scalar without underscores is a number with a point or an exponent, or digits alone.
pub fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// A date, or a date and time.
fn timestamp(text: &str) -> Option<Timestamp> {
    // Four digits and a dash: worth a closer look.
    if text.len() < 8
        || text.as_bytes().get(4) != Some(&b'-')
        || !text.bytes().take(4).all(|byte| byte.is_ascii_digit())
    {
        return None;
    }
    let layouts = [
        "2006-1-2T15:4:5.999999999Z07:00",
        "2006-1-2t15:4:5.999999999Z07:00",
        "2006-1-2 15:4:5.999999999",
        "2006-1-2",
    ];
    layouts.iter().find_map(|layout| super::layout::parse(layout, text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        for (text, want) in [
            ("1", "1"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("017", "15"),
            ("1_000", "1000"),
            ("1.50", "1.5"),
            ("~", "null"),
            ("2020-01-02", "\"2020-01-02T00:00:00Z\""),
        ] {
            assert_eq!(resolve(text).unwrap().to_json(), want, "{text}");
        }
        for text in ["yes", "1.2.3", "a", "-", "1:30", "2020-13-01", "."] {
            assert!(resolve(text).is_none(), "{text}");
        }
    }
}

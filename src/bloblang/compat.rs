//! Texts in the words of the reference's own standard library, made from typed errors.

use crate::json::JsonError;
use crate::value::ArrayProblem;

pub(crate) mod duration;
pub(crate) mod elementary;
pub(crate) mod html;
mod json;
pub(crate) mod layout;
mod numbers;
pub(crate) mod period;
mod print;
pub(crate) mod regex;
pub(crate) mod sort;
pub(crate) mod strftime;
pub(crate) mod xml;
pub(crate) mod yaml;

pub(crate) use json::{first_document, json_error};
pub(crate) use numbers::{log10, parse_float, parse_int_text, parse_uint_text};
pub(crate) use print::{display, sprintf};

/// What is wrong with a path segment applied to an array; `position` counts segments from 0.
pub(crate) fn array_problem(position: usize, problem: &ArrayProblem) -> String {
    let prefix = format!("failed to resolve path segment '{position}'");
    match problem {
        ArrayProblem::NotIndex(segment) => {
            let cause = parse_error("Atoi", segment, "invalid syntax");
            format!(
                "{prefix}: found array but segment value '{segment}' could not be parsed into array index: {cause}"
            )
        }
        ArrayProblem::Negative(index) => format!("{prefix}: found array but index '{index}' is invalid"),
        ArrayProblem::OutOfRange(index, len) => {
            format!("{prefix}: found array but index '{index}' exceeded target array size of '{len}'")
        }
        ArrayProblem::NullItem(segment) => format!("{prefix}: field '{segment}' was not found"),
    }
}

/// What went wrong with a file.
pub(crate) fn file_error(verb: &str, path: &str, error: &std::io::Error) -> String {
    let cause = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        std::io::ErrorKind::IsADirectory => return format!("read {path}: is a directory"),
        _ => error.to_string(),
    };
    format!("{verb} {path}: {cause}")
}

/// A failure of one of the reference's number parsers.
pub(crate) fn parse_error(function: &str, text: &str, cause: &str) -> String {
    format!("strconv.{function}: parsing {}: {cause}", quote(text))
}

/// Quotes text with the escapes the reference's language has.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// As [`quote`], for any bytes.
pub(crate) fn quote_bytes(bytes: &[u8]) -> String {
    quote_with(bytes, false)
}

/// As [`quote_bytes`]; `ascii` escapes everything else.
pub(crate) fn quote_with(bytes: &[u8], ascii: bool) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                c if c < ' ' || c == '\u{7f}' => out.extend([format!("\\x{:02x}", u32::from(c))]),
                c if is_printable(c) && (c.is_ascii() || !ascii) => out.push(c),
                c if u32::from(c) < 0x1_0000 => out.extend([format!("\\u{:04x}", u32::from(c))]),
                c => out.extend([format!("\\U{:08x}", u32::from(c))]),
            }
        }
        for byte in chunk.invalid() {
            out.extend([format!("\\x{byte:02x}")]);
        }
    }
    out.push('"');
    out
}

/// What a quoted string stands for: double quotes with escapes, back quotes, or one character in single ones.
pub(crate) fn unquote(quoted: &[u8]) -> Option<Vec<u8>> {
    let (quote, rest) = quoted.split_first()?;
    let (last, body) = rest.split_last()?;
    if last != quote {
        return None;
    }
    match quote {
        b'`' if !body.contains(&b'`') => Some(body.iter().copied().filter(|byte| *byte != b'\r').collect()),
        b'"' | b'\'' => {
            let (out, chars) = unescape(body, *quote)?;
            (*quote == b'"' || chars == 1).then_some(out)
        }
        _ => None,
    }
}

/// Resolves escapes; also counts characters.
fn unescape(body: &[u8], quote: u8) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::with_capacity(body.len());
    let mut chars = 0;
    let mut at = 0;
    while let Some(byte) = body.get(at).copied() {
        at += 1;
        chars += usize::from(byte & 0xC0 != 0x80);
        match byte {
            b'\n' => return None,
            byte if byte == quote => return None,
            b'\\' => {
                let escape = body.get(at).copied()?;
                at += 1;
                let digits = match escape {
                    b'a' => {
                        out.push(7);
                        continue;
                    }
                    b'b' => {
                        out.push(8);
                        continue;
                    }
                    b'f' => {
                        out.push(12);
                        continue;
                    }
                    b'n' => {
                        out.push(b'\n');
                        continue;
                    }
                    b'r' => {
                        out.push(b'\r');
                        continue;
                    }
                    b't' => {
                        out.push(b'\t');
                        continue;
                    }
                    b'v' => {
                        out.push(11);
                        continue;
                    }
                    b'\\' => {
                        out.push(b'\\');
                        continue;
                    }
                    escape if escape == quote => {
                        out.push(quote);
                        continue;
                    }
                    b'x' => 2,
                    b'u' => 4,
                    b'U' => 8,
                    b'0'..=b'7' => {
                        let text = std::str::from_utf8(body.get(at - 1..at + 2)?).ok()?;
                        out.push(u8::from_str_radix(text, 8).ok()?);
                        at += 2;
                        continue;
                    }
                    _ => return None,
                };
                let text = std::str::from_utf8(body.get(at..at + digits)?).ok()?;
                let code = u32::from_str_radix(text, 16).ok()?;
                at += digits;
                if digits == 2 {
                    out.push(u8::try_from(code).ok()?);
                } else {
                    out.extend_from_slice(char::from_u32(code)?.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            other => out.push(other),
        }
    }
    Some((out, chars))
}

/// `d.ddde±dd` with so many digits after the point.
pub(crate) fn exponent(value: f64, precision: usize) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    format!("{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

/// `%g` with so many significant digits.
pub(crate) fn general(value: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let scientific = exponent(value, precision - 1);
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    let strip = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        } else {
            text.to_owned()
        }
    };
    if power < -4 || power >= i32::try_from(precision).unwrap_or(i32::MAX) {
        return format!(
            "{}e{}{:02}",
            strip(mantissa),
            if power < 0 { '-' } else { '+' },
            power.unsigned_abs()
        );
    }
    let digits = usize::try_from(i32::try_from(precision).unwrap_or(i32::MAX) - 1 - power).unwrap_or(0);
    strip(&format!("{value:.digits$}"))
}

/// Whether a character is shown as it is in quoted text.
fn is_printable(char: char) -> bool {
    // A mark is printable, but escaped where it has no letter before it.
    let shown = || format!("x{char}").escape_debug().nth(1) == Some(char);
    char == ' ' || char.is_ascii_graphic() || (!char.is_whitespace() && shown())
}

impl From<std::str::Utf8Error> for JsonError {
    fn from(error: std::str::Utf8Error) -> Self {
        Self::Syntax(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting() {
        assert_eq!(quote("a\"\n\u{1}\u{2028}é'\u{7f}"), r#""a\"\n\x01\u2028é'\x7f""#);
        assert_eq!(quote("\u{301}e\u{301}\u{200d}"), "\"\u{301}e\u{301}\\u200d\"");
    }
}

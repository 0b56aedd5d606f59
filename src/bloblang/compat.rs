//! Texts in the words of the reference's own standard library, made from typed errors.

use std::fmt;

use crate::json::JsonError;
use crate::value::{ArrayProblem, Kind, Value};

mod json;

pub(crate) use json::json_error;

/// What is wrong with a path segment applied to an array; `position` counts segments from 0.
pub(crate) fn array_problem(position: usize, problem: &ArrayProblem) -> String {
    let prefix = format!("failed to resolve path segment '{position}'");
    match problem {
        ArrayProblem::NotIndex(segment) => {
            let cause = parse_error("Atoi", segment, "invalid syntax");
            format!("{prefix}: found array but segment value '{segment}' could not be parsed into array index: {cause}")
        }
        ArrayProblem::Negative(index) => format!("{prefix}: found array but index '{index}' is invalid"),
        ArrayProblem::OutOfRange(index, len) => {
            format!("{prefix}: found array but index '{index}' exceeded target array size of '{len}'")
        }
        ArrayProblem::NullItem(segment) => format!("{prefix}: field '{segment}' was not found"),
    }
}

/// Appends a value to a type error, in brackets: strings quoted but not escaped, numbers, booleans, nothing else.
pub(crate) fn write_shown(f: &mut fmt::Formatter<'_>, value: &Value) -> fmt::Result {
    match value.kind() {
        Kind::String => write!(f, " (\"{}\")", value.to_text()),
        Kind::Number | Kind::Bool => write!(f, " ({})", value.to_text()),
        _ => Ok(()),
    }
}

/// A failure of one of the reference's number parsers.
pub(crate) fn parse_error(function: &str, text: &str, cause: &str) -> String {
    format!("strconv.{function}: parsing {}: {cause}", quote(text))
}

/// Quotes text with the escapes the reference's language has.
pub(crate) fn quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        // Writing to a string cannot fail.
        let written = match char {
            '"' => out.write_str("\\\""),
            '\\' => out.write_str("\\\\"),
            '\u{7}' => out.write_str("\\a"),
            '\u{8}' => out.write_str("\\b"),
            '\u{c}' => out.write_str("\\f"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\u{b}' => out.write_str("\\v"),
            c if c < ' ' || c == '\u{7f}' => write!(out, "\\x{:02x}", u32::from(c)),
            c if is_printable(c) => out.write_char(c),
            c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
            c => write!(out, "\\U{:08x}", u32::from(c)),
        };
        debug_assert!(written.is_ok());
    }
    out.push('"');
    out
}

/// Whether a character is shown as it is in quoted text.
fn is_printable(char: char) -> bool {
    // `escape_debug` leaves what Unicode calls printable, but escapes marks that extend the one before.
    char == ' ' || (!char.is_whitespace() && (char.escape_debug().len() == 1 || "'\"\\".contains(char)))
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
    }
}

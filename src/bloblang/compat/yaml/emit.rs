//! Writing YAML.

use std::cmp::Ordering;

use super::{is_float, resolve};
use crate::number::{Num, format_shortest};
use crate::stack::deep;
use crate::value::{Kind, Value};

/// Step of indentation in columns.
const INDENT: usize = 4;

/// Writes one document; `None` if it would be longer than `most` bytes.
pub(crate) fn format(value: &Value, most: usize) -> Option<Vec<u8>> {
    let mut out = Text { text: String::new(), most };
    write(value, 0, false, &mut out)?;
    if !out.text.ends_with('\n') {
        out.text.push('\n');
    }
    Some(out.text.into_bytes())
}

/// The text so far, and how long it may become.
struct Text {
    text: String,
    most: usize,
}

/// The column one step further in: the next multiple of the step.
fn deeper(column: usize) -> usize {
    (column + INDENT) / INDENT * INDENT
}

fn indent(column: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', column));
}

/// Writes a value whose keys or dashes stand at a column; `inline` continues the line of a dash.
fn write(value: &Value, column: usize, inline: bool, out: &mut Text) -> Option<()> {
    let start = |at: usize, out: &mut Text| {
        if at > 0 || !inline {
            indent(column, &mut out.text);
        }
        (out.text.len() <= out.most).then_some(())
    };
    if let Some(object) = value.to_object().filter(|object| !object.is_empty()) {
        let mut members: Vec<(String, Value)> =
            object.iter().map(|(key, value)| (crate::text::lossy(&key).into_owned(), value)).collect();
        members.sort_by(|a, b| order(&a.0, &b.0));
        for (at, (key, member)) in members.iter().enumerate() {
            start(at, out)?;
            string(key, None, &mut out.text);
            out.text.push(':');
            if is_block(member) {
                out.text.push('\n');
                deep(|| write(member, deeper(column), false, out))?;
            } else {
                out.text.push(' ');
                scalar(member, deeper(column), &mut out.text);
                out.text.push('\n');
            }
        }
    } else if let Some(items) = value.to_array().filter(|items| !items.is_empty()) {
        for (at, item) in items.iter().enumerate() {
            start(at, out)?;
            out.text.push_str("- ");
            // What stands behind a dash is two columns further in.
            if is_block(item) {
                deep(|| write(item, column + 2, true, out))?;
            } else {
                scalar(item, column + 2, &mut out.text);
                out.text.push('\n');
            }
        }
    } else if let Value::Bytes(bytes) = value
        && !bytes.is_empty()
    {
        // Bytes are a list of numbers.
        for (at, byte) in bytes.iter().enumerate() {
            start(at, out)?;
            out.text.extend([format!("- {byte}\n")]);
        }
    } else {
        scalar(value, INDENT, &mut out.text);
    }
    Some(())
}

fn is_block(value: &Value) -> bool {
    match value.kind() {
        Kind::Object | Kind::Array => value.count().is_some_and(|count| count > 0),
        Kind::Bytes => value.as_bytes().is_some_and(|bytes| !bytes.is_empty()),
        _ => false,
    }
}

/// Writes a scalar; the lines of a block stand at a column.
fn scalar(value: &Value, column: usize, out: &mut String) {
    if let Some(text) = value.number_text() {
        return string(text, Some(column), out);
    }
    match value.kind() {
        Kind::String => match value.as_bytes().unwrap_or_default() {
            bytes if std::str::from_utf8(&bytes).is_err() => {
                use base64::Engine as _;
                let text = base64::engine::general_purpose::STANDARD.encode(bytes);
                out.extend(["!!binary ", &*text]);
            }
            bytes => string(&crate::text::lossy(&bytes), Some(column), out),
        },
        Kind::Number => match value.as_number() {
            Some(Num::Float(number)) if number.is_infinite() => {
                out.push_str(if number > 0.0 { ".inf" } else { "-.inf" });
            }
            Some(Num::Float(number)) if number.is_nan() => out.push_str(".nan"),
            Some(Num::Float(number)) => out.push_str(&format_shortest(number)),
            _ => out.push_str(&value.to_json()),
        },
        Kind::Timestamp => out.push_str(&value.to_text().as_str()),
        Kind::Object => out.push_str("{}"),
        Kind::Array | Kind::Bytes => out.push_str("[]"),
        Kind::Bool => out.push_str(&value.to_json()),
        _ => out.push_str("null"),
    }
}

/// Booleans of an older version, which are quoted.
const OLD_BOOLEANS: &[&str] =
    &["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];

/// Numbers in base 60 of an older version, such as 1:30.
fn is_base60(text: &str) -> bool {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, _) = body.split_once('.').unwrap_or((body, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let rest: Vec<&str> = parts.collect();
    digits(first) && !rest.is_empty() && rest.iter().all(|part| digits(part) && part.len() <= 2)
}

/// Writes a string in the first style that keeps it a string; blocks need a column, which keys have not.
fn string(text: &str, column: Option<usize>, out: &mut String) {
    let confused = resolve(text).is_some()
        || OLD_BOOLEANS.contains(&text)
        || is_base60(text)
        || is_float(text)
        || text == "<<";
    let odd = text.chars().any(|char| {
        (char.is_control() && !matches!(char, '\n' | '\t'))
            || matches!(char, '\u{feff}' | '\u{2028}' | '\u{2029}' | '\u{FFFE}'..)
    });
    if odd || confused || text.is_empty() {
        return double_quoted(text, out);
    }
    if text.contains('\n')
        && let Some(column) = column
    {
        // A block cannot begin with blanks as it is, nor keep them before a line feed.
        if !text.starts_with([' ', '\n', '\t']) && !text.contains(" \n") {
            return literal(text, column, out);
        }
        return double_quoted(text, out);
    }
    if text.contains('\n') || text.contains('\t') {
        return double_quoted(text, out);
    }
    if is_plain(text) {
        out.push_str(text);
    } else {
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    }
}

/// Whether a string may stand without quotes.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let Some(first) = chars.next() else { return false };
    let second = chars.next();
    if text.starts_with("---") || text.starts_with("...") || text.starts_with(' ') || text.ends_with(' ') {
        return false;
    }
    if "#,[]{}&*!|>'\"%@`".contains(first) {
        return false;
    }
    if "-?:".contains(first) && second.is_none_or(|second| second == ' ') {
        return false;
    }
    !text.contains(": ") && !text.ends_with(':') && !text.contains(" #")
}

fn literal(text: &str, column: usize, out: &mut String) {
    let ends = text.len() - text.trim_end_matches('\n').len();
    out.push_str(match ends {
        0 => "|-",
        1 => "|",
        _ => "|+",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        out.push('\n');
        if !line.is_empty() {
            indent(column, out);
            out.push_str(line);
        }
    }
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{9}' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            '\u{feff}' => out.push_str("\\uFEFF"),
            '\u{10000}'.. => out.extend([format!("\\U{:08X}", u32::from(char))]),
            char if char.is_control() => out.extend([format!("\\x{:02X}", u32::from(char))]),
            char => out.push(char),
        }
    }
    out.push('"');
}

/// Order of keys: letters after other characters, digits by the number they form.
fn order(left: &str, right: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut digits = false;
    for (at, (x, y)) in a.iter().zip(&b).enumerate() {
        if x == y {
            digits = x.is_numeric();
            continue;
        }
        match (x.is_alphabetic(), y.is_alphabetic()) {
            (true, true) => return x.cmp(y),
            (false, false) => {}
            (left_letter, _) => {
                // Within a number its end comes first.
                return if digits == left_letter { Ordering::Less } else { Ordering::Greater };
            }
        }
        let number = |chars: &[char]| {
            let run: Vec<u32> =
                chars.get(at..).unwrap_or_default().iter().map_while(|char| char.to_digit(10)).collect();
            let value = run
                .iter()
                .fold(0u64, |value, digit| value.saturating_mul(10).saturating_add((*digit).into()));
            (value, run.len())
        };
        let zeros = (*x == '0' || *y == '0')
            && a.get(..at)
                .unwrap_or_default()
                .iter()
                .rev()
                .map_while(|char| char.to_digit(10))
                .any(|digit| digit != 0);
        let ((x_value, x_len), (y_value, y_len)) = (number(&a), number(&b));
        // Behind a number that has begun, more digits make it greater whatever they are.
        let by_value =
            if zeros { x_len.cmp(&y_len).then(x_value.cmp(&y_value)) } else { x_value.cmp(&y_value) };
        return by_value.then(x_len.cmp(&y_len)).then(x.cmp(y));
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        for (json, want) in [
            (
                r#"{"b":1,"a":[1,"yes",null,"1","a\nb",true,{}],"n":"x"}"#,
                "a:\n    - \"1\"\n    - \"yes\"\n    - null\n    - \"1\"\n    - |-\n      a\n      b\n    - true\n    - {}\nb: \"1\"\n\"n\": x\n",
            ),
            (
                r#"[{"a":"x","b":{"c":[],"d":["q",{"e":"k\nl"}]}},["y",["z"]]]"#,
                "- a: x\n  b:\n    c: []\n    d:\n        - q\n        - e: |-\n            k\n            l\n- - \"y\"\n  - - z\n",
            ),
            (r#""a: b""#, "'a: b'\n"),
            (r#"{"a10":"q","a9":"it's","-":"- x"}"#, "'-': '- x'\na9: it's\na10: q\n"),
        ] {
            let value = Value::parse_json(json.as_bytes().to_vec()).unwrap();
            assert_eq!(String::from_utf8(format(&value, 1000).unwrap()).unwrap(), want);
        }
    }

    #[test]
    fn bytes_are_lists() {
        let object = |key: &str, value: Value| Value::object([(key, value)].into_iter().collect());
        let bytes = || Value::bytes(&b"ab"[..]);
        let value = Value::from(vec![bytes(), object("k", object("q", bytes())), Value::bytes(&b""[..])]);
        let odd = String::from_utf8(format(&Value::string(&b"x\xe2"[..]), 99).unwrap()).unwrap();
        assert_eq!(odd, "!!binary eOI=\n");
        let want = "- - 97\n  - 98\n- k:\n    q:\n        - 97\n        - 98\n- []\n";
        assert_eq!(String::from_utf8(format(&value, 1000).unwrap()).unwrap(), want);
    }
}

//! Lines as in RFC 5424.

use super::{cursor::Cursor, insert_priority};
use weir_bloblang::{Object, Text, Value};

const PARSE: &str = "parsing error";
const VERSION: &str = "expecting a version value in the range 1-999";
const TIMESTAMP: &str = "expecting a RFC3339MICRO timestamp or a nil value";
/// The words after the time: field, longest, error.
const WORDS: [(&str, usize, &str); 4] = [
    ("hostname", 255, "expecting an hostname (from 1 to max 255 US-ASCII characters) or a nil value"),
    ("appname", 48, "expecting an app-name (from 1 to max 48 US-ASCII characters) or a nil value"),
    ("procid", 128, "expecting a procid (from 1 to max 128 US-ASCII characters) or a nil value"),
    ("msgid", 32, "expecting a msgid (from 1 to max 32 US-ASCII characters) or a nil value"),
];
const STRUCTURED: &str = "expecting a structured data section containing one or more elements \
    (`[id( key=\"value\")*]+`) or a nil value";
const ID: &str = "expecting a structured data element id (from 1 to max 32 US-ASCII characters; except `=`, ` `, \
    `]`, and `\"`";
const DUPLICATE: &str = "duplicate structured data element id";
const PARAMETER: &str = "expecting a structured data parameter (`key=\"value\"`, both part from 1 to max 32 US-ASCII \
    characters; key cannot contain `=`, ` `, `]`, and `\"`, while value cannot contain `]`, backslash, and `\"` \
    unless escaped)";
const ESCAPE: &str = "expecting chars `]`, `\"`, and `\\` to be escaped within param value";
const MESSAGE: &str = "expecting a free-form optional message in UTF-8 (starting with or without BOM)";

/// Longest name in structured data.
const NAME: usize = 32;

/// The fields of a line.
pub(super) fn parse(line: &[u8]) -> Result<Object, String> {
    let mut fields = Object::new();
    let mut cursor = Cursor::new(line);
    insert_priority(&mut fields, cursor.priority()?);
    fields.insert("version", Value::Int(version(&mut cursor)?));
    if cursor.peek() == Some(b'-') {
        cursor.at += 1;
    } else {
        let time = cursor.rfc3339(6, TIMESTAMP)?;
        fields.insert("timestamp", Value::from(time.to_string().as_str()));
    }
    cursor.byte(b' ', PARSE)?;
    for (field, most, why) in WORDS {
        let word = cursor.word(most, why)?;
        if word != b"-" {
            fields.insert(field, Value::String(Text::new(word)));
        }
    }
    let after = if cursor.peek() == Some(b'-') {
        cursor.at += 1;
        PARSE
    } else {
        fields.insert("structureddata", Value::object(elements(&mut cursor)?));
        STRUCTURED
    };
    if cursor.rest().is_empty() {
        return Ok(fields);
    }
    cursor.byte(b' ', after)?;
    match std::str::from_utf8(cursor.rest()) {
        Ok("") => Ok(fields),
        Ok(message) => {
            fields.insert("message", Value::from(message));
            Ok(fields)
        }
        Err(error) => {
            cursor.at += error.valid_up_to();
            // A character that began well is missed where it stops.
            if cursor.peek().is_some_and(|byte| (0xC2..0xF5).contains(&byte)) {
                cursor.at = error.error_len().map_or(line.len(), |length| cursor.at + length);
            }
            Err(cursor.fail(MESSAGE))
        }
    }
}

fn version(cursor: &mut Cursor<'_>) -> Result<i64, String> {
    let first = cursor.one(|byte| (b'1'..=b'9').contains(&byte), VERSION)?;
    let more = cursor.run(2, |byte| byte.is_ascii_digit());
    cursor.byte(b' ', if more.is_empty() { PARSE } else { VERSION })?;
    Ok(more.iter().fold(i64::from(first - b'0'), |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `[id name="value"][…]`
fn elements(cursor: &mut Cursor<'_>) -> Result<Object, String> {
    let mut elements = Object::new();
    cursor.byte(b'[', STRUCTURED)?;
    loop {
        let id = name(cursor, ID)?;
        if !cursor.peek().is_some_and(|byte| byte == b' ' || byte == b']') {
            return Err(cursor.fail(ID));
        }
        if elements.contains_key(id) {
            return Err(cursor.fail(DUPLICATE));
        }
        let mut parameters = Object::new();
        while cursor.one(|byte| byte == b' ' || byte == b']', PARAMETER)? == b' ' {
            let name = name(cursor, PARAMETER)?;
            cursor.byte(b'=', PARAMETER)?;
            cursor.byte(b'"', PARAMETER)?;
            parameters.insert(Text::new(name), Value::String(Text::new(&value(cursor)?)));
        }
        elements.insert(Text::new(id), Value::object(parameters));
        if cursor.peek() != Some(b'[') {
            return Ok(elements);
        }
        cursor.at += 1;
    }
}

fn name<'a>(cursor: &mut Cursor<'a>, why: &str) -> Result<&'a [u8], String> {
    let name = cursor.run(NAME, |byte| byte.is_ascii_graphic() && !b"=]\"".contains(&byte));
    if name.is_empty() { Err(cursor.fail(why)) } else { Ok(name) }
}

/// A value up to its closing quote, escapes resolved.
fn value(cursor: &mut Cursor<'_>) -> Result<Vec<u8>, String> {
    let mut value = Vec::new();
    loop {
        let plain = cursor.run(usize::MAX, |byte| !b"\"]\\".contains(&byte));
        if let Err(error) = std::str::from_utf8(plain) {
            cursor.at -= plain.len() - error.valid_up_to();
            return Err(cursor.fail(ESCAPE));
        }
        value.extend_from_slice(plain);
        if cursor.one(|byte| byte == b'"' || byte == b'\\', ESCAPE)? == b'"' {
            return Ok(value);
        }
        value.push(cursor.one(|byte| b"\"]\\".contains(&byte), ESCAPE)?);
    }
}

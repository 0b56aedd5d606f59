//! The words of the reference's JSON decoder for what is wrong with a text.

use super::quote;
use crate::json::JsonError;

/// Where the scanner is.
enum State {
    Value,
    /// After `[`: a value or the end.
    FirstItem,
    /// After `{`: a key or the end.
    FirstKey,
    Key,
    AfterKey,
    AfterValue,
}

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scanner<'_> {
    fn blanks(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The next byte, or the error of a text that ends too early.
    fn byte(&self) -> Result<u8, JsonError> {
        self.bytes.get(self.at).copied().ok_or_else(|| JsonError::Syntax("unexpected EOF".to_owned()))
    }

    fn string(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        loop {
            let byte = self.byte()?;
            match byte {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    match self.byte()? {
                        b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => self.at += 1,
                        b'u' => {
                            self.at += 1;
                            for _ in 0..4 {
                                let digit = self.byte()?;
                                if !digit.is_ascii_hexdigit() {
                                    return Err(bad(digit, "in \\u hexadecimal character escape"));
                                }
                                self.at += 1;
                            }
                        }
                        other => return Err(bad(other, "in string escape code")),
                    }
                }
                0..0x20 => return Err(bad(byte, "in string literal")),
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.byte()? == b'-' {
            self.at += 1;
            let byte = self.byte()?;
            if !byte.is_ascii_digit() {
                return Err(bad(byte, "in numeric literal"));
            }
        }
        if self.byte()? == b'0' {
            self.at += 1;
        } else {
            self.digits();
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            let byte = self.byte()?;
            if !byte.is_ascii_digit() {
                return Err(bad(byte, "after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte()?, b'+' | b'-') {
                self.at += 1;
            }
            let byte = self.byte()?;
            if !byte.is_ascii_digit() {
                return Err(bad(byte, "in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn literal(&mut self, text: &str) -> Result<(), JsonError> {
        for expected in text.bytes() {
            let byte = self.byte()?;
            if byte != expected {
                return Err(bad(byte, &format!("in literal {text} (expecting {})", character(expected))));
            }
            self.at += 1;
        }
        Ok(())
    }
}

/// A byte where it does not belong.
fn bad(byte: u8, context: &str) -> JsonError {
    JsonError::Syntax(format!("invalid character {} {context}", character(byte)))
}

/// A byte as the decoder shows it: quoted with single quotes.
fn character(byte: u8) -> String {
    match byte {
        b'\'' => "'\\''".to_owned(),
        b'"' => "'\"'".to_owned(),
        other => {
            let quoted = quote(&char::from(other).to_string());
            format!("'{}'", quoted.trim_matches('"'))
        }
    }
}

/// The decoder's error for a text that is not one document.
pub(crate) fn json_error(bytes: &[u8]) -> JsonError {
    match scan(bytes) {
        Err(error) => error,
        Ok(()) => JsonError::Syntax("invalid document".to_owned()),
    }
}

/// Length of the first document of a text, whatever follows it.
pub(crate) fn first_document(bytes: &[u8]) -> Result<usize, JsonError> {
    let mut scanner = Scanner { bytes, at: 0 };
    scan_value(&mut scanner)?;
    Ok(scanner.at)
}

fn scan(bytes: &[u8]) -> Result<(), JsonError> {
    let mut scanner = Scanner { bytes, at: 0 };
    scan_value(&mut scanner)?;
    scanner.blanks();
    if scanner.at == bytes.len() {
        return Ok(());
    }
    // What follows is read as another document.
    scan_value(&mut scanner)?;
    Err(JsonError::Syntax("message contains multiple valid documents".to_owned()))
}

/// Reads one value with all that is in it.
fn scan_value(scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
    let mut objects: Vec<bool> = Vec::new();
    let mut state = State::Value;
    loop {
        if matches!(state, State::AfterValue) && objects.is_empty() {
            return Ok(());
        }
        scanner.blanks();
        let byte = scanner.byte()?;
        state = match (state, byte) {
            (State::FirstItem, b']') | (State::FirstKey, b'}') => {
                scanner.at += 1;
                objects.pop();
                State::AfterValue
            }
            (State::Value | State::FirstItem, _) => value(scanner, byte, &mut objects)?,
            (State::FirstKey | State::Key, b'"') => {
                scanner.string()?;
                State::AfterKey
            }
            (State::FirstKey | State::Key, _) => {
                return Err(bad(byte, "looking for beginning of object key string"));
            }
            (State::AfterKey, b':') => {
                scanner.at += 1;
                State::Value
            }
            (State::AfterKey, _) => return Err(bad(byte, "after object key")),
            (State::AfterValue, b',') => {
                scanner.at += 1;
                if objects.last() == Some(&true) { State::Key } else { State::Value }
            }
            (State::AfterValue, _) => {
                let object = objects.pop() == Some(true);
                if byte != if object { b'}' } else { b']' } {
                    let context = if object { "after object key:value pair" } else { "after array element" };
                    return Err(bad(byte, context));
                }
                scanner.at += 1;
                State::AfterValue
            }
        };
    }
}

fn value(scanner: &mut Scanner<'_>, byte: u8, objects: &mut Vec<bool>) -> Result<State, JsonError> {
    match byte {
        b'{' | b'[' => {
            scanner.at += 1;
            objects.push(byte == b'{');
            if objects.len() > 10_000 {
                return Err(JsonError::Depth);
            }
            return Ok(if byte == b'{' { State::FirstKey } else { State::FirstItem });
        }
        b'"' => scanner.string()?,
        b'-' | b'0'..=b'9' => scanner.number()?,
        b't' => scanner.literal("true")?,
        b'f' => scanner.literal("false")?,
        b'n' => scanner.literal("null")?,
        _ => return Err(bad(byte, "looking for beginning of value")),
    }
    Ok(State::AfterValue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_character() {
        for (text, want) in [
            ("not json", "invalid character 'o' in literal null (expecting 'u')"),
            ("xyz", "invalid character 'x' looking for beginning of value"),
            ("{\"a\":1", "unexpected EOF"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{a}", "invalid character 'a' looking for beginning of object key string"),
            ("1 x", "invalid character 'x' looking for beginning of value"),
            ("{} {}", "message contains multiple valid documents"),
            ("{} [", "unexpected EOF"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("-a", "invalid character 'a' in numeric literal"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("\u{e9}", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(json_error(text.as_bytes()).to_string(), want, "{text}");
        }
    }
}

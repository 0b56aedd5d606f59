//! JSON documents one after the other.

use crate::compat::json_error;
use bytes::Bytes;
use weir_bloblang::{Doc, Numbers, Value};

/// All documents; their numbers become floats, as the reference's decoder makes them.
pub(super) fn parse(content: &Bytes) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut rest = content.clone();
    loop {
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        rest = rest.slice(blanks..);
        if rest.is_empty() {
            return Ok(documents);
        }
        let document = rest.split_to(length(&rest));
        let document = Doc::parse_with(document, Numbers::Float).map_err(|error| json_error(&error))?;
        documents.push(Value::document(&document));
    }
}

/// How long the document at the beginning is, by its brackets and quotes alone; at least 1.
fn length(bytes: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for (at, byte) in bytes.iter().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    in_string = false;
                    if depth == 0 {
                        return at + 1;
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            // Where a bare word ends, the next document begins.
            b'"' | b'{' | b'[' if depth == 0 && at > 0 => return at,
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => return at.max(1),
            _ => {}
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &'static str) -> Result<Vec<String>, String> {
        Ok(parse(&Bytes::from_static(text.as_bytes()))?.iter().map(Value::to_json).collect())
    }

    #[test]
    fn documents_need_no_separators() {
        let all = shown(" {\"b\":\"}\\\"\",\"a\":[2.50]}[1]\"s\\\"\"5 null{}\n").unwrap();
        assert_eq!(all, ["{\"a\":[2.5],\"b\":\"}\\\"\"}", "[1]", "\"s\\\"\"", "5", "null", "{}"]);
        assert_eq!(shown("").unwrap(), [""; 0]);
    }

    #[test]
    fn a_broken_one_fails_all() {
        assert_eq!(
            shown("{\"a\":1} nope").unwrap_err(),
            "invalid character 'o' in literal null (expecting 'u')"
        );
        assert_eq!(shown("{\"a\":1").unwrap_err(), "unexpected EOF");
        assert!(shown("] {}").is_err() && shown("\"a").is_err());
    }
}

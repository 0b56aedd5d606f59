//! JSON documents one after the other.

use super::{MAX_PARTS, too_many};
use crate::{
    compat::json_error,
    extent::{Extent, blanks},
};
use bytes::Bytes;
use weir_bloblang::{Doc, Numbers, Value};

/// All documents; their numbers become floats, as the reference's decoder makes them.
pub(super) fn parse(content: &Bytes) -> Result<Vec<Value>, String> {
    let mut documents = Vec::new();
    let mut rest = content.clone();
    loop {
        rest = rest.slice(blanks(&rest)..);
        if rest.is_empty() {
            return Ok(documents);
        }
        if documents.len() == MAX_PARTS {
            return Err(too_many());
        }
        let document = rest.split_to(Extent::default().end(&rest, b"").unwrap_or(rest.len()));
        let document = Doc::parse_with(document, Numbers::Float).map_err(|error| json_error(&error))?;
        documents.push(Value::document(&document));
    }
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

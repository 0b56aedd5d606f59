//! JSON schema, drafts 4 to 7, with the reference's words for what does not match.

mod check;
mod decimal;
mod format;

use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use regex::bytes::Regex;

use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::stack::deep;
use crate::text::lossy;
use crate::value::{Kind, Value};

/// Keywords whose value is a schema, or a list of them.
const INNER: [&str; 12] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "oneOf",
    "propertyNames",
    "then",
];
/// Keywords whose value is an object of schemas.
const NAMED: [&str; 5] = ["$defs", "definitions", "dependencies", "patternProperties", "properties"];
/// The names that `type` may have.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "number", "null", "object", "string"];

/// A schema with the patterns in it compiled.
#[derive(Debug)]
pub struct Schema {
    root: Value,
    patterns: HashMap<Vec<u8>, Regex>,
}

impl Schema {
    /// Reads a schema written as JSON.
    pub fn parse(text: impl Into<Bytes>) -> Result<Self, String> {
        let text = text.into();
        let root = match Value::parse_json(text.clone()) {
            Ok(root) => root,
            Err(_) if text.iter().all(u8::is_ascii_whitespace) => return Err("EOF".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        if !matches!(root.kind(), Kind::Object | Kind::Bool) {
            return Err("schema is invalid".to_owned());
        }
        let mut schema = Self { root: root.clone(), patterns: HashMap::new() };
        schema.gather(&root, &mut HashSet::new())?;
        Ok(schema)
    }

    /// What of a value does not match, each with its place; nothing if all does.
    pub fn errors(&self, value: &Value) -> Result<Vec<String>, Fault> {
        self.check(&mut Cx::detached(), value)
    }

    /// Looks at a schema and those within it: patterns are compiled, types must exist.
    fn gather(&mut self, schema: &Value, seen: &mut HashSet<String>) -> Result<(), String> {
        for item in schema.to_array().iter().flat_map(|items| items.iter()) {
            self.gather(item, seen)?;
        }
        let Some(object) = schema.to_object() else { return Ok(()) };
        let types = object.get("type").unwrap_or_default();
        let types = types.to_array().map_or_else(|| vec![types], |types| (*types).clone());
        for name in types.iter().filter_map(Value::as_str) {
            if !TYPES.contains(&&*name) {
                return Err(format!(
                    "has a primitive type that is NOT VALID -- given: /{name}/ Expected valid values are:[{}]",
                    TYPES.join(" ")
                ));
            }
        }
        if let Some(pattern) = object.get("pattern").as_ref().and_then(Value::as_bytes) {
            self.compile(&pattern)?;
        }
        for pattern in
            object.get("patternProperties").and_then(|named| named.to_object()).iter().flat_map(|o| o.keys())
        {
            self.compile(&pattern)?;
        }
        for inner in INNER.iter().filter_map(|keyword| object.get(keyword)) {
            deep(|| self.gather(&inner, seen))?;
        }
        for named in NAMED.iter().filter_map(|keyword| object.get(keyword)?.to_object()) {
            for inner in named.values() {
                deep(|| self.gather(&inner, seen))?;
            }
        }
        // A reference may lead anywhere, also to what is no schema otherwise.
        if let Some(reference) = object.get("$ref").as_ref().and_then(Value::as_str)
            && seen.insert(reference.clone().into_owned())
            && let Some(target) = self.resolve(&reference)
        {
            deep(|| self.gather(&target, seen))?;
        }
        Ok(())
    }

    fn compile(&mut self, pattern: &[u8]) -> Result<(), String> {
        let regex = compat::regex::compile(&lossy(pattern))?;
        self.patterns.insert(pattern.to_vec(), regex);
        Ok(())
    }

    /// What a local reference leads to.
    fn resolve(&self, reference: &str) -> Option<Value> {
        let pointer = reference.strip_prefix('#')?;
        let mut value = self.root.clone();
        for part in pointer.split('/').filter(|part| !part.is_empty()) {
            let key = part.replace("~1", "/").replace("~0", "~");
            value = match value.kind() {
                Kind::Array => value.item(key.parse().ok()?)?,
                _ => value.member(key.as_bytes())?,
            };
        }
        Some(value)
    }

    fn matches(&self, pattern: &[u8], text: &[u8]) -> bool {
        self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(schema: &str, value: &str) -> String {
        let value = Value::parse_json(value.as_bytes().to_vec()).unwrap();
        match Schema::parse(schema.as_bytes().to_vec()) {
            Ok(schema) => {
                schema.errors(&value).map_or_else(|fault| fault.to_string(), |errors| errors.join("; "))
            }
            Err(error) => error,
        }
    }

    #[test]
    fn what_does_not_match_is_told() {
        for (schema, value, want) in [
            ("true", "1", ""),
            ("false", "1", "(root) false always fails validation"),
            (
                r#"{"type":["string","null"]}"#,
                "1",
                "(root) invalid type. expected: [string,null], given: integer",
            ),
            (
                r#"{"anyOf":[{"type":"string"},{"required":["A"]}]}"#,
                "{}",
                "(root) must validate at least one schema (anyof); (root) A is required",
            ),
            (
                r#"{"allOf":[{"maximum":1},{"minimum":0}]}"#,
                "2",
                "(root) must be less than or equal to 1; (root) must validate all the schemas (allof)",
            ),
            (
                r#"{"items":[{}],"additionalItems":false}"#,
                "[1,2]",
                "(root) no additional items allowed on array",
            ),
            (
                r#"{"contains":{"const":5}}"#,
                "[1]",
                "(root) at least one of the items must match; 0 0 does not match: 5",
            ),
            (
                r#"{"propertyNames":{"maxLength":1}}"#,
                r#"{"Ab":1}"#,
                "(root) Abproperty name of \"ab\" does not match; (root) string length must be less than or equal to 1",
            ),
            (
                r#"{"dependencies":{"a":["b"],"c":{"required":["d"]}}}"#,
                r#"{"a":1,"c":1}"#,
                "(root) has a dependency on b; (root) d is required",
            ),
            (
                r#"{"additionalProperties":false}"#,
                r#"{"a":1}"#,
                "(root) additional property a is not allowed",
            ),
            (
                r#"{"additionalProperties":false}"#,
                r#"{"Bc":1}"#,
                "(root) Bcadditional property bc is not allowed",
            ),
            (r#"{"multipleOf":0.1}"#, "0.3", ""),
            (r#"{"multipleOf":0.1}"#, "0.35", "(root) must be a multiple of 0.1"),
            (r#"{"maximum":1234567}"#, "1234567.5", "(root) must be less than or equal to 1.234567e+06"),
            (r#"{"exclusiveMaximum":true,"maximum":5}"#, "5", "(root) must be less than 5"),
            (
                r##"{"properties":{"a":{"$ref":"#/x/y"}},"x":{"y":{"pattern":"^b"}}}"##,
                r#"{"a":"c"}"#,
                "a does not match pattern '^b'",
            ),
            (
                r#"{"properties":{"type":{"type":"wat"}}}"#,
                "1",
                "has a primitive type that is NOT VALID -- given: /wat/ Expected valid values are:[array boolean integer number null object string]",
            ),
            (r#"{"const":{"type":"wat"}}"#, r#"{"type":"wat"}"#, ""),
            ("", "1", "EOF"),
        ] {
            assert_eq!(errors(schema, value), want, "{schema} {value}");
        }
    }

    #[test]
    fn endless_references_have_an_end() {
        assert_eq!(errors(r##"{"$ref":"#"}"##, "1"), "schema refers to itself too deeply");
    }

    #[test]
    fn formats() {
        for (format, good, bad) in [
            ("email", "a.b@c.example", "a@"),
            ("ipv4", "1.2.3.4", "1.2.3.400"),
            ("ipv6", "::1", "1.2.3.4"),
            ("date", "2024-02-29", "2023-02-29"),
            ("time", "03:04:05.5Z", "3:04:05"),
            ("date-time", "2024-01-02T03:04:05+01:00", "yesterday"),
            ("uri", "http://a/b?c", "not a uri"),
            ("uri-reference", "b?c", "%zz"),
            ("uri-template", "/a/{b}", "/a/{b"),
            ("hostname", "a-b.example", "-a"),
            ("uuid", "0123abcd-0123-abcd-0123-0123456789ab", "0123ABCD-0123-abcd-0123-0123456789ab"),
            ("regex", "^a+$", "("),
            ("json-pointer", "/a~1b/c", "a"),
            ("relative-json-pointer", "0#", "01/a"),
        ] {
            let schema = format!("{{\"format\":\"{format}\"}}");
            assert_eq!(errors(&schema, &format!("\"{good}\"")), "", "{format}");
            let want = format!("(root) does not match format '{format}'");
            assert_eq!(errors(&schema, &format!("\"{bad}\"")), want, "{format}");
        }
        assert_eq!(errors("{\"format\":\"colour\"}", "\"x\""), "");
    }
}

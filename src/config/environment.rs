//! `${NAME}` in config text, replaced before it is parsed as YAML; comments are no exception.
//!
//! `${NAME:default}` stands in for a variable that is unset or empty, `${NAME|base64decode}` decodes it, and `${{NAME}}`
//! is `${NAME}` itself.

use base64::Engine as _;
use std::fmt;

/// A text with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expanded {
    /// The text; what is unset is replaced by nothing.
    pub text: String,
    /// Variables that are unset and have no default, in the order of the text.
    pub missing: Vec<String>,
}

impl Expanded {
    /// Says which variables are missing, if any are.
    pub fn complaint(&self) -> Option<String> {
        (!self.missing.is_empty())
            .then(|| format!("required environment variables were not set: [{}]", self.missing.join(" ")))
    }
}

/// A variable that cannot be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EnvironmentError {
    /// `|name` where no function has that name.
    UnknownFunction(String),
    /// What `|base64decode` was given is no base64; the offset of the first fault.
    Base64(usize),
}

impl fmt::Display for EnvironmentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownFunction(name) => write!(f, "unknown env var decode function: {name}"),
            Self::Base64(offset) => {
                write!(
                    f,
                    "failed to decode base64-encoded env var: illegal base64 data at input byte {offset}"
                )
            }
        }
    }
}

impl std::error::Error for EnvironmentError {}

/// One `${…}` of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// All of it, from `$` to `}`.
    pub(crate) written: &'a str,
    name: &'a str,
    default: Option<&'a str>,
    function: Option<&'a str>,
}

/// Replaces the variables of a text.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, EnvironmentError> {
    let mut expanded = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some((before, reference)) = next(rest) {
        expanded.push_str(before);
        let value = lookup(reference.name);
        let value = match (value, reference.default) {
            (Some(value), None) => value,
            (Some(value), Some(_)) if !value.is_empty() => value,
            (_, Some(default)) => default.to_owned(),
            (None, None) => {
                missing.push(reference.name.to_owned());
                String::new()
            }
        };
        expanded.push_str(&decode(value, reference.function)?.replace('\n', "\\n"));
        rest = rest.get(before.len() + reference.written.len()..).unwrap_or_default();
    }
    expanded.push_str(rest);
    Ok(Expanded { text: unescape(&expanded), missing })
}

fn decode(value: String, function: Option<&str>) -> Result<String, EnvironmentError> {
    match function {
        None | Some("") => Ok(value),
        Some("base64decode") => match base64::engine::general_purpose::STANDARD.decode(&value) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(
                base64::DecodeError::InvalidByte(offset, _)
                | base64::DecodeError::InvalidLastSymbol(offset, _),
            ) => Err(EnvironmentError::Base64(offset)),
            Err(_) => Err(EnvironmentError::Base64(value.len() / 4 * 4)),
        },
        Some(name) => Err(EnvironmentError::UnknownFunction(name.to_owned())),
    }
}

/// The text before the next reference, and that reference.
pub(crate) fn next(text: &str) -> Option<(&str, Reference<'_>)> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.find("${")?;
        if let Some(reference) = reference(text.get(at..)?) {
            return Some((text.get(..at)?, reference));
        }
        from = at + 2;
    }
}

/// Reads the reference that a text starts with.
fn reference(text: &str) -> Option<Reference<'_>> {
    let inner = text.get(2..)?;
    let length = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (name, mut rest) = inner.split_at(length);
    if name.is_empty() {
        return None;
    }
    let mut default = None;
    if let Some(tail) = rest.strip_prefix(':') {
        let length = default_length(tail)?;
        let (value, after) = tail.split_at(length);
        default = Some(value);
        rest = after;
    }
    let mut function = None;
    if let Some(tail) = rest.strip_prefix('|') {
        let (value, _) = tail.split_once('}')?;
        function = Some(value);
        rest = tail.get(value.len()..)?;
    }
    rest.starts_with('}').then(|| Reference {
        written: text.get(..text.len() - rest.len() + 1).unwrap_or_default(),
        name,
        default,
        function,
    })
}

/// Bytes of a default: up to `|` or `}`, where a whole `${…}` inside counts as one.
fn default_length(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = text.get(at..)?;
        if let Some(nested) = rest.strip_prefix("${")
            && let Some((inner, _)) = nested.split_once('}')
            && !inner.is_empty()
        {
            at += inner.len() + 3;
            continue;
        }
        match rest.chars().next()? {
            '|' | '}' => return Some(at),
            c => at += c.len_utf8(),
        }
    }
}

/// Makes `${{NAME}}` and `${{NAME:default}}` what they stand for.
fn unescape(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${{") {
        result.push_str(before);
        rest = after;
        if let Some(inner) = escaped(after) {
            result.push_str("${");
            result.push_str(inner);
            result.push('}');
            rest = after.get(inner.len() + 2..).unwrap_or_default();
        } else {
            result.push_str("${{");
        }
    }
    result.push_str(rest);
    result
}

/// The length-preserving inside of an escape whose `${{` was just read.
pub(crate) fn escaped(text: &str) -> Option<&str> {
    let length = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    if length == 0 {
        return None;
    }
    let rest = text.get(length..)?;
    if rest.starts_with("}}") {
        return text.get(..length);
    }
    let default = rest.strip_prefix(':')?;
    let (default, _) = default.split_once("}}")?;
    (!default.contains('}')).then(|| text.get(..length + 1 + default.len())).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> String {
        let lookup = |name: &str| match name {
            "ONE" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            "LINES" => Some("x\ny".to_owned()),
            "CODE" => Some("YQ==".to_owned()),
            "INNER" => Some("${ONE}".to_owned()),
            _ => None,
        };
        expand(text, &lookup).map_or_else(|error| error.to_string(), |expanded| expanded.text)
    }

    #[test]
    fn references_are_replaced() {
        for (text, result) in [
            ("a ${ONE} b", "a one b"),
            ("${NONE:a b: c}", "a b: c"),
            ("${EMPTY:x}${EMPTY}", "x"),
            ("${NONE:}", ""),
            ("${LINES}", "x\\ny"),
            ("${CODE|base64decode}", "a"),
            ("${NONE:YQ==|base64decode}", "a"),
            ("${INNER}", "${ONE}"),
            ("${NONE:${ONE}x}", "${ONE}x"),
            ("${NONE:x${A:y}z}", "x${A:y}z"),
            ("${NONE:{a}}", "{a}"),
            ("$${NONE:x}", "$x"),
            ("${{ONE}} ${{A:b}}", "${ONE} ${A:b}"),
            (
                "${! x } ${{! x }} ${} ${ A} ${A-b:c} ${{}} ${",
                "${! x } ${{! x }} ${} ${ A} ${A-b:c} ${{}} ${",
            ),
            ("${A|nope}", "unknown env var decode function: nope"),
            ("${NONE:a|b}", "unknown env var decode function: b"),
            (
                "${ONE|base64decode}",
                "failed to decode base64-encoded env var: illegal base64 data at input byte 0",
            ),
        ] {
            assert_eq!(expanded(text), result, "{text}");
        }
    }

    #[test]
    fn missing_variables_are_all_named() {
        let expanded = expand("# ${A}\n${B} ${A} ${C:x}", &|_| None).unwrap();
        assert_eq!(expanded.complaint().unwrap(), "required environment variables were not set: [A B A]");
        assert_eq!(expanded.text, "# \n  x");
    }
}

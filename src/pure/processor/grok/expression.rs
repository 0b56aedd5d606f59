//! One expression, compiled.

use super::patterns::PATTERNS;
use regex::bytes::Regex;
use std::collections::BTreeMap;
use weir_bloblang::{Text, Value, compile_regex, regex_group_name};

/// The patterns that expressions may name.
pub(super) struct Definitions {
    with_defaults: bool,
    own: BTreeMap<String, String>,
}

impl Definitions {
    pub(super) fn new(with_defaults: bool, own: BTreeMap<String, String>) -> Self {
        Self { with_defaults, own }
    }

    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = (String, String)>) {
        self.own.extend(more);
    }

    fn find(&self, name: &str) -> Option<&str> {
        let default = || {
            let at = PATTERNS.binary_search_by_key(&name, |(name, _)| name).ok()?;
            PATTERNS.get(at).map(|(_, pattern)| *pattern)
        };
        self.own.get(name).map(String::as_str).or_else(|| if self.with_defaults { default() } else { None })
    }
}

/// How deep patterns may name each other.
const MAX_DEPTH: usize = 32;
/// How long an expression may become.
const MAX_LENGTH: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Text,
    Int,
    Float,
    /// No value is of it.
    Unknown,
}

pub(super) struct Expression {
    regex: Regex,
    /// Number of the group, and what it captures.
    fields: Vec<(usize, String, Type)>,
}

impl Expression {
    pub(super) fn compile(text: &str, definitions: &Definitions, named_only: bool) -> Result<Self, String> {
        let mut expansion = Expansion { definitions, named_only, out: String::new(), groups: Vec::new() };
        expansion.expand(text, 0)?;
        let regex = compile_regex(&expansion.out)?;
        let mut groups = expansion.groups.into_iter();
        let mut fields = Vec::new();
        for (number, name) in regex.capture_names().enumerate() {
            match name.map(regex_group_name) {
                Some(name) if name.starts_with(GROUP) => {
                    fields.extend(groups.next().map(|(field, ty)| (number, field, ty)));
                }
                Some(name) => fields.push((number, name.to_owned(), Type::Text)),
                None => {}
            }
        }
        Ok(Self { regex, fields })
    }

    /// The fields of a text; none if it does not match, or a value is not of its type.
    pub(super) fn captures(&self, content: &[u8], keeps_empty: bool) -> Option<BTreeMap<&str, Value>> {
        let captures = self.regex.captures(content)?;
        let mut values = BTreeMap::new();
        for (group, field, ty) in &self.fields {
            let text = captures.get(*group).map_or(&[][..], |found| found.as_bytes());
            if text.is_empty() && !keeps_empty {
                continue;
            }
            let number = || std::str::from_utf8(text).ok();
            let value = match ty {
                Type::Text => Value::string(Text::new(text)),
                Type::Int => Value::Int(number()?.parse().ok()?),
                Type::Float => Value::Float(number()?.parse().ok()?),
                Type::Unknown => return None,
            };
            values.insert(field.as_str(), value);
        }
        Some(values)
    }
}

/// How the names of our own groups begin.
const GROUP: &str = "weir_field_";

struct Expansion<'a> {
    definitions: &'a Definitions,
    named_only: bool,
    out: String,
    /// Field and type of our own groups, in order.
    groups: Vec<(String, Type)>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("patterns name each other too deep".into());
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("%{") {
            self.push(before)?;
            let Some((reference, following)) =
                after.split_once('}').filter(|(inside, _)| is_reference(inside))
            else {
                self.push("%{")?;
                rest = after;
                continue;
            };
            self.reference(reference, depth)?;
            rest = following;
        }
        self.push(rest)
    }

    fn reference(&mut self, reference: &str, depth: usize) -> Result<(), String> {
        let mut parts = reference.split(':');
        let (name, field, ty) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        let missing = || format!("no pattern found for %{{{name}}}");
        let pattern = self.definitions.find(name).ok_or_else(missing)?;
        let field = field.or(if self.named_only { None } else { Some(name) });
        match field {
            Some(field) => {
                let ty = match ty {
                    None | Some("string") => Type::Text,
                    Some("int") => Type::Int,
                    Some("float") => Type::Float,
                    Some(_) => Type::Unknown,
                };
                let group = format!("(?P<{GROUP}{}>", self.groups.len());
                self.groups.push((field.to_owned(), ty));
                self.push(&group)?;
            }
            None => self.push("(?:")?,
        }
        self.expand(pattern, depth + 1)?;
        self.push(")")
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        self.out.push_str(text);
        if self.out.len() > MAX_LENGTH { Err("the expression becomes too long".into()) } else { Ok(()) }
    }
}

/// `NAME`, `NAME:field` or `NAME:field:type`.
fn is_reference(inside: &str) -> bool {
    let is_word = |part: &str, dots: bool| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (dots && byte == b'.');
        !part.is_empty() && part.bytes().all(allowed)
    };
    let mut parts = inside.split(':');
    parts.next().is_some_and(|name| is_word(name, false))
        && parts.next().is_none_or(|field| is_word(field, true))
        && parts.next().is_none_or(|ty| is_word(ty, false))
        && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_pattern_compiles() {
        assert!(PATTERNS.is_sorted_by_key(|(name, _)| name));
        let definitions = Definitions::new(true, BTreeMap::new());
        for (name, _) in PATTERNS {
            let text = format!("%{{{name}:v}}");
            if let Err(error) = Expression::compile(&text, &definitions, true) {
                panic!("{name}: {error}");
            }
        }
    }

    #[test]
    fn what_is_no_reference_is_a_regular_expression() {
        assert!(is_reference("A") && is_reference("A:b.c") && is_reference("A:b:int"));
        assert!(
            !is_reference("A:b-c")
                && !is_reference("A::int")
                && !is_reference("A:b:c:d")
                && !is_reference("")
        );
    }
}

//! A config as it is shown: sections with their defaults, fields in the order of their specs, unknown ones dropped,
//! components by their names, secrets hidden. Components show only what was written.

use crate::Node;
use std::cell::RefCell;
use weir_core::{
    build_error::BuildError,
    field::{Field, FieldType, Shape},
    kind::Kind,
    node::{Position, Tag, Value},
    prepare::default_node,
    registry::Registry,
    spec::Body,
};

/// What stands in for a secret.
pub const SCRUBBED: &str = "!!!SECRET_SCRUBBED!!!";
/// Shorter texts are found everywhere: in a config they are hidden where they are a word of their own, and in what is
/// said of messages not at all.
pub const SHORTEST: usize = 4;

/// Normalises a config of these sections. Anything but an object is an empty one.
pub fn normalise(node: &Node, sections: &'static [Field], registry: &Registry) -> Result<Node, BuildError> {
    Normaliser { registry, found: RefCell::default() }.sections(sections, node)
}

/// What a text is a config of.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// Sections.
    Sections(&'static [Field]),
    /// One component.
    Component(Kind),
}

/// The secrets of a config: what fields hold that are marked so, and passwords in URLs; longest first.
pub fn secrets(node: &Node, form: Form, registry: &Registry) -> Vec<String> {
    let walk = Normaliser { registry, found: RefCell::default() };
    // What cannot be understood has no marked fields; its URLs are looked for in any case.
    let _shown = match form {
        Form::Sections(sections) => walk.sections(sections, node),
        Form::Component(kind) => walk.component(kind, node),
    };
    let mut found = walk.found.into_inner();
    passwords(node, &mut found);
    found.retain(|secret| !(secret.is_empty() || secret.starts_with("${") && secret.ends_with('}')));
    found.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    found.dedup();
    found
}

/// A text with these put out of sight.
pub fn scrub(mut text: String, secrets: &[String]) -> String {
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if !text.contains(secret.as_str()) {
            continue;
        }
        text = if secret.len() < SHORTEST {
            scrub_word(&text, secret)
        } else {
            text.replace(secret.as_str(), SCRUBBED)
        };
    }
    text
}

/// A text with a short secret put out of sight where it is no part of another word.
fn scrub_word(text: &str, secret: &str) -> String {
    let (mut scrubbed, mut from) = (String::with_capacity(text.len()), 0);
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    for (at, _) in text.match_indices(secret) {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + secret.len()..));
        let is_word = !before.ends_with(is_part) && !after.unwrap_or_default().starts_with(is_part);
        if is_word {
            scrubbed.push_str(text.get(from..at).unwrap_or_default());
            scrubbed.push_str(SCRUBBED);
            from = at + secret.len();
        }
    }
    scrubbed.push_str(text.get(from..).unwrap_or_default());
    scrubbed
}

/// Adds the passwords of the URLs in all texts of a tree.
fn passwords(node: &Node, found: &mut Vec<String>) {
    match node.value() {
        Value::Scalar(scalar) => {
            for (at, _) in scalar.text.match_indices("://") {
                let rest = scalar.text.get(at + 3..).unwrap_or_default();
                let end =
                    rest.find(|c: char| c.is_whitespace() || "/?#\"'".contains(c)).unwrap_or(rest.len());
                let user = rest.get(..end).and_then(|authority| authority.rsplit_once('@'));
                if let Some((_, password)) = user.and_then(|(user, _)| user.split_once(':')) {
                    found.push(password.to_owned());
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| passwords(item, found)),
        Value::Map(entries) => entries.iter().for_each(|(_, value)| passwords(value, found)),
    }
}

struct Normaliser<'a> {
    registry: &'a Registry,
    /// The secrets on the way.
    found: RefCell<Vec<String>>,
}

impl Normaliser<'_> {
    fn sections(&self, fields: &'static [Field], node: &Node) -> Result<Node, BuildError> {
        let mut entries = Vec::with_capacity(fields.len());
        for field in fields {
            let given = node.get(field.name);
            let value = match (field.ty, field.shape) {
                (FieldType::Object(_), Shape::One) if given.is_none() && field.optional => continue,
                (FieldType::Object(inner), Shape::One) => {
                    self.sections(inner, given.unwrap_or(&Node::map(Vec::new())))?
                }
                (FieldType::Object(_), Shape::List) if given.is_none() => Node::list(Vec::new()),
                // A fraction is cut where the section is read, and shown as it is read.
                (FieldType::Int, Shape::One)
                    if let Some(count) = given.and_then(|given| given.read::<i64>().ok()) =>
                {
                    Node::scalar(count.to_string(), Tag::Int)
                }
                _ => match (given, field.default) {
                    (Some(given), _) => self.shaped(field, field.shape, given)?,
                    (None, Some(default)) => default_node(default),
                    (None, None) => continue,
                },
            };
            entries.push((Node::string(field.name), value));
        }
        Ok(Node::map(entries))
    }

    /// The known fields that were written.
    fn object(&self, fields: &'static [Field], node: &Node) -> Result<Node, BuildError> {
        if node.as_map().is_none() || fields.is_empty() {
            return Ok(node.clone());
        }
        let mut entries = Vec::new();
        for field in fields {
            if let Some(value) = node.get(field.name) {
                let value = self.shaped(field, field.shape, value).map_err(|error| error.at(field.name))?;
                entries.push((Node::string(field.name), value));
            }
        }
        Ok(node.with_value(Value::Map(entries)))
    }

    fn shaped(&self, field: &Field, shape: Shape, node: &Node) -> Result<Node, BuildError> {
        match (shape, node.value()) {
            (Shape::One, _) => self.one(field, node),
            (Shape::List | Shape::ListOfLists, Value::List(items)) => {
                let inner = if shape == Shape::ListOfLists { Shape::List } else { Shape::One };
                let items =
                    items.iter().map(|item| self.shaped(field, inner, item)).collect::<Result<_, _>>()?;
                Ok(node.with_value(Value::List(items)))
            }
            (Shape::Map, Value::Map(entries)) => {
                let entry = |(key, value): &(Node, Node)| Ok((key.clone(), self.one(field, value)?));
                let entries = entries.iter().map(entry).collect::<Result<_, BuildError>>()?;
                Ok(node.with_value(Value::Map(entries)))
            }
            _ => Ok(node.clone()),
        }
    }

    fn one(&self, field: &Field, node: &Node) -> Result<Node, BuildError> {
        match field.ty {
            FieldType::Object(fields) => self.object(fields, node),
            FieldType::Component(kind) => self.component(kind, node),
            _ if field.secret && node.as_str().is_some_and(|text| !text.is_empty()) => {
                self.found.borrow_mut().extend(node.as_str().map(str::to_owned));
                Ok(Node::string(SCRUBBED).with_position(node.position()))
            }
            _ => Ok(node.clone()),
        }
    }

    fn component(&self, kind: Kind, node: &Node) -> Result<Node, BuildError> {
        if node.as_map().is_none_or(<[_]>::is_empty) {
            return Ok(node.clone());
        }
        // What is wrong here is told without its line: what is shown has none.
        let chosen = self.registry.infer(kind, node).map_err(|error| BuildError::new(error.message()))?;
        let Some(outline) = self.registry.outline(kind, chosen.name) else { return Ok(node.clone()) };
        let body = node.get(chosen.name).or_else(|| node.get("plugin"));
        let body = match (body, &outline.body) {
            (Some(body), Body::Fields(fields) | Body::Checked(fields, _)) => self.object(fields, body)?,
            (Some(body), Body::Single(field)) => self.shaped(field, field.shape, body)?,
            (Some(body), Body::List(field)) => self.shaped(field, Shape::List, body)?,
            (Some(body), Body::Map(field)) => self.shaped(field, Shape::Map, body)?,
            (Some(body), Body::Empty) => body.clone(),
            (None, _) => Node::map(Vec::new()),
        };
        let mut entries = Vec::new();
        let mut keep = |name: &str, value: Option<&Node>| {
            if let Some(value) = value {
                entries.push((Node::string(name), value.clone()));
            }
        };
        keep(
            "label",
            node.get("label").filter(|_| kind.reserved().contains(&"label") && chosen.name != "resource"),
        );
        keep(chosen.name, Some(&body));
        if matches!(kind, Kind::Input | Kind::Output)
            && let Some(processors) = node.get("processors")
            && !processors.as_list().is_some_and(<[_]>::is_empty)
        {
            let field = Field::processors("processors", "");
            keep("processors", Some(&self.shaped(&field, Shape::List, processors)?));
        }
        keep("meta", node.get("meta"));
        if kind == Kind::Metrics {
            let empty = Node::scalar("", Tag::Str);
            keep("mapping", Some(node.get("mapping").unwrap_or(&empty)));
        }
        Ok(Node::new(Value::Map(entries), Position::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_secrets_and_variables_are_none() {
        let node = weir_core::yaml::parse(
            "a: [ 'x redis://u:pass!word@host/1', 'http://h/?a=b@c:dddd' ]\nb: 'amqp://u:${PW}@h'",
        )
        .unwrap();
        let registry = Registry::new(&[]);
        assert_eq!(secrets(&node, Form::Sections(&[]), &registry), ["pass!word"]);
        let text = scrub("redis://u:pass!word@host".into(), &["pass!word".into()]);
        assert_eq!(text, "redis://u:!!!SECRET_SCRUBBED!!!@host");
    }

    #[test]
    fn a_short_secret_is_hidden_where_it_is_a_word() {
        let scrubbed = scrub("ab: cab ab_ 'ab' abs\nab".into(), &["ab".into()]);
        assert_eq!(scrubbed, format!("{SCRUBBED}: cab ab_ '{SCRUBBED}' abs\n{SCRUBBED}"));
    }

    #[test]
    fn marked_fields_are_secrets() {
        static FIELDS: &[Field] = &[Field::string("password", "").secret(), Field::string("user", "")];
        let node = weir_core::yaml::parse("password: topsecret\nuser: somebody").unwrap();
        assert_eq!(secrets(&node, Form::Sections(FIELDS), &Registry::new(&[])), ["topsecret"]);
    }
}

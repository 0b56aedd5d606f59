//! Makes a component's body ready to be read: unknown keys are dropped and defaults are filled in.

use crate::{
    build_error::BuildError,
    field::{Field, FieldType, Shape},
    node::{Node, Value},
    spec::Body,
};
use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

/// Prepares a body as its spec says. Values of the wrong shape are left for the reader to refuse.
pub fn body(body: &Body, node: &Node) -> Result<Node, BuildError> {
    Ok(match body {
        Body::Fields(fields) | Body::Checked(fields, _) => {
            let node = if node.is_null() { &node.with_value(Value::Map(Vec::new())) } else { node };
            if node.as_map().is_none() {
                return Err(node.error(format!("expected object value, got {}", node.tag())));
            }
            object(fields, node)
        }
        Body::Single(field) => value(field, Shape::One, node),
        Body::List(field) => value(field, Shape::List, node),
        Body::Map(field) => value(field, Shape::Map, node),
        Body::Empty => node.with_fields(Vec::new(), &[]),
    })
}

/// The fields' values in the order of the spec.
pub fn object(fields: &'static [Field], node: &Node) -> Node {
    let merged = node.merged();
    let mut entries = Vec::with_capacity(fields.len());
    for field in fields {
        let value = match merged.get(field.name) {
            Some(node) => value(field, field.shape, node),
            None => match absent(field) {
                Some(value) => value,
                None => continue,
            },
        };
        entries.push((Node::string(field.name), value));
    }
    node.with_fields(entries, fields)
}

fn value(field: &Field, shape: Shape, node: &Node) -> Node {
    let FieldType::Object(fields) = field.ty else { return node.clone() };
    match (shape, node.value()) {
        (Shape::One, Value::Map(_)) => object(fields, node),
        (Shape::List | Shape::ListOfLists, Value::List(items)) => {
            let inner = if shape == Shape::ListOfLists { Shape::List } else { Shape::One };
            node.with_value(Value::List(items.iter().map(|item| value(field, inner, item)).collect()))
        }
        (Shape::Map, Value::Map(_)) => {
            let merged = node.merged();
            let entries = merged.as_map().unwrap_or_default().iter();
            let entries = entries.map(|(key, item)| (key.clone(), value(field, Shape::One, item)));
            node.with_value(Value::Map(entries.collect()))
        }
        _ => node.clone(),
    }
}

/// What stands in for a field that is not there.
fn absent(field: &Field) -> Option<Node> {
    if let Some(default) = field.default {
        return Some(default_node(default));
    }
    match (field.ty, field.shape) {
        (FieldType::Object(fields), Shape::One) if !field.optional => {
            let node = object(fields, &Node::map(Vec::new()));
            node.as_map().is_some_and(|entries| !entries.is_empty()).then_some(node)
        }
        _ => None,
    }
}

/// A default's node, parsed once a process: the texts are those of the specs, so there are few.
pub fn default_node(text: &'static str) -> Node {
    static PARSED: OnceLock<Mutex<HashMap<&'static str, Node>>> = OnceLock::new();
    let mut parsed = PARSED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let parse = || crate::yaml::parse(text).unwrap_or_else(|_| Node::string(text));
    parsed.entry(text).or_insert_with(parse).clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    static FIELDS: &[Field] = &[
        Field::string("path", "Where."),
        Field::int("count", "How many.").default("7"),
        Field::object("tls", "How.", &[Field::bool("enabled", "Whether.").default("false")]),
        Field::string("note", "What.").optional(),
    ];

    #[derive(Deserialize)]
    struct Config {
        path: String,
        count: u64,
        tls: Tls,
        note: Option<String>,
    }

    #[derive(Deserialize)]
    struct Tls {
        enabled: bool,
    }

    #[test]
    fn defaults_are_filled_and_unknown_keys_dropped() {
        let node = crate::yaml::parse("path: x\nodd: 1").unwrap();
        let config: Config = body(&Body::Fields(FIELDS), &node).unwrap().read().unwrap();
        assert_eq!((config.path.as_str(), config.count, config.tls.enabled), ("x", 7, false));
        assert_eq!(config.note, None);
        let error = body(&Body::Fields(FIELDS), &Node::null()).unwrap().read::<Config>().err().unwrap();
        assert_eq!(error.to_string(), "field 'path' is required and was not present in the config");
    }

    // Only builds with debug assertions look.
    #[cfg(debug_assertions)]
    #[test]
    #[should_panic(expected = "different fields")]
    fn a_struct_that_differs_from_its_spec_is_found() {
        let node = crate::yaml::parse("enabled: true").unwrap();
        drop(body(&Body::Fields(FIELDS), &node).unwrap().read::<Tls>());
    }
}

//! `--set path=value`: edits of a config by dotted path.

use crate::Node;
use weir_core::{
    build_error::BuildError,
    field::{Field, FieldType, Shape},
    kind::Kind,
    node::Value,
    registry::Registry,
    spec::Body,
};

/// Sets what `path=yaml` says. `~1` in a path is a dot, `~0` a tilde; `-` is the place after a list's end.
pub fn set(
    node: &Node,
    assignment: &str,
    sections: &'static [Field],
    registry: &Registry,
) -> Result<Node, BuildError> {
    let Some((path, value)) = assignment.split_once('=') else {
        return Err(BuildError::new(format!(
            "invalid set expression '{assignment}': expected foo=bar syntax"
        )));
    };
    let value = weir_core::yaml::parse(value).map_err(|error| BuildError::new(error.to_string()))?;
    if value.line() == 0 {
        return Err(BuildError::new(format!("invalid set expression '{assignment}': the value is empty")));
    }
    let path: Vec<String> = path.split('.').map(|part| part.replace("~1", ".").replace("~0", "~")).collect();
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    Setter { registry, value }.fields(sections, node, &path)
}

/// Sets what is at a path of keys and list indexes.
pub fn set_at(
    node: &Node,
    path: &[&str],
    value: &Node,
    sections: &'static [Field],
    registry: &Registry,
) -> Result<Node, BuildError> {
    Setter { registry, value: value.clone() }.fields(sections, node, path)
}

struct Setter<'a> {
    registry: &'a Registry,
    value: Node,
}

impl Setter<'_> {
    fn fields(&self, fields: &'static [Field], node: &Node, path: &[&str]) -> Result<Node, BuildError> {
        let Some((name, rest)) = path.split_first() else { return Ok(self.value.clone()) };
        let Some(field) = fields.iter().find(|field| field.name == *name) else {
            return Err(BuildError::new("field not recognised").at(*name));
        };
        child(node, name, |child| self.shaped(field, field.shape, child, rest))
    }

    fn shaped(&self, field: &Field, shape: Shape, node: &Node, path: &[&str]) -> Result<Node, BuildError> {
        let Some((name, rest)) = path.split_first() else { return Ok(self.value.clone()) };
        match shape {
            Shape::One => self.one(field, node, path),
            Shape::Map => child(node, name, |child| self.one(field, child, rest)),
            Shape::List | Shape::ListOfLists => {
                let inner = if shape == Shape::ListOfLists { Shape::List } else { Shape::One };
                let mut items = node.as_list().unwrap_or_default().to_vec();
                let index = match *name {
                    "-" => {
                        items.push(Node::null());
                        items.len() - 1
                    }
                    name => name
                        .parse::<usize>()
                        .map_err(|_| BuildError::new(format!("'{name}' is not an index of a list")))?,
                };
                let Some(item) = items.get_mut(index) else {
                    return Err(BuildError::new(format!("index {index} is beyond the end of the list")));
                };
                *item = self.shaped(field, inner, item, rest).map_err(|error| error.at(index.to_string()))?;
                Ok(node.with_value(Value::List(items)))
            }
        }
    }

    fn one(&self, field: &Field, node: &Node, path: &[&str]) -> Result<Node, BuildError> {
        let Some((name, rest)) = path.split_first() else { return Ok(self.value.clone()) };
        match field.ty {
            FieldType::Object(fields) => self.fields(fields, node, path),
            FieldType::Component(kind) => self.component(kind, node, path),
            FieldType::Any => child(node, name, |child| self.one(field, child, rest)),
            _ => Err(BuildError::new("a single value has no fields").at(*name)),
        }
    }

    fn component(&self, kind: Kind, node: &Node, path: &[&str]) -> Result<Node, BuildError> {
        let Some((name, rest)) = path.split_first() else { return Ok(self.value.clone()) };
        if kind.reserved().contains(name) {
            let field = match *name {
                "processors" => Field::processors("processors", ""),
                "plugin" | "meta" => Field::any(name_of(name), ""),
                _ => Field::string(name_of(name), ""),
            };
            return child(node, name, |child| self.shaped(&field, field.shape, child, rest));
        }
        let Some(outline) = self.registry.outline(kind, name) else {
            return Err(BuildError::new(format!("{kind} type '{name}' was not recognised")));
        };
        child(node, name, |child| match &outline.body {
            Body::Fields(fields) | Body::Checked(fields, _) => self.fields(fields, child, rest),
            Body::Single(field) => self.shaped(field, field.shape, child, rest),
            Body::List(field) => self.shaped(field, Shape::List, child, rest),
            Body::Map(field) => self.shaped(field, Shape::Map, child, rest),
            Body::Empty => self.fields(&[], child, rest),
        })
    }
}

/// Edits what is under a key.
fn child(
    node: &Node,
    name: &str,
    edit: impl FnOnce(&Node) -> Result<Node, BuildError>,
) -> Result<Node, BuildError> {
    let child = node.get(name).cloned().unwrap_or_else(Node::null);
    Ok(node.with(name, edit(&child).map_err(|error| error.at(name))?))
}

/// The reserved key of this name.
fn name_of(name: &str) -> &'static str {
    ["type", "plugin", "meta", "label", "mapping"].into_iter().find(|key| *key == name).unwrap_or("")
}

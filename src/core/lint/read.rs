//! What keeps a config from being read at all. The first such fault hides every lint.

use super::Lint;
use crate::{
    build_error::BuildError,
    field::{Field, FieldType, Shape},
    kind::Kind,
    node::{Node, Value},
    node_serde::NodeReader,
    registry::Registry,
};
use serde::Deserialize;
use std::fmt;

/// Why a config cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    /// The line, where a lint would name one.
    pub line: Option<u32>,
    /// Which of a list of processors it is in, if that has to be said.
    pub index: Option<usize>,
    /// What is wrong.
    pub message: String,
}

impl ReadError {
    /// The fault as a lint.
    pub fn lint(&self) -> Lint {
        Lint::on(self.line.unwrap_or(1), self.message.clone())
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(index) = self.index {
            write!(f, "{index}: ")?;
        }
        if let Some(line) = self.line {
            write!(f, "({line},1) ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ReadError {}

impl From<BuildError> for ReadError {
    fn from(error: BuildError) -> Self {
        Self { line: None, index: None, message: error.to_string() }
    }
}

/// Finds the first fault: values of a wrong type in any section, then components that cannot be told.
pub fn check(node: &Node, sections: &'static [Field], registry: &Registry) -> Result<(), ReadError> {
    let node = node.merged();
    if node.as_map().is_none() {
        return Ok(());
    }
    object(sections, &node)?;
    components(sections, &node, registry)
}

/// Checks that a component can be told, and the processors beside it.
pub fn component(kind: Kind, node: &Node, registry: &Registry) -> Result<(), ReadError> {
    registry.infer(kind, node).map_err(|error| ReadError {
        line: Some(error.line().unwrap_or(0)),
        index: None,
        message: error.message().to_owned(),
    })?;
    if matches!(kind, Kind::Input | Kind::Output)
        && let Some(processors) = node.merged().get("processors")
    {
        for (index, processor) in children(processors).enumerate() {
            component(Kind::Processor, processor, registry)
                .map_err(|error| ReadError { index: Some(index), ..error })?;
        }
    }
    Ok(())
}

/// What is inside a node, keys of a map included.
fn children(node: &Node) -> Box<dyn Iterator<Item = &Node> + '_> {
    match node.value() {
        Value::Scalar(_) => Box::new(std::iter::empty()),
        Value::List(items) => Box::new(items.iter()),
        Value::Map(entries) => Box::new(entries.iter().flat_map(|(key, value)| [key, value])),
    }
}

fn components(fields: &'static [Field], node: &Node, registry: &Registry) -> Result<(), ReadError> {
    for field in fields {
        let Some(value) = node.get(field.name) else { continue };
        match field.ty {
            FieldType::Component(kind) if field.shape == Shape::One => component(kind, value, registry)?,
            FieldType::Component(kind) => {
                for item in value.as_list().unwrap_or_default() {
                    component(kind, item, registry)?;
                }
            }
            FieldType::Object(fields) if field.shape == Shape::One => {
                components(fields, &value.merged(), registry)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn object(fields: &'static [Field], node: &Node) -> Result<(), BuildError> {
    let node = node.merged();
    for field in fields {
        match node.get(field.name) {
            Some(value) => shaped(field, field.shape, value).map_err(|error| error.at(field.name))?,
            None if field.is_required() && !node.is_null() => {
                return Err(<BuildError as serde::de::Error>::missing_field(field.name));
            }
            None => {}
        }
    }
    Ok(())
}

fn shaped(field: &Field, shape: Shape, node: &Node) -> Result<(), BuildError> {
    match (shape, node.value()) {
        (Shape::One, _) => one(field, node),
        (Shape::List, Value::List(items)) => items.iter().try_for_each(|item| one(field, item)),
        (Shape::ListOfLists, Value::List(items)) => {
            items.iter().try_for_each(|item| shaped(field, Shape::List, item))
        }
        (Shape::Map, Value::Map(entries)) => entries.iter().try_for_each(|(_, value)| one(field, value)),
        (Shape::Map, _) => Err(node.error(format!("expected map value, got {}", node.tag()))),
        (Shape::List | Shape::ListOfLists, _) => {
            Err(node.error(format!("expected array value, got {}", node.tag())))
        }
    }
}

fn one(field: &Field, node: &Node) -> Result<(), BuildError> {
    let reader = NodeReader::new(node);
    match field.ty {
        FieldType::String | FieldType::Duration | FieldType::Mapping => String::deserialize(reader).map(drop),
        FieldType::Int => i64::deserialize(reader).map(drop),
        FieldType::Float => f64::deserialize(reader).map(drop),
        FieldType::Bool => bool::deserialize(reader).map(drop),
        FieldType::Object(fields) => object(fields, node),
        FieldType::Any | FieldType::Component(_) => Ok(()),
    }
}

//! Says everything that is wrong with a config, with its place: all of it, since a person will fix it.
//!
//! Two passes. [`read::check`] finds what keeps a config from being read at all; only if there is nothing of that,
//! [`config`] or [`component`] collect the lints.

mod component;
mod field;
mod label;
mod language;
pub mod read;

use crate::{
    field::{Field, FieldType, Shape},
    kind::Kind,
    node::{Node, Value},
    registry::Registry,
};
use std::{collections::HashMap, fmt};

/// One thing that is wrong with a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// Line, from 1; 0 where there is nothing written.
    pub line: u32,
    /// Column, from 1; always 1 unless it is inside a mapping or an expression.
    pub column: u32,
    /// What is wrong.
    pub message: String,
}

impl Lint {
    /// A lint about a whole line.
    pub fn on(line: u32, message: impl Into<String>) -> Self {
        Self { line, column: 1, message: message.into() }
    }
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{}) {}", self.line, self.column, self.message)
    }
}

/// What is linted beside what is wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct LintOptions {
    /// Whether deprecated fields and components are.
    pub deprecated: bool,
    /// Whether components without a label are.
    pub labels: bool,
    /// Whether failed messages are refused by outputs (`error_handling.strict`), which makes `catch` useless.
    pub strict: bool,
}

/// Lints a config that has these sections.
pub fn config(node: &Node, sections: &'static [Field], registry: &Registry, options: LintOptions) -> Vec<Lint> {
    let mut linter = Linter::new(registry, options);
    linter.object(sections, node);
    linter.lints
}

/// Lints the config of one component, such as the body of a resource.
pub fn component(kind: Kind, node: &Node, registry: &Registry, options: LintOptions) -> Vec<Lint> {
    let mut linter = Linter::new(registry, options);
    linter.component(kind, node);
    linter.lints
}

/// The lints gathered so far and what they depend on.
struct Linter<'a> {
    registry: &'a Registry,
    options: LintOptions,
    /// Where each label was first seen.
    labels: HashMap<String, u32>,
    lints: Vec<Lint>,
}

impl<'a> Linter<'a> {
    fn new(registry: &'a Registry, options: LintOptions) -> Self {
        Self { registry, options, labels: HashMap::new(), lints: Vec::new() }
    }

    fn add(&mut self, line: u32, message: impl Into<String>) {
        self.lints.push(Lint::on(line, message));
    }

    /// Lints an object of fields.
    fn object(&mut self, fields: &'static [Field], node: &Node) {
        if node.as_map().is_none() {
            self.add(node.line(), format!("expected object value, got {}", node.tag()));
            return;
        }
        if fields.is_empty() {
            return;
        }
        let mut seen = vec![false; fields.len()];
        self.entries(fields, node, &mut seen);
        for (field, _) in fields.iter().zip(seen).filter(|(field, seen)| !seen && field.is_required()) {
            self.add(node.line(), format!("field {} is required", field.name));
        }
    }

    fn entries(&mut self, fields: &'static [Field], node: &Node, seen: &mut [bool]) {
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.key_text();
            if name == "<<" && value.is_alias() && value.as_map().is_some() {
                self.entries(fields, value, seen);
                continue;
            }
            match fields.iter().position(|field| field.name == name) {
                Some(index) => {
                    seen[index] = true;
                    self.field(&fields[index], value);
                }
                None if value.is_alias() => {}
                None => self.add(key.line(), format!("field {name} not recognised")),
            }
        }
    }

    /// Lints a field's value in the shape the field holds it in.
    fn field(&mut self, field: &Field, node: &Node) {
        self.shaped(field, field.shape, node);
    }

    fn shaped(&mut self, field: &Field, shape: Shape, node: &Node) {
        if self.options.deprecated && field.deprecated {
            self.add(node.line(), format!("field {} is deprecated", field.name));
        }
        for message in field.check.map(|check| check(node)).unwrap_or_default() {
            self.add(node.line(), message);
        }
        match (shape, node.value()) {
            (Shape::One, _) => self.one(field, node),
            (Shape::List | Shape::ListOfLists, Value::List(items)) => {
                let inner = if shape == Shape::ListOfLists { Shape::List } else { Shape::One };
                for item in items {
                    self.shaped(field, inner, item);
                }
            }
            (Shape::List | Shape::ListOfLists, _) => self.add(node.line(), "expected array value"),
            (Shape::Map, Value::Map(entries)) => {
                for (_, value) in entries {
                    self.shaped(field, Shape::One, value);
                }
            }
            (Shape::Map, _) => self.add(node.line(), format!("expected object value, got {}", node.tag())),
        }
    }

    fn one(&mut self, field: &Field, node: &Node) {
        match field.ty {
            FieldType::Object(fields) => self.object(fields, node),
            FieldType::Component(kind) => self.component(kind, node),
            FieldType::String | FieldType::Duration | FieldType::Mapping => self.text(field, node),
            FieldType::Int => self.scalar(node, "int"),
            FieldType::Float => self.scalar(node, "float"),
            FieldType::Bool => self.scalar(node, "bool"),
            FieldType::Any => {}
        }
    }
}

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
    /// Whether to look for `catch` where failed messages are refused (`error_handling.strict`), which makes it useless:
    /// as in the reference, commands that check do, those that run do not.
    pub strict: bool,
}

/// Lints a config that has these sections.
pub fn config(
    node: &Node,
    sections: &'static [Field],
    registry: &Registry,
    options: LintOptions,
) -> Vec<Lint> {
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
        for (field, _) in
            fields.iter().zip(seen).filter(|(field, seen)| !seen && field.is_required() && !is_list(field))
        {
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

/// The reference does not miss lists.
fn is_list(field: &Field) -> bool {
    matches!(field.shape, Shape::List | Shape::ListOfLists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        build_error::BuildError,
        context::BuildContext,
        registry::{Chosen, ProcessorSpec, Table},
        spec::{Body, Spec, Status},
    };

    fn unbuildable<B>(_: &Node, _: &mut dyn BuildContext) -> Result<B, BuildError> {
        Err(BuildError::new("only linted"))
    }

    const fn processor(name: &'static str, body: Body) -> ProcessorSpec {
        Spec {
            name,
            summary: "",
            description: "",
            status: Status::Stable,
            body,
            examples: &[],
            build: unbuildable,
        }
    }

    static MAPPING: ProcessorSpec = processor("mapping", Body::Single(Field::mapping("", "")));
    static TRY: ProcessorSpec = processor("try", Body::List(Field::processor("", "")));
    static NOOP: ProcessorSpec = processor("noop", Body::Empty);
    static LOG: ProcessorSpec = processor(
        "log",
        Body::Fields(&[
            Field::string("message", "").interpolated(),
            Field::string("level", "").default("INFO").options(&["INFO", "WARN"]),
            Field::string("old", "").optional().deprecated(),
        ]),
    );
    static SECTIONS: &[Field] = &[Field::processors("processors", "").default("[]")];

    static PROCESSORS: &[&ProcessorSpec] = &[&MAPPING, &TRY, &NOOP, &LOG];

    fn registry() -> Registry {
        Registry::new(&[Table { processors: PROCESSORS, ..Table::EMPTY }])
    }

    fn lints(text: &str, options: LintOptions) -> Vec<String> {
        let node = crate::yaml::parse(text).unwrap();
        if let Err(error) = read::check(&node, SECTIONS, &registry()) {
            return vec![error.lint().to_string()];
        }
        config(&node, SECTIONS, &registry(), options).iter().map(Lint::to_string).collect()
    }

    #[test]
    fn everything_is_reported_with_its_place() {
        let text = "odd: 1\nprocessors:\n  - label: A\n    log: { level: loud, x: 1 }\n    more: 1\n  \
            - try: [ { nope: {} }, { noop: {}, log: {} } ]\n  - mapping: |\n      root = ]\n";
        assert_eq!(
            lints(text, LintOptions::default()),
            [
                "(1,1) field odd not recognised",
                "(4,1) value loud is not a valid option for this field",
                "(4,1) field x not recognised",
                "(4,1) field message is required",
                "(3,1) invalid label 'A': should match the regular expression /^[a-z0-9_\\-]+$/ and must not start with an underscore",
                "(5,1) field more is invalid when the component type is log (processor)",
                "(6,1) unable to infer component type: nope",
                "(6,1) unable to infer component type: [noop log]",
                "(8,22) expected query, got: ]\n",
            ]
        );
    }

    #[test]
    fn what_keeps_a_config_from_being_read_hides_the_rest() {
        assert_eq!(
            lints("odd: 1\nprocessors: { a: 1 }", LintOptions::default()),
            ["(1,1) field 'processors': line 2: expected array value, got !!map"]
        );
        assert_eq!(
            lints("odd: 1\nprocessors:\n  - b: 1\n    a: 1", LintOptions::default()),
            ["(3,1) unable to infer processor type from candidates: [a b]"]
        );
    }

    #[test]
    fn labels_are_unique_and_children_come_first() {
        assert_eq!(
            lints(
                "processors:\n  - label: a\n    try:\n      - label: a\n        noop: {}",
                LintOptions::default()
            ),
            ["(2,1) label 'a' collides with a previously defined label at line 4"]
        );
        let options = LintOptions { labels: true, deprecated: true, ..LintOptions::default() };
        assert_eq!(
            lints("processors: [ { log: { message: x, old: y } } ]", options),
            ["(1,1) field old is deprecated", "(1,1) label is required for log"]
        );
    }

    #[test]
    fn the_type_may_be_explicit() {
        let node = crate::yaml::parse("type: log\nplugin: { message: x }\nlabel: a").unwrap();
        let Chosen { name, body, label } = registry().infer(Kind::Processor, &node).unwrap();
        assert_eq!((name, label.as_str()), ("log", "a"));
        assert_eq!(body.get("message").and_then(Node::as_str), Some("x"));
    }
}

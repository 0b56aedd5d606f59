//! Lints of components: which one is meant, its body, and the keys beside it.

use super::Linter;
use crate::{
    field::{Field, Shape},
    kind::Kind,
    node::{Node, Value},
    spec::{Body, Outline, Status},
};

/// Why `catch` does nothing under strict error handling.
const USELESS_CATCH: &str = "a `catch` processor does not recover messages while `error_handling.strict` is enabled, \
    as a failed message short-circuits past it. Wrap the failing step and its recovery within a `try_catch` processor \
    (or a `retry` for transient failures) instead.";

static PROCESSORS: Field = Field::processors("processors", "Processors of this component alone.");

impl Linter<'_> {
    pub(super) fn component(&mut self, kind: Kind, node: &Node) {
        // What cannot be a component is left to the build, as the reference does.
        if is_empty(node) {
            return;
        }
        let registry = self.registry;
        let Some(outline) = self.chosen(kind, node).and_then(|name| registry.outline(kind, &name)) else {
            return;
        };
        if self.options.deprecated && outline.status == Status::Deprecated {
            self.add(node.line(), format!("component {} is deprecated", outline.name));
        }
        for (_, value) in
            node.as_map().unwrap_or_default().iter().filter(|(key, _)| key.key_text() == outline.name)
        {
            self.body(&outline.body, value);
        }
        let mut labelled = false;
        for (key, value) in node.as_map().unwrap_or_default() {
            let name = key.key_text();
            if name == outline.name || name == "type" {
                continue;
            }
            if !kind.reserved().contains(&name) {
                let message =
                    format!("field {name} is invalid when the component type is {} ({kind})", outline.name);
                self.add(key.line(), message);
                continue;
            }
            labelled |= name == "label";
            self.reserved(name, value, key.line(), outline, node);
        }
        let may_have_label = kind.reserved().contains(&"label") && outline.name != "resource";
        if self.options.labels && may_have_label && !labelled {
            self.add(node.line(), format!("label is required for {}", outline.name));
        }
        if self.options.strict && kind == Kind::Processor && outline.name == "catch" {
            self.add(node.line(), USELESS_CATCH);
        }
    }

    /// Lints a key that stands beside a component's own.
    fn reserved(&mut self, name: &str, value: &Node, line: u32, outline: &Outline, node: &Node) {
        match name {
            "label" => self.label(outline.name, value),
            "processors" => {
                if is_empty(value) {
                    self.add(line, "field processors is empty and can be removed");
                }
                self.field(&PROCESSORS, value);
            }
            "meta" if value.as_map().is_none() => {
                self.add(value.line(), format!("expected object value, got {}", value.tag()));
            }
            "mapping" => self.field(&Field::mapping("mapping", ""), value),
            "plugin" if node.get("type").is_none() || node.get(outline.name).is_some() => {
                self.add(line, "plugin object is ineffective");
            }
            "plugin" => {
                self.body(&outline.body, value);
                if value.as_map().is_none() {
                    self.add(value.line(), format!("expected object value, got {}", value.tag()));
                }
            }
            _ => {}
        }
    }

    /// The name of the component that is meant, if that is clear.
    fn chosen(&mut self, kind: Kind, node: &Node) -> Option<String> {
        if let Some(explicit) = node.get("type") {
            let name = explicit.as_str().unwrap_or("").to_owned();
            if self.registry.outline(kind, &name).is_none() {
                self.add(node.line(), format!("failed to obtain docs for {kind} type {name}"));
                return None;
            }
            return Some(name);
        }
        let candidates: Vec<&str> = node.entries().map(|(key, _)| key).collect();
        let reserved = kind.reserved();
        let is_known = |name: &str| !reserved.contains(&name) && self.registry.outline(kind, name).is_some();
        let mut known = candidates.iter().filter(|name| is_known(name));
        if let (Some(name), None) = (known.next(), known.next()) {
            return Some((*name).to_owned());
        }
        let names = match candidates.as_slice() {
            [name] => (*name).to_owned(),
            names => format!("[{}]", names.join(" ")),
        };
        self.add(node.line(), format!("unable to infer component type: {names}"));
        None
    }

    fn body(&mut self, body: &Body, node: &Node) {
        match body {
            Body::Fields(fields) => self.object(fields, node),
            Body::Checked(fields, check) => {
                for message in check(node) {
                    self.add(node.line(), message);
                }
                self.object(fields, node);
            }
            Body::Single(field) => self.field(field, node),
            Body::List(field) => self.shaped(field, Shape::List, node),
            Body::Map(field) => self.shaped(field, Shape::Map, node),
            Body::Empty => self.object(&[], node),
        }
    }
}

/// Whether nothing is inside a node.
fn is_empty(node: &Node) -> bool {
    match node.value() {
        Value::Scalar(_) => true,
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
    }
}

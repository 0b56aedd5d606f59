//! Where the labelled components of a config are.

use crate::Node;
use std::collections::HashMap;
use weir_core::{
    field::{Field, FieldType, Shape},
    kind::Kind,
    registry::Registry,
    spec::Body,
};

/// The path of every component that has a label, by label.
pub fn labels(node: &Node, sections: &'static [Field], registry: &Registry) -> HashMap<String, Vec<String>> {
    let mut walk = Walk { registry, path: Vec::new(), found: HashMap::new() };
    walk.object(sections, node);
    walk.found
}

struct Walk<'a> {
    registry: &'a Registry,
    path: Vec<String>,
    found: HashMap<String, Vec<String>>,
}

impl Walk<'_> {
    fn below(&mut self, part: impl Into<String>, look: impl FnOnce(&mut Self)) {
        self.path.push(part.into());
        look(self);
        self.path.pop();
    }

    fn object(&mut self, fields: &[Field], node: &Node) {
        for field in fields {
            if let Some(value) = node.get(field.name) {
                self.below(field.name, |walk| walk.shaped(field, field.shape, value));
            }
        }
    }

    fn shaped(&mut self, field: &Field, shape: Shape, node: &Node) {
        match shape {
            Shape::One => self.one(field, node),
            Shape::Map => {
                for (key, value) in node.entries() {
                    self.below(key, |walk| walk.one(field, value));
                }
            }
            Shape::List | Shape::ListOfLists => {
                let inner = if shape == Shape::ListOfLists { Shape::List } else { Shape::One };
                for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
                    self.below(index.to_string(), |walk| walk.shaped(field, inner, item));
                }
            }
        }
    }

    fn one(&mut self, field: &Field, node: &Node) {
        match field.ty {
            FieldType::Object(fields) => self.object(fields, node),
            FieldType::Component(kind) => self.component(kind, node),
            _ => {}
        }
    }

    fn component(&mut self, kind: Kind, node: &Node) {
        if let Some(label) = node.get("label").and_then(Node::as_str).filter(|label| !label.is_empty()) {
            self.found.insert(label.to_owned(), self.path.clone());
        }
        let Ok(chosen) = self.registry.infer(kind, node) else { return };
        if let (Some(outline), Some(body)) = (self.registry.outline(kind, chosen.name), node.get(chosen.name))
        {
            self.below(chosen.name, |walk| match &outline.body {
                Body::Fields(fields) | Body::Checked(fields, _) => walk.object(fields, body),
                Body::Single(field) => walk.shaped(field, field.shape, body),
                Body::List(field) => walk.shaped(field, Shape::List, body),
                Body::Map(field) => walk.shaped(field, Shape::Map, body),
                Body::Empty => {}
            });
        }
        if kind.reserved().contains(&"processors") {
            self.object(&[Field::processors("processors", "")], node);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sections;

    #[test]
    fn labels_are_found_wherever_components_are() {
        let text = "input: { label: a, x: {}, processors: [ { label: b, y: {} } ] }\ncache_resources: [ {}, { label: c } ]";
        let node = weir_core::yaml::parse(text).unwrap();
        let found = labels(&node, sections::CONFIG, &Registry::default());
        assert_eq!(found["a"], ["input"]);
        assert_eq!(found["c"], ["cache_resources", "1"]);
        assert_eq!(found.len(), 2, "what is below an unknown component is not looked at");
    }
}

//! Lints of single values.

use super::{Linter, language};
use crate::{
    field::{Field, FieldType},
    node::{Node, Tag},
};

impl Linter<'_> {
    /// Any scalar fits any scalar field; building finds out whether it has the right type.
    pub(super) fn scalar(&mut self, node: &Node, wanted: &str) {
        if node.as_scalar().is_none() {
            self.add(node.line(), format!("expected {wanted} value"));
        }
    }

    pub(super) fn text(&mut self, field: &Field, node: &Node) {
        let Some(scalar) = node.as_scalar() else { return self.scalar(node, "string") };
        let text = if scalar.tag == Tag::Null { "" } else { &*scalar.text };
        if field.closed && !field.options.iter().any(|option| option.eq_ignore_ascii_case(text)) {
            self.add(node.line(), format!("value {text} is not a valid option for this field"));
        }
        if text.is_empty() {
            return;
        }
        if matches!(field.ty, FieldType::Mapping) {
            self.lints.extend(language::mapping(node, scalar));
        } else if field.interpolated {
            self.lints.extend(language::interpolated(node, scalar));
        }
    }
}

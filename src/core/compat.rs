//! Texts of the reference's YAML library that users and tools know.

use crate::node::{Node, Tag};

/// Why a node is no value of a Go type.
pub(crate) fn unmarshal(node: &Node, wanted: &str) -> String {
    let mut text = format!("yaml: unmarshal errors:\n  line {}: cannot unmarshal {}", node.line(), node.tag());
    if let Some(scalar) = node.as_scalar().filter(|scalar| scalar.tag != Tag::Null) {
        let value = match scalar.text.char_indices().nth(7) {
            Some((end, _)) if scalar.text.len() > 10 => {
                format!("{}...", scalar.text.get(..end).unwrap_or_default())
            }
            _ => scalar.text.to_string(),
        };
        text = format!("{text} `{value}`");
    }
    format!("{text} into {wanted}")
}

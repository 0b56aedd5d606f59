//! Texts of the reference's YAML library that users and tools know.

use crate::node::{Node, Tag};

/// Why a node is no value of a Go type.
pub(crate) fn unmarshal(node: &Node, wanted: &str) -> String {
    let mut text =
        format!("yaml: unmarshal errors:\n  line {}: cannot unmarshal {}", node.line(), node.tag());
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

/// A parser's complaint as the reference words it: the parser counts lines from 0, and leaves 0 out.
pub(crate) fn yaml_fault(line: u32, info: &str) -> (u32, String) {
    // A document of one line in flow style that does not go on as it must.
    if info.starts_with("invalid trailing content after double-quoted scalar") {
        return (line.saturating_sub(1), "did not find expected ',' or '}'".into());
    }
    match info.find("did not find expected") {
        Some(at) => (line.saturating_sub(1), info.get(at..).unwrap_or(info).to_owned()),
        None => (line, info.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_expected_is_told_for_the_line_before() {
        let told = yaml_fault(2, "while parsing a node, did not find expected node content");
        assert_eq!(told, (1, "did not find expected node content".into()));
        assert_eq!(
            yaml_fault(3, "mapping values are not allowed"),
            (3, "mapping values are not allowed".into())
        );
    }
}

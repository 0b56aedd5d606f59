//! Lints of labels.

use super::Linter;
use crate::node::{Node, Tag};

impl Linter<'_> {
    /// Lints a component's label.
    pub(super) fn label(&mut self, component: &str, node: &Node) {
        let Some(scalar) = node.as_scalar() else { return self.scalar(node, "string") };
        let label = if scalar.tag == Tag::Null { "" } else { &*scalar.text };
        if label.is_empty() {
            return;
        }
        let line = node.line();
        if component == "resource" {
            self.add(line, "label field should be omitted when pointing to a resource");
        }
        if !is_valid(label) {
            self.add(line, invalid(label));
            return;
        }
        if component == "resource" {
            return;
        }
        match self.labels.get(label) {
            Some(first) => {
                let message =
                    format!("label '{label}' collides with a previously defined label at line {first}");
                self.add(line, message);
            }
            None => {
                self.labels.insert(label.to_owned(), line);
            }
        }
    }
}

/// Whether a label may be used: lowercase letters, digits, dashes and underscores, the last two not in front.
pub(super) fn is_valid(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with(['_', '-'])
        && label.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

/// Why a label may not be used.
pub(super) fn invalid(label: &str) -> String {
    format!(
        r"invalid label '{label}': should match the regular expression /^[a-z0-9_\-]+$/ and must not start with an underscore"
    )
}

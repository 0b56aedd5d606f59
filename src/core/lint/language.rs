//! Lints of mappings and expressions, whose errors have columns.

use super::Lint;
use crate::node::{Node, Scalar, Style};

/// What is wrong with a mapping or query.
pub(super) fn mapping(node: &Node, scalar: &Scalar) -> Option<Lint> {
    let _ = (node, scalar);
    None
}

/// What is wrong with the `${! }` expressions of a text.
pub(super) fn interpolated(node: &Node, scalar: &Scalar) -> Option<Lint> {
    let _ = (node, scalar);
    None
}

/// The place in the config of a place in a scalar's text. Lines of a literal block start below its `|`; the columns
/// always count from the scalar's first character, as the reference's do.
fn place(node: &Node, scalar: &Scalar, line: u32, column: u32, message: String) -> Lint {
    let line = node.line() + line - u32::from(scalar.style != Style::Literal);
    Lint { line, column: node.column() + column, message }
}

//! Lints of mappings and expressions, whose errors have columns.

use super::Lint;
use crate::node::{Node, Scalar, Style};
use std::sync::OnceLock;
use weir_bloblang::{Environment, Interpolated, Program};

/// What mappings may use: the same for every lint, and not cheap to make.
fn environment() -> &'static Environment {
    static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
    ENVIRONMENT.get_or_init(Environment::new)
}

/// What is wrong with a mapping or query.
pub(super) fn mapping(node: &Node, scalar: &Scalar) -> Vec<Lint> {
    let error = Program::parse(&scalar.text, environment()).err();
    error
        .iter()
        .map(|error| place(node, scalar, error.line, error.column, error.without_position()))
        .collect()
}

/// What is wrong with the `${! }` expressions of a text.
pub(super) fn interpolated(node: &Node, scalar: &Scalar) -> Option<Lint> {
    let error = Interpolated::parse(&scalar.text, environment()).err()?;
    // The error counts characters from the start of the whole text.
    let before = || scalar.text.chars().take(error.column.saturating_sub(1));
    let line = before().filter(|c| *c == '\n').count() + 1;
    let column = before().collect::<Vec<_>>().iter().rev().take_while(|c| **c != '\n').count() + 1;
    Some(place(node, scalar, line, column, error.without_position()))
}

/// The place in the config of a place in a scalar's text. Lines of a literal block start below its `|`; the columns
/// always count from the scalar's first character, as the reference's do.
fn place(node: &Node, scalar: &Scalar, line: usize, column: usize, message: String) -> Lint {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let below = u32::from(scalar.style == Style::Literal);
    let line = node.line().saturating_add(small(line.saturating_sub(1))).saturating_add(below);
    Lint { line, column: node.column().saturating_add(small(column)), message }
}

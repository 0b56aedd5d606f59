//! Functions, a file a family. Those that look at the message are with the evaluator.
#![expect(clippy::unnecessary_wraps, reason = "all functions have one signature")]

mod fake;
mod general;
mod ids;
mod outside;
mod random;

use crate::spec::Spec;
pub use outside::set_variables;
pub(crate) use random::uuid;

/// All families.
pub(crate) static FUNCTIONS: &[&[Spec]] =
    &[fake::FAMILY, general::FAMILY, ids::FAMILY, outside::FAMILY, random::FAMILY];

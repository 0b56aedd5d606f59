//! Functions, a file a family. Those that look at the message are with the evaluator.
#![expect(clippy::unnecessary_wraps, reason = "all functions have one signature")]

mod general;
mod outside;
mod random;

use crate::spec::Spec;

/// All families.
pub(crate) static FUNCTIONS: &[&[Spec]] = &[general::FAMILY, outside::FAMILY, random::FAMILY];

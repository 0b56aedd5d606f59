//! Methods, a file a family. Those that decide when their target is evaluated are with the evaluator.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "all methods have one signature"
)]

mod arrays;
mod coercion;
mod csv;
mod encoding;
mod escape;
mod hash;
mod json;
mod numbers;
mod objects;
mod regex;
mod schema;
mod sorting;
mod strings;
mod target;
mod time;
mod yaml;

use crate::spec::Spec;
pub(crate) use numbers::to_int;

/// All families.
pub(crate) static METHODS: &[&[Spec]] = &[
    arrays::FAMILY,
    coercion::FAMILY,
    csv::FAMILY,
    encoding::FAMILY,
    escape::FAMILY,
    hash::FAMILY,
    json::FAMILY,
    numbers::FAMILY,
    objects::FAMILY,
    regex::FAMILY,
    schema::FAMILY,
    sorting::FAMILY,
    strings::FAMILY,
    time::FAMILY,
    yaml::FAMILY,
];

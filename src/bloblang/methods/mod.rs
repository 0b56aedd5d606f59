//! Methods, a file a family. Those that decide when their target is evaluated are with the evaluator.
#![expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "all methods have one signature"
)]

#[cfg(feature = "aes")]
mod aes;
mod arrays;
mod changelog;
mod coercion;
#[cfg(feature = "compression")]
mod compression;
mod csv;
mod encoding;
mod escape;
mod hash;
mod ids;
mod infer;
mod json;
mod logfmt;
mod msgpack;
mod numbers;
mod objects;
mod regex;
mod schema;
mod sorting;
mod strings;
mod target;
mod time;
mod url;
mod yaml;

use crate::spec::Spec;
pub use json::indented;
pub(crate) use numbers::to_int;

/// All families.
pub(crate) static METHODS: &[&[Spec]] = &[
    #[cfg(feature = "aes")]
    aes::FAMILY,
    arrays::FAMILY,
    changelog::FAMILY,
    coercion::FAMILY,
    #[cfg(feature = "compression")]
    compression::FAMILY,
    csv::FAMILY,
    encoding::FAMILY,
    escape::FAMILY,
    hash::FAMILY,
    ids::FAMILY,
    infer::FAMILY,
    json::FAMILY,
    logfmt::FAMILY,
    msgpack::FAMILY,
    numbers::FAMILY,
    objects::FAMILY,
    regex::FAMILY,
    schema::FAMILY,
    sorting::FAMILY,
    strings::FAMILY,
    time::FAMILY,
    url::FAMILY,
    yaml::FAMILY,
];

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
#[cfg(feature = "geoip")]
mod geoip;
mod hash;
mod ids;
mod infer;
mod json;
mod json_path;
mod json_path_filter;
#[cfg(feature = "jwt")]
mod jwt;
#[cfg(feature = "jwt")]
mod jwt_keys;
mod logfmt;
mod markup;
mod msgpack;
mod numbers;
mod objects;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "passwords")]
mod passwords;
mod regex;
mod schema;
mod segments;
mod sorting;
mod strings;
mod target;
mod time;
pub(crate) mod url;
mod xml;
mod yaml;

use crate::spec::Spec;
pub(crate) use coercion::to_timestamp;
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
    json_path::FAMILY,
    logfmt::FAMILY,
    msgpack::FAMILY,
    #[cfg(feature = "geoip")]
    geoip::FAMILY,
    #[cfg(feature = "jwt")]
    jwt::FAMILY,
    #[cfg(feature = "parquet")]
    parquet::FAMILY,
    #[cfg(feature = "passwords")]
    passwords::FAMILY,
    markup::FAMILY,
    segments::FAMILY,
    xml::FAMILY,
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

//! Processors. One file a component; this table is the only other place that names it.

mod command;
mod http;
mod subprocess;

use weir_core::registry::ProcessorSpec;

/// Every processor of this crate, sorted by name.
pub static SPECS: &[&ProcessorSpec] = &[&command::SPEC, &http::SPEC, &subprocess::SPEC];

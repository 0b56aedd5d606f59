//! Outputs. One file a component; this table is the only other place that names it.

mod file;
mod http_client;
mod http_server;
mod socket;
mod stdout;
mod subprocess;
mod websocket;

use weir_core::registry::OutputSpec;

/// Every output of this crate, sorted by name.
pub static SPECS: &[&OutputSpec] = &[
    &file::SPEC,
    &http_client::SPEC,
    &http_server::SPEC,
    &socket::SPEC,
    &stdout::SPEC,
    &subprocess::SPEC,
    &websocket::SPEC,
];

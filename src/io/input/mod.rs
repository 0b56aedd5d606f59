//! Inputs. One file a component; this table is the only other place that names it.

mod csv;
mod file;
mod http_client;
mod http_server;
mod socket;
mod socket_server;
mod stdin;
mod subprocess;
mod websocket;

use weir_core::registry::InputSpec;

/// Every input of this crate, sorted by name.
pub static SPECS: &[&InputSpec] = &[
    &csv::SPEC,
    &file::SPEC,
    &http_client::SPEC,
    &http_server::SPEC,
    &socket::SPEC,
    &socket_server::SPEC,
    &stdin::SPEC,
    &subprocess::SPEC,
    &websocket::SPEC,
];

//! Components on files, sockets and HTTP. They know the engine only as the context they are built in.

mod codec;
mod content_type;
mod http_client;
pub mod input;
mod listener;
mod metadata_filter;
mod multipart;
pub mod output;
pub mod processor;
mod tls;

use weir_core::registry::Table;

/// The components of this crate.
pub static TABLE: Table =
    Table { inputs: input::SPECS, processors: processor::SPECS, outputs: output::SPECS, ..Table::EMPTY };

//! Components on files, sockets and HTTP. They know the engine only as the context they are built in.

mod avro;
mod buffer;
pub mod cache;
mod codec;
mod codec_scanner;
mod content_type;
mod framing;
mod http_client;
pub mod input;
mod listener;
mod metadata_filter;
mod metrics;
mod multipart;
pub mod net;
pub mod output;
pub mod processor;
mod removals;
pub mod reread;
mod subprocess;
pub mod tls;
mod tracer;
mod websocket;

use weir_core::registry::Table;

/// The components of this crate.
pub static TABLE: Table = Table {
    buffers: buffer::SPECS,
    caches: cache::SPECS,
    inputs: input::SPECS,
    metrics: metrics::SPECS,
    processors: processor::SPECS,
    outputs: output::SPECS,
    tracers: tracer::SPECS,
    ..Table::EMPTY
};

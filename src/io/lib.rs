//! Components on files, sockets and HTTP. They know the engine only as the context they are built in.

mod codec;
mod content_type;
pub mod input;
mod listener;
mod multipart;
pub mod output;

use weir_core::registry::Table;

/// The components of this crate.
pub static TABLE: Table = Table { inputs: input::SPECS, outputs: output::SPECS, ..Table::EMPTY };

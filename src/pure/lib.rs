//! Components that need no I/O. [`TABLE`] is all that the rest of the program sees of them.

mod buffer;
mod cache;
mod compat;
mod dynamic;
mod extent;
mod input;
pub(crate) use weir_core::log;
mod metrics;
mod output;
mod processor;
mod rate_limit;
mod scanner;
pub(crate) use weir_core::scratch;
#[cfg(test)]
mod testing;
mod tracer;

use weir_core::registry::Table;

/// How much one message or one archive may hold: what a few bytes inflate to must not fill the memory.
const MAX_HELD: usize = 1 << 30;

/// The components of this crate.
pub static TABLE: Table = Table {
    buffers: buffer::SPECS,
    caches: cache::SPECS,
    inputs: input::SPECS,
    metrics: metrics::SPECS,
    outputs: output::SPECS,
    processors: processor::SPECS,
    rate_limits: rate_limit::SPECS,
    scanners: scanner::SPECS,
    tracers: tracer::SPECS,
};

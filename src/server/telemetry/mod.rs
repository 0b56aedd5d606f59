//! What the server tells of itself: log lines, metrics and spans.

pub(crate) mod export;
mod file;
pub(crate) mod form;
mod limit;
pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod renames;
pub(crate) mod spans;
pub(crate) mod start;

//! What the server tells of itself: log lines and metrics.

pub(crate) mod log;
pub(crate) mod metrics;
pub(crate) mod start;

//! Rate limits.

mod local;

use weir_core::registry::RateLimitSpec;

/// Every rate limit of this crate, by name.
pub(crate) static SPECS: &[&RateLimitSpec] = &[&local::SPEC];

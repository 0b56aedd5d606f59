//! Caches.

mod lru;
mod memory;
mod multilevel;
mod noop;
mod recency;
mod ttlru;

use weir_core::registry::CacheSpec;

/// Every cache of this crate, by name.
pub(crate) static SPECS: &[&CacheSpec] =
    &[&lru::SPEC, &memory::SPEC, &multilevel::SPEC, &noop::SPEC, &ttlru::SPEC];

//! Caches.

mod lru;
mod memory;

use weir_core::registry::CacheSpec;

/// Every cache of this crate, by name.
pub(crate) static SPECS: &[&CacheSpec] = &[&lru::SPEC, &memory::SPEC];

//! Caches. One file a component; this table is the only other place that names it.

mod file;

use weir_core::registry::CacheSpec;

/// Every cache of this crate, sorted by name.
pub static SPECS: &[&CacheSpec] = &[&file::SPEC];

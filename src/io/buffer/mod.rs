//! Buffers. One file or folder a component; this table is the only other place that names it.

mod sqlite;

use weir_core::registry::BufferSpec;

/// Every buffer of this crate, sorted by name.
pub(crate) static SPECS: &[&BufferSpec] = &[&sqlite::SPEC];

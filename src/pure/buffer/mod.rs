//! Buffers.

mod memory;
mod none;
mod system_window;

use weir_core::registry::BufferSpec;

/// Every buffer of this crate, by name.
pub(crate) static SPECS: &[&BufferSpec] = &[&memory::SPEC, &none::SPEC, &system_window::SPEC];

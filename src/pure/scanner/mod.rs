//! Scanners: how a stream of bytes is cut into messages.

mod csv;
mod lines;
mod to_the_end;

use weir_core::registry::ScannerSpec;

/// Every scanner of this folder, sorted by name.
pub(crate) static SPECS: &[&ScannerSpec] = &[&csv::SPEC, &lines::SPEC, &to_the_end::SPEC];

//! Inputs. One file a component; this table is the only other place that names it.

mod file;

use weir_core::registry::InputSpec;

/// Every input of this crate, sorted by name.
pub static SPECS: &[&InputSpec] = &[&file::SPEC];

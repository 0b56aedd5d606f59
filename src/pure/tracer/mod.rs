//! Where spans go. What is built is the prepared config: the server does the rest.

mod none;

use weir_core::registry::TelemetrySpec;

/// Every place for spans of this crate, by name.
pub(crate) static SPECS: &[&TelemetrySpec] = &[&none::SPEC];

//! Where spans are sent. What is built is the prepared config: the server does the rest.

mod open_telemetry_collector;

use weir_core::registry::TelemetrySpec;

/// Every place for spans of this crate, by name.
pub(crate) static SPECS: &[&TelemetrySpec] = &[&open_telemetry_collector::SPEC];

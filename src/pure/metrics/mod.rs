//! Where metrics go. What is built is the prepared config: the server does the rest.

mod json_api;
mod logger;
mod none;
mod prometheus;

use weir_core::registry::TelemetrySpec;

/// Every place for metrics of this crate, by name.
pub(crate) static SPECS: &[&TelemetrySpec] =
    &[&json_api::SPEC, &logger::SPEC, &none::SPEC, &prometheus::SPEC];

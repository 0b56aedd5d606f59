//! Where metrics are sent. What is built is the prepared config: the server does the rest.

mod influxdb;
mod statsd;

use weir_core::registry::TelemetrySpec;

/// Every place for metrics of this crate, by name.
pub(crate) static SPECS: &[&TelemetrySpec] = &[&influxdb::SPEC, &statsd::SPEC];

//! `statsd`: metrics as datagrams of its protocol.

use weir_core::{
    field::Field,
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "statsd",
    summary: "Sends metrics to a StatsD server over UDP.",
    description: "What was counted since the last time is sent each `flush_period`. A timer's samples are sent in \
                  milliseconds, rounded up by at most a quarter, those that are alike together.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("address", "Host and port of the server."),
        Field::duration("flush_period", "The time from one sending to the next.").default("100ms"),
        Field::string("tag_format", "How labels are written; `none` leaves them out.")
            .default("none")
            .options(&["none", "datadog", "influxdb"]),
        Field::string("tags", "Labels of every metric.").map().default("{}").advanced(),
    ]),
    examples: &[Example { title: "With labels", config: "address: localhost:8125\ntag_format: datadog" }],
    build: |node, _| Ok(node.clone()),
};

//! `logger`: metrics as log lines.

use weir_core::{
    field::Field,
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "logger",
    summary: "Writes metrics to the log when the process stops, and now and then if asked.",
    description: "Each counter and each timer is one line of level INFO: `Counter metric` with its name, value and labels, \
                  `Timing metric` with percentiles in nanoseconds.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::duration("push_interval", "The time from one writing to the next; absent: only at the end.")
            .optional(),
        Field::bool("flush_metrics", "Whether each writing counts anew from 0.").default("false"),
    ]),
    examples: &[Example { title: "Once a minute", config: "push_interval: 1m" }],
    build: |node, _| Ok(node.clone()),
};

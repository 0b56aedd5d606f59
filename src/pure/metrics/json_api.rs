//! `json_api`: metrics as one JSON object.

use weir_core::{
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "json_api",
    summary: "Serves metrics as one JSON object.",
    description: "They are at `/stats` and `/metrics`. Counters are whole numbers; timers give percentiles in nanoseconds.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Metrics as JSON", config: "{}" }],
    build: |node, _| Ok(node.clone()),
};

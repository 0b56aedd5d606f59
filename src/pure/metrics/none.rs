//! `none`: metrics go nowhere.

use weir_core::{
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "none",
    summary: "Serves no metrics.",
    description: "",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "No metrics", config: "{}" }],
    build: |node, _| Ok(node.clone()),
};

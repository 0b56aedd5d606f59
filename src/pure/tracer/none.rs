//! `none`: spans go nowhere.

use weir_core::{
    registry::TelemetrySpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: TelemetrySpec = TelemetrySpec {
    name: "none",
    summary: "Records no spans.",
    description: "",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "No tracing", config: "{}" }],
    build: |node, _| Ok(node.clone()),
};

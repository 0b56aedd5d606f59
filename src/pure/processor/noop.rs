//! `noop`: nothing.

use weir_core::{
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "noop",
    summary: "Passes messages on as they are.",
    description: "For places where a processor must stand, such as the case of a `switch` that changes nothing.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Nothing", config: "{}" }],
    build: |_, _| Ok(Box::new(Noop)),
};

struct Noop;

impl Processor for Noop {
    fn immediate(&self) -> bool {
        true
    }
}

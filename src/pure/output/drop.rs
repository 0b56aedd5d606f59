//! `drop`: delivers to nowhere.

use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    error::Error,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "drop",
    summary: "Counts every message as delivered and forgets it.",
    description: "",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Nothing is kept", config: "{}" }],
    build: |_, _| Ok(OutputComponent::Writer { writer: Box::new(Drop), max_in_flight: 1 }),
};

struct Drop;

#[async_trait]
impl Writer for Drop {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, _: &[Message]) -> Result<(), WriteError> {
        Ok(())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    fn takes_failed(&self) -> bool {
        true
    }
}

//! `sync_response`: gives the batch back to the input that asked.

use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    error::Error,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
    sync_response::Responses,
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "sync_response",
    summary: "Gives messages back to the input they came from, which answers with them if it can.",
    description: "An `http_server` input answers its request with what comes back. Behind any other input the batch \
                  is refused.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Answer requests", config: "{}" }],
    build: |_, _| Ok(OutputComponent::Writer { writer: Box::new(SyncResponse), max_in_flight: 1 }),
};

struct SyncResponse;

#[async_trait]
impl Writer for SyncResponse {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        if Responses::add(batch) {
            return Ok(());
        }
        Err(Error::failed("result store not found within batch context").into())
    }

    fn takes_failed(&self) -> bool {
        true
    }
}

//! `sync_response`: answers the request that a batch came with.

use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
    sync_response::Responses,
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "sync_response",
    summary: "Answers the request that a batch came with by the batch as it is now.",
    description: "The answer is sent once the batch is delivered. Inputs that cannot answer ignore it.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Answer", config: "{}" }],
    build: |_, _| Ok(Box::new(SyncResponse)),
};

struct SyncResponse;

#[async_trait]
impl Processor for SyncResponse {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        // Without a request there is nobody to answer, which is fine.
        Responses::add(&batch);
        Ok(one(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_use_adds_an_answer() {
        let mut batch = vec![Message::new("a"), Message::new("b")];
        let answers = Responses::attach(&mut batch);
        for _ in 0..2 {
            batch = SyncResponse.process(batch).await.unwrap().pop().unwrap();
        }
        assert_eq!(answers.take().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
        assert_eq!(SyncResponse.process(vec![Message::new("alone")]).await.unwrap().len(), 1);
    }
}

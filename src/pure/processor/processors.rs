//! `processors`: several processors as one.

use async_trait::async_trait;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "processors",
    summary: "Runs processors one after the other, as if they were one.",
    description: "Each sees whole batches. For places that take a single processor, such as a resource.",
    status: Status::Stable,
    body: Body::List(Field::processor("", "The processors, in order.").default("[]")),
    examples: &[Example { title: "Two steps", config: "[ { mapping: 'root.a = this.b' }, { noop: {} } ]" }],
    build: |node, context| {
        let children = context.processors("processors", node.as_list().unwrap_or_default())?;
        Ok(Box::new(Processors(children)))
    },
};

struct Processors(Arc<dyn Processor>);

#[async_trait]
impl Processor for Processors {
    fn immediate(&self) -> bool {
        self.0.immediate()
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        self.0.rewrite(batch, out);
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        self.0.process(batch).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

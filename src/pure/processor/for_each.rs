//! `for_each`: runs processors on each message alone.

use async_trait::async_trait;
use std::{slice, sync::Arc};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "for_each",
    summary: "Runs processors on each message of a batch as a batch of its own.",
    description: "What comes out is put together to one batch again.",
    status: Status::Stable,
    body: Body::List(Field::processor("", "The processors, in order.").default("[]")),
    examples: &[Example {
        title: "Each message an array",
        config: "[ { archive: { format: json_array } } ]",
    }],
    build: |node, context| {
        let children = context.processors("for_each", node.as_list().unwrap_or_default())?;
        Ok(Box::new(ForEach(children)))
    },
};

struct ForEach(Arc<dyn Processor>);

#[async_trait]
impl Processor for ForEach {
    fn immediate(&self) -> bool {
        self.0.immediate()
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            self.0.rewrite(slice::from_mut(message), out);
        }
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut out = Vec::with_capacity(batch.len());
        for message in batch {
            out.extend(self.0.process(vec![message]).await?.into_iter().flatten());
        }
        Ok(one(out))
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn each_message_is_a_batch_of_its_own() {
        let config =
            "for_each: [ { mapping: 'root = if content() == \"b\" { deleted() } else { batch_size() }' } ]";
        assert_eq!(shown(&run(config, &["a", "b", "c"]).await), [["1", "1"]]);
    }
}

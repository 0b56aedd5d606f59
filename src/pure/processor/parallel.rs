//! `parallel`: runs processors on all messages of a batch at once.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "parallel",
    summary: "Runs processors on each message of a batch as a batch of its own, all of them at once.",
    description: "What comes out is put together to one batch in the old order. It helps where the processors wait for \
                  something; work on the processor cores is spread by `pipeline.threads`.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("cap", "How many messages are worked on at once; 0: all of a batch.").default("0"),
        Field::processors("processors", "The processors, in order."),
    ]),
    examples: &[Example {
        title: "Ten at once",
        config: "cap: 10\nprocessors: [ { sleep: { duration: 1s } } ]",
    }],
    build: |node, context| {
        let Config { cap, processors } = node.read()?;
        let children = context.processors("parallel.processors", &processors.unwrap_or_default())?;
        Ok(Box::new(Parallel { cap: usize::try_from(cap).unwrap_or(0), children }))
    },
};

#[derive(Deserialize)]
struct Config {
    cap: i64,
    processors: Option<Vec<Node>>,
}

struct Parallel {
    cap: usize,
    children: Arc<dyn Processor>,
}

#[async_trait]
impl Processor for Parallel {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let at_once = if self.cap == 0 { batch.len() } else { self.cap };
        let work: Vec<_> = batch.into_iter().map(|message| self.children.process(vec![message])).collect();
        let made: Vec<Batches> = stream::iter(work).buffered(at_once.max(1)).try_collect().await?;
        Ok(one(made.into_iter().flatten().flatten().collect()))
    }

    async fn close(&self) {
        self.children.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn waits_are_shared_and_the_order_is_kept() {
        for (cap, took) in [(0, 3), (1, 6)] {
            let config = format!(
                "parallel: {{ cap: {cap}, processors: [ {{ sleep: {{ duration: '${{! this }}s' }} }}, {{ mapping: 'root = [this, batch_size()]' }} ] }}"
            );
            let began = Instant::now();
            assert_eq!(shown(&run(&config, &["3", "1", "2"]).await), [["[3,1]", "[1,1]", "[2,1]"]]);
            assert_eq!(began.elapsed(), Duration::from_secs(took));
        }
    }
}

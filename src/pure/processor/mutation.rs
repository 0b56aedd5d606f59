//! `mutation`: changes each message in place.

use super::mapping::{fail, is_immediate, run};
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use std::{mem, sync::Arc};
use weir_bloblang::{Message, Mutated};
use weir_core::{
    error::Error,
    expression::Mapping,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "mutation",
    summary: "Changes each message in place by a Bloblang mapping.",
    description: "`root` begins as the message itself, so that only what is assigned changes. The mapping sees what it \
                  has changed so far, earlier messages of the batch included. When it fails, what it changed before \
                  stays, and the message is flagged as failed.",
    status: Status::Stable,
    body: Body::Single(Field::mapping("", "The mapping.")),
    examples: &[Example {
        title: "Two fields",
        config: "|\n  root.seen = true\n  root.secret = deleted()\n",
    }],
    build: |node, context| {
        let inner = Inner { program: node.read()?, log: Log::new(context) };
        Ok(Box::new(Mutation(Arc::new(inner))))
    },
};

struct Mutation(Arc<Inner>);

struct Inner {
    program: Mapping,
    log: Log,
}

impl Inner {
    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        // Allocates nothing unless something is dropped.
        let mut dropped = Vec::new();
        with_scratch(|scratch| {
            for index in 0..batch.len() {
                match self.program.mutate(batch, index, scratch) {
                    Ok(Mutated::Kept) => {}
                    Ok(Mutated::Dropped) => dropped.push(index),
                    Err(error) => {
                        if let Some(message) = batch.get_mut(index) {
                            fail(&self.log, message, &error);
                        }
                    }
                }
            }
        });
        if dropped.is_empty() {
            return out.extend(batch.iter_mut().map(mem::take));
        }
        let mut dropped = dropped.into_iter().peekable();
        let kept = batch.iter_mut().enumerate().filter(|(index, _)| dropped.next_if_eq(index).is_none());
        out.extend(kept.map(|(_, message)| mem::take(message)));
    }
}

#[async_trait]
impl Processor for Mutation {
    fn immediate(&self) -> bool {
        is_immediate(&self.0.program)
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        self.0.rewrite(batch, out);
    }

    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let inner = Arc::clone(&self.0);
        let work = move || {
            let mut out = Vec::with_capacity(batch.len());
            inner.rewrite(&mut batch, &mut out);
            out
        };
        Ok(one(run(&self.0.program, work).await?))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn earlier_messages_are_seen_changed() {
        let config = "mutation: 'root = content() + content().from(0)'";
        assert_eq!(shown(&run(config, &["a", "b"]).await), [["aa", "baa"]]);
    }

    #[tokio::test]
    async fn dropped_and_failed_messages() {
        let config = "mutation: |\n  root.seen = true\n  root = if this.n == 2 { deleted() } else if this.n == 3 { throw(\"no\") }";
        let out = run(config, &["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"]).await;
        assert_eq!(shown(&out), [["{\"n\":1,\"seen\":true}", "{\"n\":3,\"seen\":true}"]]);
        assert_eq!(out[0][1].error().unwrap().text, "failed assignment (line 2): no");
    }
}

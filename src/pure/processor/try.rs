//! `try`: runs processors on each message until one of them fails it.

use async_trait::async_trait;
use std::{mem, slice, sync::Arc};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "try",
    summary: "Runs processors on each message and skips the rest of them once it has failed.",
    description: "A message that had failed before skips all of them. Each message is a batch of its own within; \
                  what comes out is put together to one batch again.",
    status: Status::Stable,
    body: Body::List(Field::processor("", "The processors, in order.").default("[]")),
    examples: &[Example {
        title: "Two steps that depend on each other",
        config: "[ { mapping: 'root.n = this.text.number()' }, { mapping: 'root.twice = this.n * 2' } ]",
    }],
    build: |node, context| Ok(Box::new(Try::new(super::children(context, "try", node)?))),
};

struct Try {
    children: Vec<Arc<dyn Processor>>,
    immediate: bool,
}

impl Try {
    fn new(children: Vec<Arc<dyn Processor>>) -> Self {
        let immediate = children.iter().all(|child| child.immediate());
        Self { children, immediate }
    }
}

/// Only the first message of what one became is looked at, as in the reference.
pub(super) fn is_failed(batch: &[Message]) -> bool {
    batch.first().is_some_and(|message| message.error().is_some())
}

/// Puts each message through the children one by one; what failed skips the rest.
pub(super) async fn until_failed(
    children: &[Arc<dyn Processor>],
    batch: Vec<Message>,
) -> Result<Vec<Vec<Message>>, Error> {
    let mut batches: Vec<Vec<Message>> = batch.into_iter().map(|message| vec![message]).collect();
    for child in children {
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            if is_failed(&batch) {
                next.push(batch);
            } else {
                next.extend(child.process(batch).await?);
            }
        }
        batches = next;
    }
    Ok(batches)
}

#[async_trait]
impl Processor for Try {
    fn immediate(&self) -> bool {
        self.immediate
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        if let [child] = self.children.as_slice() {
            for message in batch {
                if message.error().is_some() {
                    out.push(mem::take(message));
                } else {
                    child.rewrite(slice::from_mut(message), out);
                }
            }
            return;
        }
        let (mut current, mut next) = (Vec::new(), Vec::new());
        for message in batch {
            current.push(mem::take(message));
            for child in &self.children {
                if current.is_empty() || is_failed(&current) {
                    break;
                }
                child.rewrite(&mut current, &mut next);
                current.clear();
                mem::swap(&mut current, &mut next);
            }
            out.append(&mut current);
        }
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let batches = until_failed(&self.children, batch).await?;
        Ok(one(batches.into_iter().flatten().collect()))
    }

    async fn close(&self) {
        for child in &self.children {
            child.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn the_rest_is_skipped_once_a_message_failed() {
        let steps = "{ mapping: 'root = if content() == \"b\" { throw(\"no\") } else { content() + \"1\" }' }, \
                     { mapping: 'root = content() + \"2\"' }";
        for config in
            [format!("try: [ {steps} ]"), format!("try: [ {steps}, {{ sleep: {{ duration: 0s }} }} ]")]
        {
            let out = run(&config, &["a", "b", "c"]).await;
            assert_eq!(shown(&out), [["a12", "b", "c12"]], "{config}");
            assert_eq!(out[0][1].error().unwrap().path, "pipeline.processors.0.try.0");
        }
    }
}

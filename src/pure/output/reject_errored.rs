//! `reject_errored`: refuses messages that failed and passes on the others.

use super::kept::part;
use async_trait::async_trait;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    ack::{Failure, Fork},
    error::Error,
    field::Field,
    frame::{Frame, UNTAGGED},
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "reject_errored",
    summary: "Refuses messages that a processor failed on and passes the others to an output.",
    description: "What becomes of a refused message is up to its input, or to a `fallback` around this output.",
    status: Status::Stable,
    body: Body::Single(Field::output("", "The output for messages without an error.")),
    examples: &[Example { title: "Only good ones", config: "drop: {}" }],
    build: |node, context| {
        let output = context.output("reject_errored", node)?;
        Ok(OutputComponent::Node(Arc::new(RejectErrored { output })))
    },
};

struct RejectErrored {
    output: Arc<dyn Output>,
}

/// Refuses the failed messages and gives back what may go on, in frames.
fn refuse(frame: Frame) -> Vec<Frame> {
    let (messages, marks, origin) = frame.into_parts();
    let mut frames: Vec<Frame> = Vec::new();
    let mut messages = messages.into_iter();
    let mut start = 0;
    for mark in marks {
        let batch = messages.by_ref().take((mark.end - start) as usize);
        start = mark.end;
        let (bad, good): (Vec<Message>, Vec<Message>) = batch.partition(|message| message.error().is_some());
        let Some(reason) = bad.first().and_then(|first| first.error()) else {
            match frames.last_mut().filter(|last| Arc::ptr_eq(last.origin(), &origin)) {
                Some(last) => last.push(good, mark.slot),
                None => frames.push(Frame::single(good, mark.slot, Arc::clone(&origin))),
            }
            continue;
        };
        let error = Error::Failed(format!("rejecting due to failed processing: {}", reason.text));
        let tags: Vec<u32> = bad.iter().map(|message| message.tag).collect();
        let failure = Failure { error, failed: (!tags.contains(&UNTAGGED)).then_some(tags) };
        if good.is_empty() {
            origin.settle(mark.slot, Err(failure));
            continue;
        }
        let fork = Fork::new(Arc::clone(&origin), mark.slot);
        fork.fail(failure);
        frames.push(part(&fork, good));
    }
    frames
}

#[async_trait]
impl Output for RejectErrored {
    async fn connect(&self) {
        self.output.connect().await;
    }

    async fn send(&self, frame: Frame) {
        if frame.messages().iter().all(|message| message.error().is_none()) {
            return self.output.send(frame).await;
        }
        for frame in refuse(frame) {
            self.output.send(frame).await;
        }
    }

    async fn flush(&self) {
        self.output.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.output.sync().await
    }

    async fn close(&self) {
        self.output.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Book, frame};
    use weir_core::component::Component;

    #[test]
    fn failed_messages_are_refused_one_by_one() {
        let book = Arc::new(Book::default());
        let mut frame = frame(&book, &[&["a"], &["b", "c"], &["d"], &["e"]]);
        for at in [2, 3] {
            Component::default().fail(&mut frame.messages_mut()[at], "broken");
        }
        let rest = refuse(frame);
        let sizes: Vec<usize> = rest.iter().map(|frame| frame.messages().len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
        rest.into_iter().for_each(Frame::deliver);
        let broken = "rejecting due to failed processing: broken";
        assert_eq!(book.sorted(), ["0 ok", &*format!("1 {broken} [1]"), &*format!("2 {broken} [0]"), "3 ok"]);
    }
}

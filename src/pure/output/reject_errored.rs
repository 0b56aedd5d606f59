//! `reject_errored`: refuses messages that failed and passes on the others.

use async_trait::async_trait;
use std::sync::Arc;
use weir_core::{
    error::Error,
    field::Field,
    frame::Frame,
    output::{Output, OutputComponent},
    refuse::failed_messages,
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
    failed_messages(frame, "rejecting due to failed processing", |_| {})
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

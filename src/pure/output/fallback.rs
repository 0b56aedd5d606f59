//! `fallback`: the next output gets what one fails on.

use super::{
    kept::{Kept, UnderWay, numbers},
    resend::Resend,
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Value;
use weir_core::{
    ack::{Failure, Origin},
    build_error::BuildError,
    error::Error,
    field::Field,
    frame::Frame,
    node::Node,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "fallback",
    summary: "Writes to the first of its outputs, and what that fails on to the next.",
    description: "A message that an output failed on comes to the next one as it was before, with the reason in its \
                  metadata `fallback_error`. Of a batch only the messages that failed go on, where the output said \
                  which. What the last output fails on fails.",
    status: Status::Stable,
    body: Body::List(Field::output("", "The outputs, the preferred one first.").default("[]")),
    examples: &[Example { title: "Drop what cannot go anywhere", config: "- reject: no\n- drop: {}" }],
    build: |node, context| {
        let nodes: Vec<Node> = node.read()?;
        if nodes.is_empty() {
            return Err(BuildError::new("attempting to create broker output type with no outputs"));
        }
        let mut outputs = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            outputs.push(context.output(&format!("fallback.{index}"), node)?);
        }
        Ok(OutputComponent::Node(Arc::new(Fallback::new(outputs, &context.environment().hard_stop))))
    },
};

struct Fallback {
    outputs: Arc<[Arc<Resend>]>,
    hard_stop: CancellationToken,
    under_way: Arc<UnderWay>,
}

impl Fallback {
    fn new(outputs: Vec<Arc<dyn Output>>, hard_stop: &CancellationToken) -> Self {
        let outputs = outputs.into_iter().map(|output| Resend::new(output, hard_stop.clone())).collect();
        Self { outputs, hard_stop: hard_stop.clone(), under_way: Arc::default() }
    }
}

/// The origin of what the output number `at` has.
struct Attempt {
    outputs: Arc<[Arc<Resend>]>,
    kept: Arc<Kept>,
    at: usize,
    /// The messages that were sent, if not all of the batch.
    sent: Option<Vec<u32>>,
}

impl Origin for Attempt {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let Err(failure) = outcome else { return self.kept.delivered(slot) };
        let failed = self.kept.failed(slot, self.sent.as_deref(), &failure);
        let at = self.at + 1;
        let Some(next) = self.outputs.get(at).filter(|next| next.is_open()) else {
            return self.kept.fail(slot, failure.error, failed);
        };
        let explained = |(number, error): &(u32, Error)| {
            let mut message = self.kept.copy(*number)?;
            message.metadata_mut().set("fallback_error", Value::from(error.to_string()));
            Some(message)
        };
        let messages = failed.iter().filter_map(explained).collect();
        let kept = Arc::clone(&self.kept);
        let attempt = Self { outputs: Arc::clone(&self.outputs), kept, at, sent: Some(numbers(&failed)) };
        next.push(Duration::ZERO, Frame::single(messages, slot, Arc::new(attempt)));
    }
}

#[async_trait]
impl Output for Fallback {
    async fn connect(&self) {
        join_all(self.outputs.iter().map(|resend| resend.output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        let Some(first) = self.outputs.first() else { return };
        if self.outputs.len() == 1 {
            return first.output.send(frame).await;
        }
        let kept = Arc::new(Kept::new(frame, &self.under_way));
        let attempt =
            Attempt { outputs: Arc::clone(&self.outputs), kept: Arc::clone(&kept), at: 0, sent: None };
        let frame = kept.frame(Arc::new(attempt));
        drop(kept);
        first.send(frame).await;
    }

    async fn flush(&self) {
        for resend in &*self.outputs {
            resend.flush().await;
        }
    }

    async fn sync(&self) -> Result<(), Error> {
        for resend in &*self.outputs {
            resend.output.sync().await?;
        }
        Ok(())
    }

    async fn close(&self) {
        self.flush().await;
        tokio::select! {
            () = self.hard_stop.cancelled() => {}
            () = self.under_way.none() => {}
        }
        for resend in &*self.outputs {
            resend.output.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Book, Child, frame};

    #[tokio::test]
    async fn only_what_failed_goes_on_with_the_reason() {
        let (book, first, last): (Arc<Book>, _, _) =
            (Arc::default(), Child::new(&["b", "d"]), Child::new(&["d"]));
        let outputs = vec![Arc::clone(&first) as Arc<dyn Output>, Arc::clone(&last) as Arc<dyn Output>];
        let output = Fallback::new(outputs, &CancellationToken::new());
        output.send(frame(&book, &[&["a", "b"], &["c"], &["c", "d"]])).await;
        output.close().await;
        assert_eq!(last.received(), ["b", "d"]);
        let reason = last.messages()[0].metadata().get("fallback_error").map(Value::to_json);
        assert_eq!(reason.as_deref(), Some("\"refused b\""));
        let reason = last.messages()[1].metadata().get("fallback_error").map(Value::to_json);
        assert_eq!(reason.as_deref(), Some("\"refused d\""));
        assert_eq!(book.sorted(), ["0 ok", "1 ok", "2 refused d [1]"]);
    }
}

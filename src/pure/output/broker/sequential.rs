//! One output after the other.

use super::super::{
    kept::{Kept, UnderWay, all, numbers},
    resend::{Resend, wait},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use weir_core::{
    ack::{Failure, Origin},
    error::Error,
    frame::Frame,
    output::Output,
};

/// Sends every batch to the first output, and to the next each time one has delivered it.
pub(super) struct Sequential {
    chain: Arc<Chain>,
    hard_stop: CancellationToken,
    under_way: Arc<UnderWay>,
}

struct Chain {
    outputs: Vec<Arc<Resend>>,
    fail_fast: bool,
}

impl Sequential {
    pub(super) fn new(outputs: Vec<Arc<dyn Output>>, fail_fast: bool, hard_stop: &CancellationToken) -> Self {
        let outputs = outputs.into_iter().map(|output| Resend::new(output, hard_stop.clone())).collect();
        let chain = Arc::new(Chain { outputs, fail_fast });
        Self { chain, hard_stop: hard_stop.clone(), under_way: Arc::default() }
    }
}

/// The origin of what the output number `at` has.
struct Step {
    chain: Arc<Chain>,
    kept: Arc<Kept>,
    at: usize,
    /// The messages that were sent, if not all of the batch.
    sent: Option<Vec<u32>>,
    attempt: u32,
}

impl Step {
    fn next(&self, at: usize, sent: Vec<u32>, attempt: u32) -> Self {
        Self { chain: Arc::clone(&self.chain), kept: Arc::clone(&self.kept), at, sent: Some(sent), attempt }
    }
}

impl Origin for Step {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let (error, sent, next, delay) = match outcome {
            Ok(()) if self.at + 1 == self.chain.outputs.len() => return self.kept.delivered(slot),
            Ok(()) => {
                let sent = self.kept.batch(slot);
                (Error::Closed, all(&sent, &Error::Closed), self.next(self.at + 1, sent, 0), Duration::ZERO)
            }
            Err(failure) => {
                let failed = self.kept.failed(slot, self.sent.as_deref(), &failure);
                if self.chain.fail_fast {
                    return self.kept.fail(slot, failure.error, failed);
                }
                let next = self.next(self.at, numbers(&failed), self.attempt.saturating_add(1));
                (failure.error, failed, next, wait(self.attempt))
            }
        };
        match self.chain.outputs.get(next.at).filter(|resend| resend.is_open()) {
            Some(resend) => {
                resend.push(delay, Frame::single(self.kept.copies(&numbers(&sent)), slot, Arc::new(next)));
            }
            None => self.kept.fail(slot, error, sent),
        }
    }
}

#[async_trait]
impl Output for Sequential {
    async fn connect(&self) {
        join_all(self.chain.outputs.iter().map(|resend| resend.output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        let Some(first) = self.chain.outputs.first() else { return };
        let kept = Arc::new(Kept::new(frame, &self.under_way));
        let step =
            Step { chain: Arc::clone(&self.chain), kept: Arc::clone(&kept), at: 0, sent: None, attempt: 0 };
        let frame = kept.frame(Arc::new(step));
        drop(kept);
        first.send(frame).await;
    }

    async fn flush(&self) {
        for resend in &self.chain.outputs {
            resend.flush().await;
        }
    }

    async fn sync(&self) -> Result<(), Error> {
        for resend in &self.chain.outputs {
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
        for resend in &self.chain.outputs {
            resend.output.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Book, Child, frame};

    fn sequential(children: &[&Arc<Child>], fail_fast: bool) -> Sequential {
        let outputs = children.iter().map(|child| Arc::clone(*child) as Arc<dyn Output>).collect();
        Sequential::new(outputs, fail_fast, &CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn an_output_gets_a_batch_when_those_before_have_it() {
        let (book, flaky, last): (Arc<Book>, _, _) = (Arc::default(), Child::new(&["a"]), Child::new(&[]));
        let output = sequential(&[&flaky, &last], false);
        output.send(frame(&book, &[&["a", "b"], &["c"]])).await;
        output.close().await;
        assert_eq!(flaky.received(), ["a b", "c", "a"]);
        assert_eq!(last.received(), ["c", "a b"]);
        assert_eq!(book.sorted(), ["0 ok", "1 ok"]);
    }

    #[tokio::test]
    async fn failing_fast_leaves_the_rest_without_the_batch() {
        let (book, bad, last): (Arc<Book>, _, _) = (Arc::default(), Child::new(&["b"]), Child::new(&[]));
        let output = sequential(&[&bad, &last], true);
        output.send(frame(&book, &[&["a", "b"], &["c"]])).await;
        output.close().await;
        assert_eq!(last.received(), ["c"]);
        assert_eq!(book.sorted(), ["0 refused b [1]", "1 ok"]);
    }
}

//! All outputs at once.

use super::super::{
    kept::{Kept, UnderWay, numbers},
    resend::{Resend, wait},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio_util::sync::CancellationToken;
use weir_core::{
    ack::{Failed, Failure, Origin},
    error::Error,
    frame::Frame,
    output::Output,
};

/// Sends every batch to every output. Unless it is to fail fast, an output that fails gets what failed again
/// until it is delivered; with one output it is a retry.
pub(in super::super) struct FanOut {
    outputs: Vec<Arc<Resend>>,
    fail_fast: bool,
    hard_stop: CancellationToken,
    under_way: Arc<UnderWay>,
}

impl FanOut {
    pub(in super::super) fn new(
        outputs: Vec<Arc<dyn Output>>,
        fail_fast: bool,
        hard_stop: &CancellationToken,
    ) -> Self {
        let outputs = outputs.into_iter().map(|output| Resend::new(output, hard_stop.clone())).collect();
        Self { outputs, fail_fast, hard_stop: hard_stop.clone(), under_way: Arc::default() }
    }

    /// Another set of outputs, that fail what was sent to them once their own stop is told.
    pub(in super::super) fn with(&self, outputs: Vec<Arc<Resend>>) -> Self {
        let (hard_stop, under_way) = (self.hard_stop.clone(), Arc::clone(&self.under_way));
        Self { outputs, fail_fast: self.fail_fast, hard_stop, under_way }
    }

    pub(in super::super) fn is_empty(&self) -> bool {
        self.outputs.is_empty()
    }
}

/// A frame of which every output has a copy.
struct Spread {
    kept: Kept,
    /// By batch: the outputs that have not delivered it.
    pending: Vec<AtomicU32>,
    failures: Mutex<HashMap<u32, (Error, Failed)>>,
}

impl Spread {
    fn done(&self, slot: u32, failed: Option<(Error, Failed)>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((error, more)) = failed {
            failures.entry(slot).or_insert((error, Vec::new())).1.extend(more);
        }
        let Some(pending) = self.pending.get(slot as usize) else { return };
        if pending.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        let failed = failures.remove(&slot);
        drop(failures);
        match failed {
            None => self.kept.delivered(slot),
            Some((error, mut failed)) => {
                failed.sort_by_key(|(number, _)| *number);
                failed.dedup_by_key(|(number, _)| *number);
                self.kept.fail(slot, error, failed);
            }
        }
    }
}

/// The origin of what one output has.
struct Branch {
    spread: Arc<Spread>,
    /// Where failures are sent again; `None`: they are told.
    resend: Option<Arc<Resend>>,
    /// The messages that were sent, if not all of the batch.
    sent: Option<Vec<u32>>,
    attempt: u32,
}

impl Origin for Branch {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let Err(failure) = outcome else { return self.spread.done(slot, None) };
        let failed = self.spread.kept.failed(slot, self.sent.as_deref(), &failure);
        let Some(resend) = self.resend.as_ref().filter(|resend| resend.is_open()) else {
            return self.spread.done(slot, Some((failure.error, failed)));
        };
        let messages = self.spread.kept.copies(&numbers(&failed));
        let again = Self {
            spread: Arc::clone(&self.spread),
            resend: self.resend.clone(),
            sent: Some(numbers(&failed)),
            attempt: self.attempt.saturating_add(1),
        };
        resend.push(wait(self.attempt), Frame::single(messages, slot, Arc::new(again)));
    }
}

#[async_trait]
impl Output for FanOut {
    async fn connect(&self) {
        join_all(self.outputs.iter().map(|resend| resend.output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        let kept = Kept::new(frame, &self.under_way);
        let outputs = u32::try_from(self.outputs.len()).unwrap_or(u32::MAX);
        let pending = (0..kept.len()).map(|_| AtomicU32::new(outputs)).collect();
        let spread = Arc::new(Spread { kept, pending, failures: Mutex::default() });
        let copies: Vec<Frame> = self
            .outputs
            .iter()
            .map(|resend| {
                let resend = (!self.fail_fast).then(|| Arc::clone(resend));
                let branch = Branch { spread: Arc::clone(&spread), resend, sent: None, attempt: 0 };
                spread.kept.frame(Arc::new(branch))
            })
            .collect();
        drop(spread);
        match (&*self.outputs, copies.len()) {
            ([only], 1) => {
                for copy in copies {
                    only.send(copy).await;
                }
            }
            (outputs, _) => {
                join_all(outputs.iter().zip(copies).map(|(resend, copy)| resend.send(copy))).await;
            }
        }
    }

    async fn flush(&self) {
        join_all(self.outputs.iter().map(|resend| resend.flush())).await;
    }

    async fn sync(&self) -> Result<(), Error> {
        for resend in &self.outputs {
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
        join_all(self.outputs.iter().map(|resend| resend.output.close())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Child, frame};

    fn fan_out(children: &[&Arc<Child>], fail_fast: bool) -> FanOut {
        let outputs = children.iter().map(|child| Arc::clone(*child) as Arc<dyn Output>).collect();
        FanOut::new(outputs, fail_fast, &CancellationToken::new())
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_output_fails_on_is_sent_to_it_alone_again() {
        let (book, good, flaky) = (Arc::default(), Child::new(&[]), Child::new(&["b", "b"]));
        let output = fan_out(&[&good, &flaky], false);
        output.send(frame(&book, &[&["a"], &["b", "c"]])).await;
        assert_eq!(book.sorted(), ["0 ok"]);
        output.close().await;
        assert_eq!(book.sorted(), ["0 ok", "1 ok"]);
        assert_eq!(good.received(), ["a", "b c"]);
        assert_eq!(flaky.received(), ["a", "b c", "b", "b"]);
    }

    #[tokio::test]
    async fn failing_fast_tells_which_messages_failed() {
        let (book, good, bad) = (Arc::default(), Child::new(&[]), Child::new(&["b"]));
        fan_out(&[&good, &bad], true).send(frame(&book, &[&["a"], &["c", "b"]])).await;
        assert_eq!(book.sorted(), ["0 ok", "1 refused b [1]"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hard_stop_ends_sending_again() {
        let (book, bad) = (Arc::default(), Child::new(&["a"; 100]));
        let stop = CancellationToken::new();
        let output = FanOut::new(vec![Arc::clone(&bad) as Arc<dyn Output>], false, &stop);
        output.send(frame(&book, &[&["a"]])).await;
        assert_eq!(book.sorted(), Vec::<String>::new());
        stop.cancel();
        output.close().await;
        output.under_way.none().await;
        assert_eq!(book.sorted(), ["0 type was closed [0]"]);
    }
}

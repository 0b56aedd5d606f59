//! Acknowledgement: where the outcome of a logical batch goes back to.
//!
//! Every logical batch carries a slot of an [`Origin`]. Exactly one outcome is told for a slot each time the
//! batch was handed out; a frame that is dropped tells `Closed` for what it still holds, so a panic or an
//! aborted task loses nothing.

use crate::{
    error::Error,
    frame::{Frame, Mark, UNTAGGED},
};
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
};
use weir_bloblang::Message;

/// Where batches came from and their outcomes return to.
pub trait Origin: Send + Sync {
    /// The batch of `slot` has met its end.
    fn settle(&self, slot: u32, outcome: Result<(), Failure>);

    /// All these batches were delivered.
    fn deliver(&self, marks: &[Mark]) {
        marks.iter().for_each(|mark| self.settle(mark.slot, Ok(())));
    }
}

/// Why a batch was not delivered.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The first or general error.
    pub error: Error,
    /// Tags of the messages that failed, each with its error, when all of them are known; the others were delivered.
    pub failed: Option<Failed>,
}

/// Tags of messages that failed, each with its error.
pub type Failed = Vec<(u32, Error)>;

impl Failure {
    /// The whole batch failed.
    pub fn all(error: Error) -> Self {
        Self { error, failed: None }
    }

    /// These messages failed, all of those tagged as unknown: then it is the whole batch.
    pub fn some(error: Error, failed: Failed) -> Self {
        let known = !failed.is_empty() && failed.iter().all(|(tag, _)| *tag != UNTAGGED);
        Self { error, failed: known.then_some(failed) }
    }

    /// The error of the message of a tag, if that is one that failed.
    pub fn of(&self, tag: u32) -> Option<&Error> {
        match &self.failed {
            None => Some(&self.error),
            Some(failed) => failed.iter().find(|(failed, _)| *failed == tag).map(|(_, error)| error),
        }
    }
}

/// What a [`Writer`](crate::output::Writer) says of a batch that it could not write, or only in part.
#[derive(Debug, Clone)]
pub struct WriteError {
    /// The first or general error.
    pub error: Error,
    /// Index and error of each message that failed; empty: all failed by `error`.
    pub failed: Vec<(usize, Error)>,
}

impl From<Error> for WriteError {
    fn from(error: Error) -> Self {
        Self { error, failed: Vec::new() }
    }
}

impl WriteError {
    /// Only these messages failed. `None` when the list is empty.
    pub fn some(failed: Vec<(usize, Error)>) -> Option<Self> {
        Some(Self { error: failed.first()?.1.clone(), failed })
    }
}

/// One place in an ack that several frames share: when the last of them is gone, their failures, joined, are the
/// outcome.
pub struct Fork {
    origin: Arc<dyn Origin>,
    slot: u32,
    failure: Mutex<Option<Failure>>,
}

impl Fork {
    /// Shares this place. It is settled once this and every branch are dropped.
    pub fn new(origin: Arc<dyn Origin>, slot: u32) -> Arc<Self> {
        Arc::new(Self { origin, slot, failure: Mutex::new(None) })
    }

    /// A logical batch that shares the place: when all of it fails, only its own messages have failed.
    pub fn branch(self: &Arc<Self>, messages: Vec<Message>) -> Frame {
        let tags: Vec<u32> = messages.iter().map(|message| message.tag).collect();
        let tags = (!tags.contains(&UNTAGGED)).then_some(tags);
        let mut frame = Frame::new(Arc::new(Branch { fork: Arc::clone(self), tags }));
        frame.push(messages, 0);
        frame
    }

    /// Adds a failure to the outcome.
    pub fn fail(&self, failure: Failure) {
        let mut joined = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *joined = Some(match joined.take() {
            None => failure,
            Some(Failure { error, failed: Some(mut tags) }) => {
                let failed = failure.failed.map(|more| {
                    tags.extend(more);
                    tags
                });
                Failure { error, failed }
            }
            Some(whole) => whole,
        });
    }
}

/// One of the frames that share a place.
struct Branch {
    fork: Arc<Fork>,
    /// Its messages, if all of them are known.
    tags: Option<Vec<u32>>,
}

impl Origin for Branch {
    fn settle(&self, _: u32, outcome: Result<(), Failure>) {
        if let Err(Failure { error, failed }) = outcome {
            let all = || Some(self.tags.as_ref()?.iter().map(|tag| (*tag, error.clone())).collect());
            let failed = failed.or_else(all);
            self.fork.fail(Failure { error, failed });
        }
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        let failure = mem::take(self.failure.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.origin.settle(self.slot, failure.map_or(Ok(()), Err));
    }
}

/// Owes an outcome to a batch that was taken out of its frame; dropped, it says `Closed`.
pub struct Owed(Option<(Arc<dyn Origin>, u32)>);

impl Owed {
    /// Takes over the outcome of `slot`.
    pub fn new(origin: Arc<dyn Origin>, slot: u32) -> Self {
        Self(Some((origin, slot)))
    }

    /// Settles it.
    pub fn settle(mut self, outcome: Result<(), Failure>) {
        if let Some((origin, slot)) = self.0.take() {
            origin.settle(slot, outcome);
        }
    }

    /// Passes it on with one batch, or with several that share it; none: delivered.
    pub fn pass(mut self, mut batches: crate::processor::Batches) -> Vec<Frame> {
        let Some((origin, slot)) = self.0.take() else { return Vec::new() };
        match batches.len() {
            0 => {
                origin.settle(slot, Ok(()));
                Vec::new()
            }
            1 => batches.pop().map(|batch| Frame::single(batch, slot, origin)).into_iter().collect(),
            _ => {
                let fork = Fork::new(origin, slot);
                batches.into_iter().map(|batch| fork.branch(batch)).collect()
            }
        }
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if let Some((origin, slot)) = self.0.take() {
            origin.settle(slot, Err(Failure::all(Error::Closed)));
        }
    }
}

//! Acknowledgement: where the outcome of a logical batch goes back to.
//!
//! Every logical batch carries a slot of an [`Origin`]. Exactly one outcome is told for a slot each time the
//! batch was handed out; a frame that is dropped tells `Closed` for what it still holds, so a panic or an
//! aborted task loses nothing.

use crate::{
    error::Error,
    frame::{Frame, Mark, UNTAGGED},
    processor::Batches,
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

    /// Joins what is known of a batch and a further failure of it.
    #[must_use]
    pub fn join(known: Option<Self>, more: Self) -> Self {
        match known {
            None => more,
            Some(Self { error, failed: Some(mut tags) }) => {
                let failed = more.failed.map(|more| {
                    tags.extend(more);
                    tags
                });
                Self { error, failed }
            }
            Some(whole) => whole,
        }
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

    /// Logical batches that share the place, in the same way.
    fn share(self: Arc<Self>, mut batches: Batches) -> Shares {
        batches.retain(|batch| !batch.is_empty());
        let (mut tags, mut ends) = (Vec::new(), Vec::with_capacity(batches.len()));
        for batch in &batches {
            tags.extend(batch.iter().map(|message| message.tag));
            ends.push(u32::try_from(tags.len()).unwrap_or(u32::MAX));
        }
        let origin: Arc<dyn Origin> = Arc::new(Shared { fork: self, tags, ends });
        Shares { batches: batches.into_iter(), slot: 0, origin: Some(origin) }
    }

    /// Adds the failure of a batch that has these messages, if they are known: no others have failed.
    fn fail_only(&self, tags: Option<&[u32]>, Failure { error, failed }: Failure) {
        let all = || Some(tags?.iter().map(|tag| (*tag, error.clone())).collect());
        let failed = failed.or_else(all);
        self.fail(Failure { error, failed });
    }

    /// Adds a failure to the outcome.
    pub fn fail(&self, failure: Failure) {
        let mut joined = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        *joined = Some(Failure::join(joined.take(), failure));
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
        if let Err(failure) = outcome {
            self.fork.fail_only(self.tags.as_deref(), failure);
        }
    }
}

impl Drop for Fork {
    fn drop(&mut self) {
        let failure = mem::take(self.failure.get_mut().unwrap_or_else(PoisonError::into_inner));
        self.origin.settle(self.slot, failure.map_or(Ok(()), Err));
    }
}

/// The batches that one became, each with a part of its place.
struct Shared {
    fork: Arc<Fork>,
    /// Tags of all messages, and where those of each batch end.
    tags: Vec<u32>,
    ends: Vec<u32>,
}

impl Shared {
    /// The tags of a batch, if all of them are known.
    fn tags(&self, slot: u32) -> Option<&[u32]> {
        let slot = slot as usize;
        let start =
            slot.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let tags = self.tags.get(start..*self.ends.get(slot)? as usize)?;
        (!tags.contains(&UNTAGGED)).then_some(tags)
    }
}

impl Origin for Shared {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        if let Err(failure) = outcome {
            self.fork.fail_only(self.tags(slot), failure);
        }
    }
}

/// Frames of one batch each that share a place; see [`Owed::pass`]. Those that nobody takes fail.
pub struct Shares {
    batches: smallvec::IntoIter<[Vec<Message>; 1]>,
    slot: u32,
    origin: Option<Arc<dyn Origin>>,
}

impl Default for Shares {
    fn default() -> Self {
        Self { batches: Batches::new().into_iter(), slot: 0, origin: None }
    }
}

impl Iterator for Shares {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let batch = self.batches.next()?;
        let slot = self.slot;
        self.slot = slot.wrapping_add(1);
        Some(Frame::single(batch, slot, Arc::clone(self.origin.as_ref()?)))
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        self.by_ref().for_each(drop);
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
    pub fn pass(mut self, batches: Batches) -> Shares {
        let Some((origin, slot)) = self.0.take() else { return Shares::default() };
        match batches.len() {
            0 => {
                origin.settle(slot, Ok(()));
                Shares::default()
            }
            1 => Shares { batches: batches.into_iter(), slot, origin: Some(origin) },
            _ => Fork::new(origin, slot).share(batches),
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

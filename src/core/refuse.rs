//! Refusing failed messages one by one, so that the rest of their batch goes on.

use crate::{
    ack::{Failure, Fork},
    error::Error,
    frame::{Frame, UNTAGGED},
};
use std::sync::Arc;

/// Refuses the failed messages of a frame and gives back what goes on, in order. `words` stand before the reason;
/// `refused` hears how many there are.
pub fn failed_messages(frame: Frame, words: &str, refused: impl Fn(u64)) -> Vec<Frame> {
    let (messages, marks, origin) = frame.into_parts();
    let mut frames: Vec<Frame> = Vec::new();
    let mut messages = messages.into_iter();
    let mut start = 0;
    for mark in marks {
        let batch = messages.by_ref().take((mark.end - start) as usize);
        start = mark.end;
        let (bad, good): (Vec<_>, Vec<_>) = batch.partition(|message| message.error().is_some());
        let Some(reason) = bad.first().and_then(|first| first.error()) else {
            match frames.last_mut().filter(|last| Arc::ptr_eq(last.origin(), &origin)) {
                Some(last) => last.push(good, mark.slot),
                None => frames.push(Frame::single(good, mark.slot, Arc::clone(&origin))),
            }
            continue;
        };
        refused(bad.len() as u64);
        let error = Error::Failed(format!("{words}: {}", reason.text));
        let tags: Vec<u32> = bad.iter().map(|message| message.tag).collect();
        let failed = (!tags.contains(&UNTAGGED)).then_some(tags);
        // The refusal and what goes on share one place in the ack.
        let fork = Fork::new(Arc::clone(&origin), mark.slot);
        fork.fail(Failure { error, failed });
        if !good.is_empty() {
            frames.push(fork.branch(good));
        }
    }
    frames
}

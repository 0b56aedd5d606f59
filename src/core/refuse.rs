//! Refusing failed messages one by one, so that the rest of their batch goes on.

use crate::{
    ack::{Failed, Failure, Fork},
    error::Error,
    frame::Frame,
};
use std::sync::Arc;
use weir_bloblang::Message;

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
        let reason = |message: &Message| {
            Some((message.tag, Error::Failed(format!("{words}: {}", message.error()?.text))))
        };
        let failed: Failed = bad.iter().filter_map(reason).collect();
        let Some((_, first)) = failed.first().cloned() else {
            match frames.last_mut().filter(|last| Arc::ptr_eq(last.origin(), &origin)) {
                Some(last) => last.push(good, mark.slot),
                None => frames.push(Frame::single(good, mark.slot, Arc::clone(&origin))),
            }
            continue;
        };
        refused(bad.len() as u64);
        // The refusal and what goes on share one place in the ack.
        let fork = Fork::new(Arc::clone(&origin), mark.slot);
        fork.fail(Failure::some(first, failed));
        if !good.is_empty() {
            frames.push(fork.branch(good));
        }
    }
    frames
}

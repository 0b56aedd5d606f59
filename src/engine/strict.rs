//! Strict error handling: failed messages are refused one by one, the rest of their batch is written.

use std::sync::Arc;
use weir_core::{
    ack::{Failure, Fork},
    error::Error,
    frame::{Frame, UNTAGGED},
};

/// Refuses the failed messages of a frame and gives back what may be written.
pub(crate) fn refuse(frame: Frame, refused: impl Fn(u64)) -> Vec<Frame> {
    let (messages, marks, origin) = frame.into_parts();
    let mut written = vec![Frame::new(Arc::clone(&origin))];
    let mut messages = messages.into_iter();
    let mut start = 0;
    for mark in marks {
        let batch = messages.by_ref().take((mark.end - start) as usize);
        start = mark.end;
        let (bad, good): (Vec<_>, Vec<_>) = batch.partition(|message| message.error().is_some());
        let Some(reason) = bad.first().and_then(|first| first.error()) else {
            if let Some(whole) = written.first_mut() {
                whole.push(good, mark.slot);
            }
            continue;
        };
        refused(bad.len() as u64);
        let error = Error::Failed(format!("rejected due to failed processing: {}", reason.text));
        let tags: Vec<u32> = bad.iter().map(|message| message.tag).collect();
        let failed = (!tags.contains(&UNTAGGED)).then_some(tags);
        let fork = Fork::new(Arc::clone(&origin), mark.slot);
        fork.fail(Failure { error, failed });
        if !good.is_empty() {
            written.push(fork.branch(good));
        }
    }
    written.retain(|frame| !frame.is_empty());
    written
}

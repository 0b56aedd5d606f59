//! Buffers: what stands between input and pipeline.

use crate::{frame::Frame, input::Next};
use async_trait::async_trait;
use std::collections::HashMap;

/// Takes frames in and gives them out later. What it acknowledges early is lost with the process.
#[async_trait]
pub trait Buffer: Send + Sync {
    /// Takes a frame, waiting for room.
    async fn push(&self, frame: Frame);

    /// No frame will be pushed any more: give out what is left, then end.
    async fn finish(&self);

    /// What comes next; the end when finished and empty and everything given out is settled. Cancel-safe.
    async fn pop(&self) -> Next;
}

/// What a buffer has given out and must keep until its outcome is known, by slot.
pub struct Given<T> {
    out: HashMap<u32, T>,
    next: u32,
    /// Whether the pipeline knows that nothing more waits.
    flushed: bool,
}

impl<T> Default for Given<T> {
    fn default() -> Self {
        Self { out: HashMap::new(), next: 0, flushed: false }
    }
}

impl<T> Given<T> {
    /// Keeps this; gives back its slot.
    pub fn give(&mut self, what: T) -> u32 {
        while self.out.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let slot = self.next;
        self.next = slot.wrapping_add(1);
        self.out.insert(slot, what);
        self.flushed = false;
        slot
    }

    /// What was given out under a slot, whose outcome is known now.
    pub fn take(&mut self, slot: u32) -> Option<T> {
        self.out.remove(&slot)
    }

    /// What to say when nothing waits and nothing more comes: once, that only outcomes are awaited, and then the end;
    /// `None` in between.
    pub fn last(&mut self) -> Option<Next> {
        if self.out.is_empty() {
            return Some(Next::End);
        }
        (!std::mem::replace(&mut self.flushed, true)).then_some(Next::Flush)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_once_and_the_end_comes_last() {
        let mut given = Given { next: u32::MAX, ..Given::default() };
        assert_eq!((given.give("a"), given.give("b")), (u32::MAX, 0));
        given.next = u32::MAX;
        assert_eq!(given.give("c"), 1);
        assert!(matches!(given.last(), Some(Next::Flush)));
        assert!(given.last().is_none());
        assert_eq!((given.take(0), given.take(0)), (Some("b"), None));
        assert_eq!(given.give("b"), 2);
        assert!(matches!(given.last(), Some(Next::Flush)), "what came back may hold up others");
        assert!([u32::MAX, 1, 2].into_iter().all(|slot| given.take(slot).is_some()));
        assert!(matches!(given.last(), Some(Next::End)));
    }
}

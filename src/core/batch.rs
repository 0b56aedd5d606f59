//! Batch policies: when small batches are joined to one.

use crate::{
    ack::{Failed, Failure, Origin},
    error::Error,
    expression::Mapping,
    frame::{Frame, UNTAGGED},
    metrics::Family,
    processor::Processor,
};
use std::{mem, sync::Arc, time::Duration};
use tokio::time::Instant;
use weir_bloblang::{Message, Scratch};

/// When a batch is complete. At least one trigger, or processors, or it does not batch.
#[derive(Clone, Default)]
pub struct Policy {
    /// Messages; 0: no limit.
    pub count: usize,
    /// Bytes of content; 0: no limit.
    pub byte_size: usize,
    /// Time since the last flush.
    pub period: Option<Duration>,
    /// True for a message that completes its batch.
    pub check: Option<Mapping>,
    /// Work the finished batch.
    pub processors: Option<Arc<dyn Processor>>,
}

/// Which trigger completed a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trigger {
    /// `count`.
    Count,
    /// `byte_size`.
    Size,
    /// `period`.
    Period,
    /// `check`.
    Check,
}

/// `batch_created` by the mechanism, in the order of [`Trigger`].
pub static BATCH_CREATED: Family = Family {
    counters: &[
        ("batch_created", &[("mechanism", "count")]),
        ("batch_created", &[("mechanism", "size")]),
        ("batch_created", &[("mechanism", "period")]),
        ("batch_created", &[("mechanism", "check")]),
    ],
    timer: "",
};

/// Gathers batches until the policy is met. It has no clock: the caller says what time it is.
pub struct Batcher {
    policy: Policy,
    messages: Vec<Message>,
    parts: Vec<Part>,
    tags: Vec<u32>,
    bytes: usize,
    met: Option<Trigger>,
    last_flush: Instant,
}

struct Part {
    origin: Arc<dyn Origin>,
    slot: u32,
    end: usize,
}

impl Batcher {
    /// Empty, its period counted from `now`.
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            messages: Vec::new(),
            parts: Vec::new(),
            tags: Vec::new(),
            bytes: 0,
            met: None,
            last_flush: now,
        }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Adds one logical batch whole; the frame must hold one. Gives the trigger once the policy is met: flush.
    pub fn add(&mut self, single: Frame) -> Option<Trigger> {
        let (messages, marks, origin) = single.into_parts();
        for message in messages {
            self.add_message(message);
        }
        let end = self.messages.len();
        self.parts.extend(marks.iter().map(|mark| Part {
            origin: Arc::clone(&origin),
            slot: mark.slot,
            end,
        }));
        self.met
    }

    fn add_message(&mut self, mut message: Message) {
        // Sizes are asked for only where they count, for a value is written out to tell.
        if self.policy.byte_size > 0 {
            self.bytes += message.len();
        }
        self.tags
            .push(mem::replace(&mut message.tag, u32::try_from(self.messages.len()).unwrap_or(UNTAGGED)));
        self.messages.push(message);
        let policy = &self.policy;
        if policy.count > 0 && self.messages.len() >= policy.count {
            self.met.get_or_insert(Trigger::Count);
        }
        if policy.byte_size > 0 && self.bytes >= policy.byte_size {
            self.met.get_or_insert(Trigger::Size);
        }
        if let Some(check) = &policy.check
            && check.check(&self.messages, self.messages.len() - 1, &mut Scratch::default()).unwrap_or(false)
        {
            self.met.get_or_insert(Trigger::Check);
        }
    }

    /// Whether nothing is gathered.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// When the period ends; `None` without a period.
    pub fn due(&self) -> Option<Instant> {
        self.policy.period.map(|period| self.last_flush + period)
    }

    /// Gives what is gathered as one batch whose outcome returns to where its parts came from.
    pub fn flush(&mut self, now: Instant) -> Option<Frame> {
        self.last_flush = now;
        self.bytes = 0;
        self.met = None;
        if self.messages.is_empty() {
            return None;
        }
        let origin = Merged { parts: mem::take(&mut self.parts), tags: mem::take(&mut self.tags) };
        Some(Frame::single(mem::take(&mut self.messages), 0, Arc::new(origin)))
    }
}

impl Drop for Batcher {
    fn drop(&mut self) {
        for part in mem::take(&mut self.parts) {
            part.origin.settle(part.slot, Err(Failure::all(Error::Closed)));
        }
    }
}

/// The origin of a joined batch.
struct Merged {
    parts: Vec<Part>,
    tags: Vec<u32>,
}

impl Origin for Merged {
    fn settle(&self, _: u32, outcome: Result<(), Failure>) {
        let failure = match outcome {
            Ok(()) => return self.parts.iter().for_each(|part| part.origin.settle(part.slot, Ok(()))),
            Err(failure) => failure,
        };
        let Some(failed) = failure.failed else {
            let all = || Err(Failure::all(failure.error.clone()));
            return self.parts.iter().for_each(|part| part.origin.settle(part.slot, all()));
        };
        let mut start = 0;
        for part in &self.parts {
            let failed: Failed = failed
                .iter()
                .filter(|(at, _)| (start..part.end).contains(&(*at as usize)))
                .map(|(at, error)| (self.tags.get(*at as usize).copied().unwrap_or(UNTAGGED), error.clone()))
                .collect();
            start = part.end;
            let outcome = match failed.first() {
                None => Ok(()),
                Some((_, first)) => Err(Failure::some(first.clone(), failed)),
            };
            part.origin.settle(part.slot, outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    fn tags(failed: Failed) -> Vec<u32> {
        failed.into_iter().map(|(tag, _)| tag).collect()
    }

    #[derive(Default)]
    struct Book(Mutex<Vec<(u32, Option<Vec<u32>>)>>);

    impl Origin for Book {
        fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
            self.0
                .lock()
                .unwrap()
                .push((slot, outcome.err().map(|failure| tags(failure.failed.unwrap_or_default()))));
        }
    }

    fn single(book: &Arc<Book>, slot: u32, contents: &[&'static str]) -> Frame {
        let messages = contents.iter().enumerate().map(|(tag, content)| {
            let mut message = Message::new(*content);
            message.tag = u32::try_from(tag).unwrap();
            message
        });
        Frame::single(messages.collect(), slot, Arc::clone(book) as Arc<dyn Origin>)
    }

    #[tokio::test(start_paused = true)]
    async fn whole_batches_are_added_before_the_count_is_met() {
        let book = Arc::new(Book::default());
        let mut batcher = Batcher::new(Policy { count: 3, ..Policy::default() }, Instant::now());
        assert_eq!(batcher.add(single(&book, 0, &["a", "b"])), None);
        assert_eq!(batcher.add(single(&book, 1, &["c", "d"])), Some(Trigger::Count));
        let frame = batcher.flush(Instant::now()).unwrap();
        assert_eq!(frame.messages().len(), 4);
        frame.deliver();
        assert_eq!(*book.0.lock().unwrap(), [(0, None), (1, None)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_partial_failure_returns_to_the_part_it_came_from() {
        let book = Arc::new(Book::default());
        let mut batcher = Batcher::new(Policy { count: 4, ..Policy::default() }, Instant::now());
        batcher.add(single(&book, 0, &["a", "b"]));
        batcher.add(single(&book, 1, &["c", "d"]));
        let frame = batcher.flush(Instant::now()).unwrap();
        let error = crate::ack::WriteError::some(vec![(3, Error::failed("no"))]).unwrap();
        frame.settle(Err(error));
        assert_eq!(*book.0.lock().unwrap(), [(0, None), (1, Some(vec![1]))]);
    }
}

//! Frames that are kept while copies of them are under way, so that what fails can be sent again or elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;
use weir_bloblang::Message;
use weir_core::{
    ack::{Failed, Failure, Origin},
    error::Error,
    frame::{Frame, Mark, UNTAGGED},
};

/// A frame whose outcomes are not told yet. Copies carry their number in the frame as tag, so that a failure
/// says exactly which of them it is about; batches are numbered in order.
pub(super) struct Kept {
    messages: Vec<Message>,
    /// The tags that the messages came with.
    tags: Vec<u32>,
    marks: Vec<Mark>,
    origin: Arc<dyn Origin>,
    under_way: Arc<UnderWay>,
}

impl Kept {
    /// Keeps a frame; whoever does tells the outcome of each batch once.
    pub(super) fn new(frame: Frame, under_way: &Arc<UnderWay>) -> Self {
        under_way.kept.fetch_add(1, Ordering::AcqRel);
        let (mut messages, marks, origin) = frame.into_parts();
        let tags =
            (0..).zip(&mut messages).map(|(tag, message)| std::mem::replace(&mut message.tag, tag)).collect();
        Self { messages, tags, marks, origin, under_way: Arc::clone(under_way) }
    }

    /// The number of batches.
    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Copies of all batches.
    pub(super) fn frame(&self, origin: Arc<dyn Origin>) -> Frame {
        let marks = (0..).zip(&self.marks).map(|(slot, mark)| Mark { end: mark.end, slot }).collect();
        Frame::from_parts(self.messages.clone(), marks, origin)
    }

    /// Copies of some messages.
    pub(super) fn copies(&self, tags: &[u32]) -> Vec<Message> {
        tags.iter().filter_map(|tag| self.copy(*tag)).collect()
    }

    /// A copy of one message.
    pub(super) fn copy(&self, tag: u32) -> Option<Message> {
        self.messages.get(tag as usize).cloned()
    }

    /// The messages of a batch.
    pub(super) fn batch(&self, slot: u32) -> Vec<u32> {
        let slot = slot as usize;
        let start = slot.checked_sub(1).and_then(|before| self.marks.get(before)).map_or(0, |mark| mark.end);
        (start..self.marks.get(slot).map_or(start, |mark| mark.end)).collect()
    }

    /// Which of the messages that were sent a failure is about, by their number in the frame, and why.
    pub(super) fn failed(&self, slot: u32, sent: Option<&[u32]>, failure: &Failure) -> Failed {
        let sent = sent.map_or_else(|| self.batch(slot), <[u32]>::to_vec);
        let known = sent.iter().filter_map(|tag| Some((*tag, failure.of(*tag)?.clone())));
        let known: Failed = known.collect();
        if known.is_empty() { all(&sent, &failure.error) } else { known }
    }

    /// Tells that a batch is delivered.
    pub(super) fn delivered(&self, slot: u32) {
        self.settle(slot, Ok(()));
    }

    /// Tells that some messages of a batch failed.
    pub(super) fn fail(&self, slot: u32, error: Error, failed: Failed) {
        let tag = |number: u32| self.tags.get(number as usize).copied().unwrap_or(UNTAGGED);
        let failed = failed.into_iter().map(|(number, error)| (tag(number), error)).collect();
        self.settle(slot, Err(Failure::some(error, failed)));
    }

    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        if let Some(mark) = self.marks.get(slot as usize) {
            self.origin.settle(mark.slot, outcome);
        }
    }
}

/// The numbers of messages that failed.
pub(super) fn numbers(failed: &Failed) -> Vec<u32> {
    failed.iter().map(|(number, _)| *number).collect()
}

/// Messages that all failed alike.
pub(super) fn all(numbers: &[u32], error: &Error) -> Failed {
    numbers.iter().map(|number| (*number, error.clone())).collect()
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.under_way.kept.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.under_way.gone.notify_waiters();
        }
    }
}

/// Counts the kept frames of one output.
#[derive(Default)]
pub(super) struct UnderWay {
    kept: AtomicUsize,
    gone: Notify,
}

impl UnderWay {
    /// Waits until none is left.
    pub(super) async fn none(&self) {
        loop {
            let gone = self.gone.notified();
            tokio::pin!(gone);
            gone.as_mut().enable();
            if self.kept.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// A child output and an origin for the tests of this folder.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use async_trait::async_trait;
    use std::sync::Mutex;
    use weir_core::{ack::WriteError, output::Output};

    /// Notes the outcomes, as `slot ok` or `slot error [tags]`.
    #[derive(Default)]
    pub(in super::super) struct Book(Mutex<Vec<String>>);

    impl Origin for Book {
        fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
            self.0.lock().unwrap().push(match outcome {
                Ok(()) => format!("{slot} ok"),
                Err(Failure { error, failed: Some(failed) }) => {
                    format!("{slot} {error} {:?}", numbers(&failed))
                }
                Err(Failure { error, failed: None }) => format!("{slot} {error}"),
            });
        }
    }

    impl Book {
        pub(in super::super) fn sorted(&self) -> Vec<String> {
            let mut outcomes = self.0.lock().unwrap().clone();
            outcomes.sort();
            outcomes
        }
    }

    /// A frame of these batches, messages tagged within their batch.
    pub(in super::super) fn frame(book: &Arc<Book>, batches: &[&[&'static str]]) -> Frame {
        let mut frame = Frame::new(Arc::clone(book) as Arc<dyn Origin>);
        for (slot, contents) in (0..).zip(batches) {
            let messages = (0..).zip(*contents).map(|(tag, content)| {
                let mut message = Message::new(*content);
                message.tag = tag;
                message
            });
            frame.push(messages, slot);
        }
        frame
    }

    /// Refuses each content of its list once, and takes everything else.
    pub(in super::super) struct Child {
        refuses: Mutex<Vec<&'static str>>,
        received: Mutex<Vec<Vec<Message>>>,
    }

    impl Child {
        pub(in super::super) fn new(refuses: &[&'static str]) -> Arc<Self> {
            Arc::new(Self { refuses: Mutex::new(refuses.to_vec()), received: Mutex::default() })
        }

        /// Batches in order, contents joined by spaces.
        pub(in super::super) fn received(&self) -> Vec<String> {
            let text = |message: &Message| String::from_utf8_lossy(message.content()).into_owned();
            let received = self.received.lock().unwrap();
            received.iter().map(|batch| batch.iter().map(text).collect::<Vec<_>>().join(" ")).collect()
        }

        pub(in super::super) fn messages(&self) -> Vec<Message> {
            self.received.lock().unwrap().concat()
        }
    }

    #[async_trait]
    impl Output for Child {
        async fn connect(&self) {}

        async fn send(&self, frame: Frame) {
            for single in frame.into_singles() {
                let mut refuses = self.refuses.lock().unwrap();
                let failed = single.messages().iter().enumerate().filter_map(|(index, message)| {
                    let at = refuses.iter().position(|content| message.content() == content.as_bytes())?;
                    let content = refuses.remove(at);
                    Some((index, Error::Failed(format!("refused {content}"))))
                });
                let outcome = WriteError::some(failed.collect()).map_or(Ok(()), Err);
                self.received.lock().unwrap().push(single.messages().to_vec());
                single.settle(outcome);
            }
        }

        async fn close(&self) {}
    }
}

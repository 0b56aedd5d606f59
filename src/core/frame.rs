//! Frames: what travels between tasks.
//!
//! A frame holds as many logical batches as were ready, each with its own place in the ack, so that the cost of
//! a channel, a wake-up or a lock is shared by hundreds of messages. Batch semantics stay by logical batch.

use crate::{
    ack::{Failure, Origin, WriteError},
    error::Error,
};
use bytes::Bytes;
use std::{mem, sync::Arc};
use weir_bloblang::Message;
pub use weir_bloblang::UNTAGGED;

/// At most so many logical batches travel in one frame.
pub const MAX_BATCHES: usize = 256;
/// A frame takes no further batch once it holds so many bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Where a logical batch ends in its frame, and its slot of the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Index after the batch's last message.
    pub end: u32,
    /// The batch's place in the ack.
    pub slot: u32,
}

/// Logical batches on their way, of one origin.
pub struct Frame {
    messages: Vec<Message>,
    marks: Vec<Mark>,
    origin: Arc<dyn Origin>,
}

impl Frame {
    /// An empty frame of `origin`.
    pub fn new(origin: Arc<dyn Origin>) -> Self {
        Self { messages: Vec::new(), marks: Vec::new(), origin }
    }

    /// Puts a frame together; `marks` must be in order and end at the number of messages.
    pub fn from_parts(messages: Vec<Message>, marks: Vec<Mark>, origin: Arc<dyn Origin>) -> Self {
        debug_assert_eq!(marks.last().map_or(0, |mark| mark.end as usize), messages.len());
        Self { messages, marks, origin }
    }

    /// A frame of one logical batch.
    pub fn single(messages: Vec<Message>, slot: u32, origin: Arc<dyn Origin>) -> Self {
        let end = index(messages.len());
        Self { messages, marks: vec![Mark { end, slot }], origin }
    }

    /// Adds a logical batch; an empty one is settled as delivered at once.
    pub fn push(&mut self, batch: impl IntoIterator<Item = Message>, slot: u32) {
        let before = self.messages.len();
        self.messages.extend(batch);
        if self.messages.len() == before {
            return self.origin.settle(slot, Ok(()));
        }
        self.marks.push(Mark { end: index(self.messages.len()), slot });
    }

    /// Takes over the batches of another frame, or gives it back if they are of another origin or too many.
    pub fn join(&mut self, mut other: Self) -> Option<Self> {
        if !Arc::ptr_eq(&self.origin, &other.origin) || self.len() + other.len() > MAX_BATCHES {
            return Some(other);
        }
        let before = index(self.messages.len());
        self.messages.append(&mut other.messages);
        let marks = mem::take(&mut other.marks).into_iter();
        self.marks.extend(marks.map(|mark| Mark { end: before + mark.end, ..mark }));
        None
    }

    /// One frame of several; the batches are settled where they came from.
    pub fn gather(mut frames: Vec<Self>) -> Self {
        if frames.len() == 1
            && let Some(only) = frames.pop()
        {
            return only;
        }
        let (mut messages, mut marks, mut parts) = (Vec::new(), Vec::new(), Vec::new());
        for frame in frames {
            let (more, theirs, origin) = frame.into_parts();
            let before = index(messages.len());
            messages.extend(more);
            let slots = index(marks.len())..;
            marks.extend(theirs.iter().zip(slots).map(|(mark, slot)| Mark { end: before + mark.end, slot }));
            parts.push((origin, theirs));
        }
        Self { messages, marks, origin: Arc::new(Gathered(parts)) }
    }

    /// Writes out the values of all messages, into one buffer, and lets go of them: for an output that looks at nothing
    /// else, by the thread that made them.
    pub fn write_out(&mut self) {
        let mut out = Vec::new();
        let mut places = Vec::with_capacity(self.messages.len());
        for (index, message) in self.messages.iter().enumerate() {
            if index == 1 {
                // Messages are mostly alike.
                out.reserve((out.len() * self.messages.len()).min(MAX_BYTES));
            }
            places.push(message.write_out(&mut out));
        }
        let out = Bytes::from(out);
        for (message, place) in self.messages.iter_mut().zip(places) {
            if let Some(place) = place {
                message.set_content(out.slice(place));
            }
        }
    }

    /// All messages, batch after batch.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// All messages, to be changed in place.
    pub fn messages_mut(&mut self) -> &mut [Message] {
        &mut self.messages
    }

    /// The number of logical batches.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether no batch is left.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Where the outcomes go.
    pub fn origin(&self) -> &Arc<dyn Origin> {
        &self.origin
    }

    /// The logical batches with their slots.
    pub fn batches(&self) -> impl Iterator<Item = (u32, &[Message])> {
        let mut start = 0;
        self.marks.iter().filter_map(move |mark| {
            let batch = self.messages.get(start..mark.end as usize);
            start = mark.end as usize;
            batch.map(|batch| (mark.slot, batch))
        })
    }

    /// Puts each batch through `step`, which takes from the batch and appends what is to go on. A batch of
    /// which nothing goes on is settled as delivered.
    pub fn rewrite(&mut self, mut step: impl FnMut(&mut [Message], &mut Vec<Message>)) {
        let mut before = mem::take(&mut self.messages);
        let mut after = Vec::with_capacity(before.len());
        let mut start = 0;
        let origin = &self.origin;
        self.marks.retain_mut(|mark| {
            let from = after.len();
            if let Some(batch) = before.get_mut(start..mark.end as usize) {
                step(batch, &mut after);
            }
            start = mark.end as usize;
            mark.end = index(after.len());
            if after.len() == from {
                origin.settle(mark.slot, Ok(()));
            }
            after.len() > from
        });
        self.messages = after;
    }

    /// Cuts the frame into frames of one logical batch each, in order.
    pub fn into_singles(mut self) -> Singles {
        let marks = mem::take(&mut self.marks);
        Singles {
            messages: mem::take(&mut self.messages).into_iter(),
            marks: marks.into_iter(),
            taken: 0,
            origin: Arc::clone(&self.origin),
        }
    }

    /// Takes the frame apart; who does owes every slot an outcome.
    pub fn into_parts(mut self) -> (Vec<Message>, Vec<Mark>, Arc<dyn Origin>) {
        (mem::take(&mut self.messages), mem::take(&mut self.marks), Arc::clone(&self.origin))
    }

    /// Settles every batch as delivered.
    pub fn deliver(mut self) {
        self.origin.deliver(&mem::take(&mut self.marks));
    }

    /// Settles every batch as failed.
    pub fn fail(mut self, error: &Error) {
        for mark in mem::take(&mut self.marks) {
            self.origin.settle(mark.slot, Err(Failure::all(error.clone())));
        }
    }

    /// Settles as the writer said; indexes count over the whole frame.
    pub fn settle(mut self, outcome: Result<(), WriteError>) {
        let error = match outcome {
            Ok(()) => return self.deliver(),
            Err(error) if error.failed.is_empty() => return self.fail(&error.error),
            Err(error) => error,
        };
        let (messages, marks) = (mem::take(&mut self.messages), mem::take(&mut self.marks));
        let mut start = 0;
        for mark in marks {
            let range = start..mark.end as usize;
            start = mark.end as usize;
            let mut failed = error.failed.iter().filter(|(at, _)| range.contains(at)).peekable();
            let Some((_, first)) = failed.peek() else {
                self.origin.settle(mark.slot, Ok(()));
                continue;
            };
            let first = first.clone();
            let tag = |at: usize| messages.get(at).map_or(UNTAGGED, |message| message.tag);
            let failed = failed.map(|(at, error)| (tag(*at), error.clone())).collect();
            self.origin.settle(mark.slot, Err(Failure::some(first, failed)));
        }
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        for mark in mem::take(&mut self.marks) {
            self.origin.settle(mark.slot, Err(Failure::all(Error::Closed)));
        }
    }
}

/// Where the batches of a frame of several came from.
struct Gathered(Vec<(Arc<dyn Origin>, Vec<Mark>)>);

impl Origin for Gathered {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let mut at = slot as usize;
        for (origin, marks) in &self.0 {
            if let Some(mark) = marks.get(at) {
                return origin.settle(mark.slot, outcome);
            }
            at -= marks.len();
        }
    }

    fn deliver(&self, marks: &[Mark]) {
        if marks.len() == self.0.iter().map(|(_, marks)| marks.len()).sum() {
            self.0.iter().for_each(|(origin, marks)| origin.deliver(marks));
        } else {
            marks.iter().for_each(|mark| self.settle(mark.slot, Ok(())));
        }
    }
}

/// Frames of one logical batch each; see [`Frame::into_singles`].
pub struct Singles {
    messages: std::vec::IntoIter<Message>,
    marks: std::vec::IntoIter<Mark>,
    taken: u32,
    origin: Arc<dyn Origin>,
}

impl Iterator for Singles {
    type Item = Frame;

    fn next(&mut self) -> Option<Frame> {
        let mark = self.marks.next()?;
        let count = (mark.end - self.taken) as usize;
        self.taken = mark.end;
        let messages = self.messages.by_ref().take(count).collect();
        Some(Frame::single(messages, mark.slot, Arc::clone(&self.origin)))
    }
}

impl Drop for Singles {
    fn drop(&mut self) {
        for mark in self.marks.by_ref() {
            self.origin.settle(mark.slot, Err(Failure::all(Error::Closed)));
        }
    }
}

/// Message counts of a frame fit 32 bits: a frame is at most [`MAX_BYTES`] plus one batch.
fn index(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use weir_bloblang::Value;

    #[derive(Default)]
    struct Book(Mutex<Vec<(u32, bool)>>);

    impl Origin for Book {
        fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
            self.0.lock().unwrap().push((slot, outcome.is_ok()));
        }
    }

    fn frame(book: &Arc<Book>) -> Frame {
        let mut frame = Frame::new(Arc::clone(book) as Arc<dyn Origin>);
        frame.push(["a", "b"].map(Message::new), 0);
        frame.push([Message::new("c")], 1);
        frame.push([Message::new("d")], 2);
        frame
    }

    fn told(book: &Book) -> Vec<(u32, bool)> {
        let mut told = book.0.lock().unwrap().clone();
        told.sort_unstable();
        told
    }

    #[test]
    fn a_dropped_frame_fails_what_it_holds() {
        let book = Arc::new(Book::default());
        drop(frame(&book));
        assert_eq!(told(&book), [(0, false), (1, false), (2, false)]);
    }

    #[test]
    fn singles_that_nobody_took_fail() {
        let book = Arc::new(Book::default());
        let mut singles = frame(&book).into_singles();
        singles.next().unwrap().deliver();
        drop(singles);
        assert_eq!(told(&book), [(0, true), (1, false), (2, false)]);
    }

    #[test]
    fn frames_of_one_origin_can_be_joined() {
        let book = Arc::new(Book::default());
        let mut singles = frame(&book).into_singles();
        let mut joined = singles.next().unwrap();
        assert!(joined.join(singles.next().unwrap()).is_none());
        let batches: Vec<_> = joined.batches().map(|(slot, batch)| (slot, batch.len())).collect();
        assert_eq!(batches, [(0, 2), (1, 1)]);
        assert!(joined.join(frame(&Arc::default())).is_some());
        joined.deliver();
        assert_eq!(told(&book), [(0, true), (1, true)]);
    }

    #[test]
    fn gathered_frames_are_settled_each_where_it_came_from() {
        let books = [Arc::new(Book::default()), Arc::new(Book::default())];
        let gather = || Frame::gather(books.iter().map(frame).collect());
        let all = gather();
        assert_eq!(all.batches().map(|(_, batch)| batch.len()).collect::<Vec<_>>(), [2, 1, 1, 2, 1, 1]);
        all.settle(Err(WriteError::some(vec![(3, Error::failed("no")), (4, Error::failed("no"))]).unwrap()));
        assert_eq!(told(&books[0]), [(0, true), (1, true), (2, false)]);
        assert_eq!(told(&books[1]), [(0, false), (1, true), (2, true)]);
        books.iter().for_each(|book| book.0.lock().unwrap().clear());
        gather().deliver();
        assert!(books.iter().all(|book| told(book) == [(0, true), (1, true), (2, true)]));
    }

    #[test]
    fn values_are_written_out_each_to_its_own_content() {
        let values =
            [Value::Int(1), Value::from("two"), Value::Null, Value::Float(f64::NAN), Value::Bool(true)];
        let mut frame = Frame::new(Arc::new(Book::default()));
        frame.push(values.map(Message::from_value), 0);
        frame.write_out();
        let contents: Vec<_> = frame.messages().iter().map(|message| message.content().clone()).collect();
        assert_eq!(contents, ["1", "two", "null", "", "true"]);
        frame.deliver();
    }

    #[test]
    fn a_batch_rewritten_to_nothing_is_delivered() {
        let book = Arc::new(Book::default());
        let mut frame = frame(&book);
        frame.rewrite(|batch, out| {
            out.extend(batch.iter().filter(|message| *message.content() != "c").cloned());
        });
        assert_eq!(told(&book), [(1, true)]);
        assert_eq!(
            frame.batches().map(|(slot, batch)| (slot, batch.len())).collect::<Vec<_>>(),
            [(0, 2), (2, 1)]
        );
        frame.deliver();
    }

    #[test]
    fn a_partial_failure_hits_only_its_batch() {
        let book = Arc::new(Book::default());
        frame(&book).settle(Err(WriteError::some(vec![(2, Error::failed("no"))]).unwrap()));
        assert_eq!(told(&book), [(0, true), (1, false), (2, true)]);
    }
}

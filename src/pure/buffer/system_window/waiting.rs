//! Messages on their way through windows, frame by frame as they came in, and their places in the ack.

use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use weir_bloblang::{Message, Metadata, Value};
use weir_core::{
    ack::{Failed, Failure, Origin},
    error::Error,
    frame::Frame,
    packed::Packed,
};

/// Messages of one frame that wait for windows to end.
pub(super) struct Waiting {
    messages: Packed,
    /// In nanoseconds since 1970, up to the year 2262: what is later waits until then.
    times: Box<[i64]>,
    /// Those of this time and before wait no longer.
    past: i128,
    places: Arc<Places>,
}

impl Waiting {
    /// Takes the messages of a frame whose time, told for each message of each batch, is after `past`. The others count
    /// as delivered, and batches without times fail. `None`: nothing is to wait.
    pub(super) fn new(frame: Frame, times: Vec<Result<Vec<i128>, Error>>, past: i128) -> Option<Self> {
        let (messages, marks, origin) = frame.into_parts();
        let (mut kept, mut kept_times) = (Vec::new(), Vec::new());
        let mut places = Vec::with_capacity(marks.len());
        let mut messages = messages.into_iter();
        let mut start = 0;
        for (mark, times) in marks.into_iter().zip(times) {
            let batch = messages.by_ref().take((mark.end - start) as usize);
            start = mark.end;
            let before = kept.len();
            let outcome = match times {
                Ok(times) => {
                    for (message, time) in batch.zip(times).filter(|(_, time)| *time > past) {
                        kept.push(message);
                        kept_times.push(i64::try_from(time).unwrap_or(i64::MAX));
                    }
                    Ok(())
                }
                Err(error) => {
                    batch.for_each(drop);
                    Err(Failure::all(error))
                }
            };
            match number(kept.len() - before) {
                0 => origin.settle(mark.slot, outcome),
                held => {
                    places.push(Place {
                        slot: mark.slot,
                        end: number(kept.len()),
                        held: AtomicU32::new(held),
                    });
                }
            }
        }
        let places = Places { origin, all: places.into(), failures: Mutex::default() };
        (!kept.is_empty()).then(|| Self {
            messages: Packed::new(kept),
            times: kept_times.into(),
            past,
            places: Arc::new(places),
        })
    }

    fn times(&self) -> impl Iterator<Item = i128> {
        self.times.iter().map(|time| i128::from(*time))
    }

    fn waiting(&self) -> impl Iterator<Item = i128> {
        self.times().filter(|time| *time > self.past)
    }

    /// The time of the oldest message.
    pub(super) fn oldest(&self) -> Option<i128> {
        self.waiting().min()
    }

    /// How many messages a window takes.
    pub(super) fn count(&self, window: Window) -> usize {
        self.waiting().filter(|time| window.holds(*time)).count()
    }

    /// Gives a window its messages. Those up to `past` are in no later one and wait no longer.
    pub(super) fn give(&mut self, window: Window, past: i128, into: &mut Batch) {
        let (mut place, before) = (0, into.messages.len());
        for (index, time) in self.times().enumerate() {
            while self.places.ends_before(place, index) {
                place += 1;
            }
            if time <= self.past {
                continue;
            }
            if window.holds(time)
                && let Some(message) = self.messages.get(index)
            {
                self.places.hold(place);
                into.push(message, place);
            }
            if time <= past {
                self.places.release(place);
            }
        }
        self.past = past;
        let count = into.messages.len() - before;
        if count > 0 {
            into.parts.push(Part { places: Arc::clone(&self.places), count });
        }
    }

    /// Fails what still waits.
    pub(super) fn fail(self, error: &Error) {
        let mut place = 0;
        for (index, time) in self.times().enumerate() {
            while self.places.ends_before(place, index) {
                place += 1;
            }
            if time > self.past {
                self.places.fail(place, Failure::all(error.clone()));
                self.places.release(place);
            }
        }
    }
}

/// The times after a begin up to an end.
#[derive(Clone, Copy)]
pub(super) struct Window {
    pub(super) begin: i128,
    pub(super) end: i128,
}

impl Window {
    fn holds(self, time: i128) -> bool {
        time > self.begin && time <= self.end
    }
}

/// Places in the ack, of the batches of one frame. Each is settled once none of its messages waits or is under way.
struct Places {
    origin: Arc<dyn Origin>,
    all: Box<[Place]>,
    failures: Mutex<HashMap<u32, Failure>>,
}

struct Place {
    slot: u32,
    /// Index after the last message of the batch.
    end: u32,
    /// How often its messages wait or are under way.
    held: AtomicU32,
}

impl Places {
    fn get(&self, place: u32) -> Option<&Place> {
        self.all.get(place as usize)
    }

    fn ends_before(&self, place: u32, index: usize) -> bool {
        self.get(place).is_some_and(|place| place.end as usize <= index)
    }

    fn hold(&self, place: u32) {
        if let Some(place) = self.get(place) {
            place.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn fail(&self, place: u32, failure: Failure) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let known = failures.remove(&place);
        failures.insert(place, Failure::join(known, failure));
    }

    fn release(&self, number: u32) {
        let Some(place) = self.get(number) else { return };
        if place.held.fetch_sub(1, Ordering::AcqRel) == 1 {
            let failure = self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
            self.origin.settle(place.slot, failure.map_or(Ok(()), Err));
        }
    }
}

impl Drop for Places {
    /// What nobody settled was not delivered.
    fn drop(&mut self) {
        for place in &mut self.all {
            if *place.held.get_mut() > 0 {
                self.origin.settle(place.slot, Err(Failure::all(Error::Closed)));
            }
        }
    }
}

/// The messages of one window.
pub(super) struct Batch {
    messages: Vec<Message>,
    /// What their metadata tell of the window.
    told: Value,
    /// Metadata of the last message as it was and as it is: those that share it go on sharing it.
    shared: Option<(Metadata, Metadata)>,
    tags: Vec<u32>,
    places: Vec<u32>,
    parts: Vec<Part>,
}

/// So many messages of the same frame.
struct Part {
    places: Arc<Places>,
    count: usize,
}

impl Batch {
    pub(super) fn new(count: usize, told: Value) -> Self {
        Self {
            messages: Vec::with_capacity(count),
            told,
            shared: None,
            tags: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
            parts: Vec::new(),
        }
    }

    fn push(&mut self, mut message: Message, place: u32) {
        let known = self.shared.take().filter(|(before, _)| before.is_same(message.metadata()));
        let (before, after) = known.unwrap_or_else(|| {
            let mut after = message.metadata().clone();
            after.set("window_end_timestamp", self.told.clone());
            (message.metadata().clone(), after)
        });
        *message.metadata_mut() = after.clone();
        self.shared = Some((before, after));
        self.tags.push(mem::replace(&mut message.tag, number(self.messages.len())));
        self.places.push(place);
        self.messages.push(message);
    }

    /// As a frame, unless it is empty.
    pub(super) fn into_frame(self) -> Option<Frame> {
        let origin = Given { parts: Mutex::new(self.parts), tags: self.tags, places: self.places };
        (!self.messages.is_empty()).then(|| Frame::single(self.messages, 0, Arc::new(origin)))
    }
}

/// The origin of a window's batch.
struct Given {
    parts: Mutex<Vec<Part>>,
    /// Of each message the tag that it came with, and its place.
    tags: Vec<u32>,
    places: Vec<u32>,
}

impl Origin for Given {
    fn settle(&self, _: u32, outcome: Result<(), Failure>) {
        let parts = mem::take(&mut *self.parts.lock().unwrap_or_else(PoisonError::into_inner));
        let failure = outcome.err();
        let failed: Option<HashMap<u32, &Error>> = failure.as_ref().and_then(|failure| {
            Some(failure.failed.as_ref()?.iter().rev().map(|(number, error)| (*number, error)).collect())
        });
        let mut messages = (0..).zip(self.tags.iter().zip(&self.places));
        for Part { places, count } in parts {
            // What failed, by the batch it came with.
            let mut by_place: HashMap<u32, Failed> = HashMap::new();
            for (number, (tag, place)) in messages.clone().take(count) {
                let error = match (&failure, &failed) {
                    (_, Some(failed)) => failed.get(&number).copied(),
                    (whole, None) => whole.as_ref().map(|failure| &failure.error),
                };
                if let Some(error) = error {
                    by_place.entry(*place).or_default().push((*tag, error.clone()));
                }
            }
            if let Some(failure) = &failure {
                for (place, failed) in by_place {
                    places.fail(place, Failure::some(failure.error.clone(), failed));
                }
            }
            messages.by_ref().take(count).for_each(|(_, (_, place))| places.release(*place));
        }
    }
}

/// A frame has no more messages than this counts.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Book(Mutex<Vec<(u32, Option<Vec<u32>>)>>);

    impl Origin for Book {
        fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
            let failed = outcome
                .err()
                .map(|failure| failure.failed.unwrap_or_default().into_iter().map(|(tag, _)| tag).collect());
            self.0.lock().unwrap().push((slot, failed));
        }
    }

    impl Book {
        fn told(&self) -> Vec<(u32, Option<Vec<u32>>)> {
            let mut told = mem::take(&mut *self.0.lock().unwrap());
            told.sort();
            told
        }
    }

    /// Three batches of two messages, whose tags are 10, 11, 10 and so on.
    fn waiting(book: &Arc<Book>, times: [[i128; 2]; 3]) -> Waiting {
        let mut frame = Frame::new(Arc::clone(book) as Arc<dyn Origin>);
        for slot in 0..3 {
            let mut batch = [0, 1].map(|at| Message::new(format!("{slot}{at}")));
            (10..).zip(&mut batch).for_each(|(tag, message)| message.tag = tag);
            frame.push(batch, slot);
        }
        Waiting::new(frame, times.map(|times| Ok(times.to_vec())).into(), 0).unwrap()
    }

    fn window(from: &mut [Waiting], begin: i128, end: i128, past: i128) -> Option<Frame> {
        let mut batch = Batch::new(0, Value::from("end"));
        from.iter_mut().for_each(|waiting| waiting.give(Window { begin, end }, past, &mut batch));
        batch.into_frame()
    }

    fn shown(frame: &Frame) -> Vec<String> {
        let text = |message: &Message| String::from_utf8_lossy(message.content()).into_owned();
        assert!(
            frame.messages().iter().all(|message| message.metadata().get("window_end_timestamp").is_some())
        );
        frame.messages().iter().map(text).collect()
    }

    #[test]
    fn a_place_is_settled_when_nothing_of_it_is_out() {
        let book = Arc::new(Book::default());
        let mut waiting = [waiting(&book, [[1, 2], [2, 11], [12, 0]])];
        assert!(book.told().is_empty());
        assert_eq!(waiting[0].oldest(), Some(1));
        let first = window(&mut waiting, 0, 10, 10).unwrap();
        assert_eq!(shown(&first), ["00", "01", "10"]);
        assert!(book.told().is_empty());
        first.deliver();
        assert_eq!(book.told(), [(0, None)], "of the second batch one message still waits");
        let second = window(&mut waiting, 10, 20, 20).unwrap();
        assert_eq!(shown(&second), ["11", "20"]);
        assert_eq!(waiting[0].oldest(), None);
        drop(waiting);
        assert!(book.told().is_empty());
        second.deliver();
        assert_eq!(book.told(), [(1, None), (2, None)]);
    }

    #[test]
    fn what_failed_is_told_by_its_batch() {
        let books = [Arc::new(Book::default()), Arc::new(Book::default())];
        let mut waiting = [0, 1].map(|at| waiting(&books[at], [[1, 1]; 3]));
        let frame = window(&mut waiting, 0, 10, 10).unwrap();
        let failed = vec![(3, Error::failed("no")), (8, Error::failed("no")), (9, Error::failed("no"))];
        let (messages, marks, origin) = frame.into_parts();
        assert_eq!((messages.len(), marks.len()), (12, 1));
        origin.settle(0, Err(Failure::some(Error::failed("no"), failed)));
        assert_eq!(books[0].told(), [(0, None), (1, Some(vec![11])), (2, None)]);
        assert_eq!(books[1].told(), [(0, None), (1, Some(vec![10, 11])), (2, None)]);
    }

    #[test]
    fn overlapping_windows_share_a_place() {
        let book = Arc::new(Book::default());
        let mut waiting = [waiting(&book, [[1, 6], [7, 8], [6, 6]])];
        let first = window(&mut waiting, 0, 10, 5).unwrap();
        let second = window(&mut waiting, 5, 15, 10).unwrap();
        assert_eq!((first.messages().len(), shown(&second).len()), (6, 5));
        second.deliver();
        assert!(book.told().is_empty());
        first.fail(&Error::failed("no"));
        let all = || Some(vec![10, 11]);
        assert_eq!(book.told(), [(0, all()), (1, all()), (2, all())]);
    }

    #[test]
    fn what_is_lost_is_not_delivered() {
        let book = Arc::new(Book::default());
        let mut first = [waiting(&book, [[1, 2], [2, 11], [12, 12]])];
        let given = window(&mut first, 0, 10, 10).unwrap();
        drop(first);
        given.deliver();
        assert_eq!(book.told(), [(0, None), (1, Some(vec![])), (2, Some(vec![]))]);
        let second = waiting(&book, [[1, 2], [2, 11], [12, 12]]);
        second.fail(&Error::failed("no"));
        assert_eq!(book.told(), [(0, Some(vec![])), (1, Some(vec![])), (2, Some(vec![]))]);
    }

    #[test]
    fn late_messages_are_delivered_and_bad_batches_fail() {
        let book = Arc::new(Book::default());
        let mut frame = Frame::new(Arc::clone(&book) as Arc<dyn Origin>);
        (0..3).for_each(|slot| frame.push([Message::new("x")], slot));
        let times = vec![Ok(vec![5]), Err(Error::failed("no time")), Ok(vec![6])];
        let mut waiting = [Waiting::new(frame, times, 5).unwrap()];
        assert_eq!(book.told(), [(0, None), (1, Some(vec![]))]);
        window(&mut waiting, 0, 10, 10).unwrap().deliver();
        assert_eq!(book.told(), [(2, None)]);
    }
}

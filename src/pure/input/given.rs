//! Batches that an input passed on, kept until they are delivered and given again when they fail.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use weir_bloblang::Message;
use weir_core::{
    ack::{Failure, Origin},
    frame::{Frame, Mark},
};

/// How long a batch waits before it is given again.
const PAUSE: Duration = Duration::from_millis(100);

/// What was passed on and has met no end yet.
#[derive(Default)]
pub(super) struct Given {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    open: usize,
    again: VecDeque<(Instant, Frame)>,
    closed: bool,
}

impl Given {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Passes a frame on. With `again` its failures come back here, otherwise they go on to its source.
    pub(super) fn pass(self: &Arc<Self>, frame: Frame, again: bool) -> Frame {
        self.lock().open += frame.len();
        let (messages, marks, origin) = frame.into_parts();
        let kept = if again { messages.clone() } else { Vec::new() };
        let origin = Arc::new_cyclic(|me| Passed {
            given: Arc::clone(self),
            me: Weak::clone(me),
            messages: kept,
            marks: marks.clone(),
            origin,
        });
        let marks = (0..).zip(marks).map(|(slot, mark)| Mark { end: mark.end, slot }).collect();
        Frame::from_parts(messages, marks, origin)
    }

    /// Whether everything has met its end.
    pub(super) fn is_settled(&self) -> bool {
        self.lock().open == 0
    }

    /// Waits for a batch to give again; none once everything has met its end.
    pub(super) async fn again(&self) -> Option<Frame> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let due = {
                let mut state = self.lock();
                match state.again.front() {
                    Some((due, _)) if *due <= Instant::now() => {
                        return state.again.pop_front().map(|(_, frame)| frame);
                    }
                    Some((due, _)) => Some(*due),
                    None if state.open == 0 => return None,
                    None => None,
                }
            };
            tokio::select! {
                () = changed => {}
                () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => {}
            }
        }
    }

    /// From now on failures go to the sources.
    pub(super) fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            mem::take(&mut state.again)
        };
        drop(waiting);
    }

    fn settled(&self) {
        self.lock().open -= 1;
        self.changed.notify_one();
    }
}

/// The origin of one frame.
struct Passed {
    given: Arc<Given>,
    me: Weak<Self>,
    /// Copies; empty if its failures go to its source.
    messages: Vec<Message>,
    marks: Vec<Mark>,
    origin: Arc<dyn Origin>,
}

impl Passed {
    /// Copies of the messages of a batch that failed.
    fn failed(&self, slot: usize, failure: &Failure) -> Vec<Message> {
        let start = slot.checked_sub(1).and_then(|before| self.marks.get(before)).map_or(0, |mark| mark.end);
        let end = self.marks.get(slot).map_or(start, |mark| mark.end);
        let batch = self.messages.get(start as usize..end as usize).unwrap_or_default();
        let is_meant = |message: &&Message| failure.of(message.tag).is_some();
        batch.iter().filter(is_meant).cloned().collect()
    }
}

impl Origin for Passed {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        if let Err(failure) = &outcome
            && let Some(me) = self.me.upgrade()
        {
            let failed = self.failed(slot as usize, failure);
            let mut state = self.given.lock();
            if !failed.is_empty() && !state.closed {
                state.again.push_back((Instant::now() + PAUSE, Frame::single(failed, slot, me)));
                drop(state);
                return self.given.changed.notify_one();
            }
        }
        if let Some(mark) = self.marks.get(slot as usize) {
            self.origin.settle(mark.slot, outcome);
        }
        self.given.settled();
    }
}

//! What happened lately: the last ten thousand transitions and changes, for whoever follows them.
//!
//! Readers pull: each remembers the last event that it saw. So one that never reads costs nothing and delays nobody.

use crate::{
    record::{self, Key},
    status::{LastError, Phase},
};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Events kept.
const KEPT: usize = 10_000;
/// Ids go on across restarts: they begin at the milliseconds since 1970, times this.
const PER_MILLISECOND: u64 = 1000;
/// The most bytes of a reason that an event keeps.
const REASON: usize = 1000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Later events have larger ones, also after a restart.
    pub id: u64,
    /// In milliseconds since 1970.
    pub time: u64,
    /// The stream or resource.
    pub key: Key,
    /// What.
    pub what: What,
    /// The generation that it is about.
    pub generation: Option<u64>,
    /// The revision that it is about.
    pub revision: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// It entered a phase, for a reason if that is not a good one.
    Phase(Phase, Option<String>),
    /// Something went wrong in what runs, and it goes on.
    Error(LastError),
    /// What is desired was changed, or taken away.
    Changed {
        /// Whether it is gone.
        deleted: bool,
    },
}

/// The events of a process.
pub struct Events {
    kept: Mutex<VecDeque<Event>>,
    /// The newest id; `CLOSED` once there will be no more.
    newest: watch::Sender<u64>,
}

const CLOSED: u64 = u64::MAX;

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// These come next.
    Next(Vec<Event>),
    /// There are none for now.
    Nothing,
    /// The next ones are not kept any more: the reader was too slow.
    Missed,
    /// There will be no more.
    Over,
}

impl Default for Events {
    fn default() -> Self {
        let newest = watch::Sender::new(record::now().saturating_mul(PER_MILLISECOND));
        Self { kept: Mutex::default(), newest }
    }
}

/// The beginning of a text.
fn cut(mut text: String) -> String {
    if text.len() > REASON {
        text.truncate(text.floor_char_boundary(REASON));
        text.push('…');
    }
    text
}

impl Events {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, forgetting the oldest.
    pub(crate) fn tell(&self, key: &Key, what: What, generation: Option<u64>, revision: Option<u64>) {
        let what = match what {
            What::Phase(phase, reason) => What::Phase(phase, reason.map(cut)),
            What::Error(error) => What::Error(LastError { message: cut(error.message), ..error }),
            changed @ What::Changed { .. } => changed,
        };
        let mut kept = self.kept();
        let newest = *self.newest.borrow();
        if newest == CLOSED {
            return;
        }
        if kept.len() == KEPT {
            kept.pop_front();
        }
        let id = newest + 1;
        kept.push_back(Event { id, time: record::now(), key: key.clone(), what, generation, revision });
        self.newest.send_replace(id);
    }

    /// Lets all readers end.
    pub(crate) fn close(&self) {
        let _kept = self.kept();
        self.newest.send_replace(CLOSED);
    }

    /// The id of the newest.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// All that are kept, from the first change after a revision on.
    pub fn since(&self, revision: Option<u64>) -> Vec<Event> {
        let kept = self.kept();
        let is_later = |event: &Event| {
            let changed = matches!(event.what, What::Changed { .. }) && event.revision > revision;
            revision.is_none() || changed
        };
        let first = kept.iter().position(is_later).unwrap_or(kept.len());
        kept.iter().skip(first).cloned().collect()
    }

    /// The id after which all that are kept come.
    pub fn before_oldest(&self) -> u64 {
        self.kept().front().map_or_else(|| self.newest(), |oldest| oldest.id - 1)
    }

    /// The first of those after an id.
    pub fn after(&self, id: u64, at_most: usize) -> Read {
        let kept = self.kept();
        let newest = self.newest();
        if newest == CLOSED {
            return Read::Over;
        }
        if newest <= id {
            return Read::Nothing;
        }
        if kept.front().is_none_or(|oldest| oldest.id > id + 1) {
            return Read::Missed;
        }
        let first = kept.partition_point(|event| event.id <= id);
        Read::Next(kept.iter().skip(first).take(at_most).cloned().collect())
    }

    /// Waits until there is one after an id, or for so long; whether there is one.
    pub async fn wait(&self, id: u64, at_most: Duration) -> bool {
        let mut newest = self.newest.subscribe();
        tokio::time::timeout(at_most, newest.wait_for(|newest| *newest > id)).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(read: Read, from: u64) -> Vec<u64> {
        let Read::Next(events) = read else { panic!("{read:?}") };
        events.iter().map(|event| event.id - from).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_pulls_and_one_that_is_too_slow_is_told() {
        let events = Events::default();
        let from = events.newest();
        let tell = |revision| {
            events.tell(&Key::stream("a"), What::Changed { deleted: false }, Some(1), Some(revision));
        };
        (1..=3).for_each(tell);
        assert_eq!(ids(events.after(from, 2), from), [1, 2]);
        assert_eq!(ids(events.after(from + 2, 2), from), [3]);
        assert_eq!(events.after(from + 3, 2), Read::Nothing);
        assert_eq!((events.since(Some(2)).len(), events.since(Some(3)).len()), (1, 0));
        assert!(events.wait(from + 2, Duration::from_secs(1)).await);
        assert!(!events.wait(from + 3, Duration::from_secs(1)).await);
        (4..=KEPT as u64 + 2).for_each(tell);
        assert_eq!(events.after(from + 1, 2), Read::Missed);
        assert_eq!(ids(events.after(from + 2, 2), from), [3, 4]);
        assert_eq!((events.since(None).len(), events.before_oldest()), (KEPT, from + 2));
        events.close();
        tell(1);
        assert_eq!(events.after(from + 2, 2), Read::Over);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut("é".repeat(700)), format!("{}…", "é".repeat(500)));
    }
}

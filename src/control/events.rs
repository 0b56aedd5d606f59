//! What happened lately: the last ten thousand transitions and changes, for whoever follows them.
//!
//! Readers pull: each remembers the last event that it saw. So one that never reads costs nothing and delays nobody.

use crate::{
    record::{self, Key},
    status::Phase,
};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// Events kept.
const KEPT: usize = 10_000;
/// Ids go on across restarts: they begin at the milliseconds since 1970, times this.
const PER_MILLISECOND: u64 = 1000;

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
    /// What is desired was changed, or taken away.
    Changed {
        /// Whether it is gone.
        deleted: bool,
    },
}

/// The events of a process.
pub struct Events {
    kept: Mutex<VecDeque<Arc<Event>>>,
    /// The newest id.
    newest: watch::Sender<u64>,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// These come next.
    Next(Vec<Arc<Event>>),
    /// There are none for now.
    Nothing,
    /// The next ones are not kept any more: the reader was too slow.
    Missed,
}

impl Default for Events {
    fn default() -> Self {
        let newest = watch::Sender::new(record::now().saturating_mul(PER_MILLISECOND));
        Self { kept: Mutex::default(), newest }
    }
}

impl Events {
    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one, forgetting the oldest.
    pub(crate) fn tell(&self, key: &Key, what: What, generation: Option<u64>, revision: Option<u64>) {
        let mut kept = self.kept();
        let id = *self.newest.borrow() + 1;
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(Arc::new(Event { id, time: record::now(), key: key.clone(), what, generation, revision }));
        self.newest.send_replace(id);
    }

    /// The id of the newest.
    pub fn newest(&self) -> u64 {
        *self.newest.borrow()
    }

    /// All that are kept, of revisions after one.
    pub fn since(&self, revision: u64) -> Vec<Arc<Event>> {
        let is_later = |event: &&Arc<Event>| revision == 0 || event.revision.is_some_and(|at| at > revision);
        self.kept().iter().filter(is_later).cloned().collect()
    }

    /// The first of those after an id.
    pub fn after(&self, id: u64, at_most: usize) -> Read {
        let kept = self.kept();
        if self.newest() <= id {
            return Read::Nothing;
        }
        if kept.front().is_none_or(|oldest| oldest.id > id + 1) {
            return Read::Missed;
        }
        let first = kept.partition_point(|event| event.id <= id);
        Read::Next(kept.iter().skip(first).take(at_most).cloned().collect())
    }

    /// Waits until there is one after an id, or for so long.
    pub async fn wait(&self, id: u64, at_most: Duration) {
        let mut newest = self.newest.subscribe();
        // Nobody is left to tell: the process ends.
        let _waited = tokio::time::timeout(at_most, newest.wait_for(|newest| *newest > id)).await;
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
        assert_eq!(events.since(2).len(), 1);
        events.wait(from + 2, Duration::MAX).await;
        events.wait(from + 3, Duration::from_secs(1)).await;
        (4..=KEPT as u64 + 2).for_each(tell);
        assert_eq!(events.after(from + 1, 2), Read::Missed);
        assert_eq!(ids(events.after(from + 2, 2), from), [3, 4]);
        assert_eq!(events.since(0).len(), KEPT);
    }
}

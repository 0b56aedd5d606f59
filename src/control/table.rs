//! The table: for each key what is desired and what is, the queue of keys to look at, and who waits for them.

use crate::{
    diff::{Have, Run, Want},
    progress::Progress,
    record::{self, Desired, Key, Kind, StoredCheckpoint},
    runtime::{Ended, Expect, Prepared, Running},
    status::{self, LastError, Observed, Phase, View},
    store::{committer::Committed, folder::Condition},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// Waits until several keys are settled.
#[derive(Debug, Default)]
pub(crate) struct Barrier {
    left: AtomicUsize,
    done: Notify,
}

impl Barrier {
    pub(crate) fn new(keys: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(keys), done: Notify::new() })
    }

    pub(crate) fn arrive(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }

    /// True when all have settled, false when time is up.
    pub(crate) async fn wait(&self, at_most: Duration) -> bool {
        let settled = async {
            loop {
                let done = self.done.notified();
                tokio::pin!(done);
                // Enabled before the look, so that an arrival between the two is not missed.
                done.as_mut().enable();
                if self.left.load(Ordering::Acquire) == 0 {
                    return;
                }
                done.await;
            }
        };
        tokio::time::timeout(at_most, settled).await.is_ok()
    }
}

/// What runs.
pub(crate) struct Live {
    pub(crate) run: Run,
    pub(crate) token: u64,
    pub(crate) running: Arc<dyn Running>,
    pub(crate) started: Instant,
    /// What it promised.
    pub(crate) expect: Option<Expect>,
}

/// A failed run and when it may start again.
pub(crate) struct Failure {
    pub(crate) run: Run,
    /// `None` once it failed too often.
    pub(crate) due: Option<Instant>,
    pub(crate) next_retry: Option<u64>,
}

impl Failure {
    pub(crate) fn phase(&self) -> Phase {
        if self.due.is_some() { Phase::BackingOff } else { Phase::Failed }
    }
}

/// A run that could not be built, and the state of the resources then.
pub(crate) struct Invalid {
    pub(crate) run: Run,
    pub(crate) epoch: u64,
    pub(crate) reason: String,
}

/// All about one key.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "independent marks of the queue, not a state in disguise")]
pub(crate) struct Slot {
    pub(crate) desired: Option<Arc<Desired>>,
    /// The commit that said so.
    pub(crate) commit: u64,
    pub(crate) handed: Option<(Run, Box<dyn Prepared>)>,
    pub(crate) live: Option<Live>,
    /// The run that is over, for its figures.
    pub(crate) last: Option<Arc<dyn Running>>,
    /// How the live run ended, until it is looked at.
    pub(crate) ended: Option<Ended>,
    /// Whether that is being stored.
    pub(crate) ending: bool,
    early: Option<(u64, Ended)>,
    pub(crate) failed: Option<Failure>,
    pub(crate) invalid: Option<Invalid>,
    /// What runs uses a resource that is gone.
    pub(crate) lacking: bool,
    /// The resources that a generation uses, as of its last build.
    pub(crate) uses: Option<(u64, Vec<Key>)>,
    /// Failures in a row.
    pub(crate) failures: u32,
    pub(crate) restarts: u32,
    pub(crate) last_error: Option<LastError>,
    pub(crate) phase: Phase,
    /// The phase that was told last.
    pub(crate) told: Phase,
    pub(crate) since: u64,
    /// When an error was told last, in milliseconds since 1970.
    pub(crate) error_told: u64,
    /// Of the last run that is over, in milliseconds.
    pub(crate) uptime: u64,
    /// What is watched of the run, if anything is.
    pub(crate) progress: Option<Box<Progress>>,
    /// The newest acknowledged positions, for the next run.
    pub(crate) checkpoints: HashMap<String, Arc<str>>,
    pub(crate) lineage: u64,
    /// Taken from the run and not yet covered by a sync.
    pub(crate) unsynced: HashMap<String, Arc<str>>,
    pub(crate) syncing: bool,
    pub(crate) stop_timeout: Option<Duration>,
    waiters: Vec<(u64, Arc<Barrier>)>,
    queued: bool,
    pub(crate) busy: bool,
    again: bool,
}

impl Slot {
    pub(crate) fn want(&self) -> Option<Want> {
        self.desired.as_deref().and_then(Want::of)
    }

    pub(crate) fn have(&self, epoch: u64) -> Have {
        Have {
            running: self.live.as_ref().map(|live| live.run),
            failed: self.failed.as_ref().map(|failed| {
                let is_due = failed.due.is_some_and(|due| due <= Instant::now());
                (failed.run, is_due)
            }),
            invalid: self.invalid.as_ref().map(|invalid| (invalid.run, invalid.epoch != epoch)),
            lacking: self.lacking,
        }
    }

    /// Takes changed positions from the run into the slot.
    pub(crate) fn collect_checkpoints(&mut self) {
        let Some(live) = &self.live else { return };
        let taken = catch_unwind(AssertUnwindSafe(|| live.running.take_checkpoints())).unwrap_or_default();
        for (path, text) in taken {
            self.checkpoints.insert(path.clone(), Arc::clone(&text));
            self.unsynced.insert(path, text);
        }
    }

    /// Notes how a run ended; one that was replaced no longer counts.
    pub(crate) fn note_end_of(&mut self, token: u64, ended: Ended) {
        match &self.live {
            Some(live) if live.token == token => {
                self.ended.get_or_insert(ended);
            }
            // It ended before its start returned.
            _ if self.early.as_ref().is_none_or(|(early, _)| *early < token) => {
                self.early = Some((token, ended));
            }
            _ => {}
        }
    }

    /// How a run ended that has only just started.
    pub(crate) fn early_end(&mut self, token: u64) -> Option<Ended> {
        self.early.take().filter(|(early, _)| *early == token).map(|(_, ended)| ended)
    }

    /// Why the run that is wanted cannot be built, if it was tried.
    fn unbuilt(&self) -> Option<&str> {
        let invalid = self.invalid.as_ref()?;
        self.want().is_some_and(|want| want.run == invalid.run).then_some(invalid.reason.as_str())
    }

    /// What is seen of it; in a list of many only what a list shows: no counters, and the connections that are down.
    pub(crate) fn view(&self, key: &Key, whole: bool) -> View {
        let (live, run) = (self.live.as_ref(), self.live.as_ref().map(|live| &live.running));
        let links = ask(run, |run| if whole { run.links() } else { run.down() });
        let counters = ask(run.or(self.last.as_ref()).filter(|_| whole), Running::counters);
        let fault = ask(run.or(self.last.as_ref()).filter(|_| whole), Running::fault);
        let uptime = live.map(|live| record::millis(live.started.elapsed()));
        let status = status::judge(&Observed {
            desired: self.desired.as_deref(),
            stage: (self.phase, self.since),
            running: live.map(|live| live.run.0),
            over: self.ended.is_some(),
            links: &links,
            unbuilt: self.unbuilt(),
            failure: self.last_error.as_ref(),
            fault: fault.as_ref(),
            restarts: self.restarts,
            next_retry: self.failed.as_ref().and_then(|failed| failed.next_retry),
            uptime: uptime.unwrap_or(self.uptime),
            silent: self.progress.as_ref().and_then(|progress| progress.silent),
            stuck: self.progress.as_ref().and_then(|progress| progress.stuck),
            counters,
        });
        View { key: key.clone(), desired: self.desired.clone(), status, links }
    }

    fn is_listed(&self) -> bool {
        self.live.is_some() || self.desired.as_ref().is_some_and(|desired| desired.is_present())
    }
}

/// What a run says of itself; nothing when it panics.
pub(crate) fn ask<T: Default>(run: Option<&Arc<dyn Running>>, ask: impl FnOnce(&dyn Running) -> T) -> T {
    run.and_then(|run| catch_unwind(AssertUnwindSafe(|| ask(&**run))).ok()).unwrap_or_default()
}

/// Whether a record asks to be looked at each second.
fn asks(desired: &Arc<Desired>) -> bool {
    let ends = desired.overridden.as_ref().is_some_and(|over| over.expires_at.is_some());
    ends || desired.on_probation().is_some()
}

/// The table itself; always behind a lock that is never held over a wait.
#[derive(Default)]
pub(crate) struct Table {
    pub(crate) slots: BTreeMap<Key, Slot>,
    ready: VecDeque<Key>,
    due: BTreeSet<(Instant, Key)>,
    /// Counts the changes of resources.
    pub(crate) epoch: u64,
    pub(crate) token: u64,
    pub(crate) revision: u64,
    pub(crate) stopping: bool,
    /// Streams are looked at: the resources had their time to start.
    pub(crate) booted: bool,
    /// Positions whose outputs are synced, to be committed.
    pub(crate) synced: HashMap<(Arc<str>, String), StoredCheckpoint>,
    pub(crate) conditions: Vec<Condition>,
    /// Keys whose records ask to be looked at each second: on probation, or changed over a file for a time.
    pub(crate) watched: BTreeSet<Key>,
    /// Some run promised progress, and is to be looked at each second.
    pub(crate) promises: bool,
}

impl Table {
    /// Takes a committed record in, unless a later one is known; the key is then to be woken.
    pub(crate) fn accept(
        &mut self,
        key: &Key,
        desired: Option<Arc<Desired>>,
        commit: u64,
    ) -> Option<&mut Slot> {
        if desired.is_none() && !self.slots.contains_key(key) {
            return None;
        }
        let slot =
            self.slots.entry(key.clone()).or_insert_with(|| Slot { since: record::now(), ..Slot::default() });
        if commit >= slot.commit {
            slot.commit = commit;
            let lineage = desired.as_ref().map_or(0, |desired| desired.lineage);
            if lineage != slot.lineage {
                slot.lineage = lineage;
                slot.checkpoints.clear();
                slot.unsynced.clear();
            }
            // Of those that no longer ask the next look lets go.
            if desired.as_ref().is_some_and(asks) {
                self.watched.insert(key.clone());
            }
            slot.desired = desired;
        }
        Some(slot)
    }

    /// What `look` finds of the keys that ask to be looked at.
    pub(crate) fn watch<T>(&mut self, look: impl Fn(&Slot) -> Option<T>) -> Vec<(Key, T)> {
        let slots = &self.slots;
        self.watched.retain(|key| slots.get(key).and_then(|slot| slot.desired.as_ref()).is_some_and(asks));
        let found = self.watched.iter().filter_map(|key| Some((key.clone(), look(slots.get(key)?)?)));
        found.collect()
    }

    /// Takes in what was committed here.
    pub(crate) fn take(&mut self, committed: Committed) {
        let Committed { commit, revision, records } = committed;
        self.revision = self.revision.max(revision);
        for (key, desired) in records {
            self.accept(&key, desired, commit);
            self.wake(&key);
        }
    }

    /// Adds someone who waits until a key is settled as of `commit`.
    pub(crate) fn wait_for(&mut self, key: &Key, commit: u64, barrier: &Arc<Barrier>) {
        match self.slots.get_mut(key) {
            Some(slot) => slot.waiters.push((commit, Arc::clone(barrier))),
            None => barrier.arrive(),
        }
    }

    /// Puts a key into the queue once, however often it is woken.
    pub(crate) fn wake(&mut self, key: &Key) {
        let held = !self.booted && key.kind == Kind::Stream;
        let Some(slot) = self.slots.get_mut(key).filter(|_| !held) else { return };
        if slot.busy {
            slot.again = true;
        } else if !slot.queued {
            slot.queued = true;
            self.ready.push_back(key.clone());
        }
    }

    /// Wakes a key at a time.
    pub(crate) fn wake_at(&mut self, key: &Key, at: Instant) {
        self.due.insert((at, key.clone()));
    }

    /// The next key to look at, marked busy; else when the next one is due.
    pub(crate) fn next(&mut self) -> Result<Key, Option<Instant>> {
        let now = Instant::now();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.due.pop_first() {
                self.wake(&key);
            }
        }
        while let Some(key) = self.ready.pop_front() {
            let Some(slot) = self.slots.get_mut(&key) else { continue };
            slot.queued = false;
            if !self.stopping {
                slot.busy = true;
                return Ok(key);
            }
        }
        Err(self.due.first().map(|(at, _)| *at))
    }

    /// Keys that wait to be looked at.
    pub(crate) fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// A key has been looked at.
    pub(crate) fn finish(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        slot.busy = false;
        if std::mem::take(&mut slot.again) {
            self.wake(key);
        } else if slot.desired.is_none() && slot.live.is_none() && slot.waiters.is_empty() {
            // Only here, where the key is not busy: a slot made anew could be looked at twice at once.
            self.slots.remove(key);
        }
    }

    /// Everything desired of a key as of its newest commit is done, or failed to be.
    pub(crate) fn settle(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let commit = slot.commit;
        slot.waiters.retain(|(wanted, barrier)| {
            let settled = *wanted <= commit;
            if settled {
                barrier.arrive();
            }
            !settled
        });
    }

    /// Wakes what could not be built: a resource changed.
    pub(crate) fn resource_changed(&mut self) {
        self.epoch += 1;
        let waiting: Vec<Key> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.invalid.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        for key in &waiting {
            self.wake(key);
        }
    }

    /// The first of these that should not be there.
    pub(crate) fn missing(&self, keys: &[Key]) -> Option<Key> {
        let is_there = |slot: &Slot| slot.desired.as_ref().is_some_and(|desired| desired.is_present());
        keys.iter().find(|key| !self.slots.get(key).is_some_and(is_there)).cloned()
    }

    /// A resource is gone: what uses it cannot go on.
    pub(crate) fn resource_gone(&mut self, gone: &Key) {
        let asked = |slot: &Slot| ask(slot.live.as_ref().map(|live| &live.running), Running::uses);
        let lacking = self.slots.iter().filter(|(_, slot)| asked(slot).contains(gone));
        let users: Vec<Key> = lacking.map(|(key, _)| key.clone()).collect();
        for key in &users {
            if let Some(slot) = self.slots.get_mut(key) {
                slot.lacking = true;
            }
            self.wake(key);
        }
    }

    /// The keys of a kind that are listed.
    pub(crate) fn listed(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Slot)> {
        let of_kind = self.slots.iter().filter(move |(key, _)| key.kind == kind);
        of_kind.filter(|(_, slot)| slot.is_listed())
    }
}

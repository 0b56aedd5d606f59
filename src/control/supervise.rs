//! Looks at what runs, once a second: connections come and go, and messages stay away, without anybody being told.

use crate::{
    events::What,
    reconcile::Shared,
    record::{self, Key, Kind},
    runtime::Running,
    status::Phase,
    table::{Slot, ask},
};
use std::{sync::Arc, time::Duration};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// An error of a stream is told so many milliseconds after the one before it.
const ERROR_AFTER: u64 = 10_000;
/// Every so many looks, streams that promised nothing are asked for their progress as well.
const SELDOM: u64 = 30;
/// Every so many looks, the past is pruned.
const PRUNED: u64 = 3600;

impl Shared {
    /// Looks at all streams until it is dropped.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut connections, mut faults, mut deferred) = (None, None, false);
        for look in 0.. {
            tick.tick().await;
            // Read before the look: what changes during it is looked at next time.
            let now = self.builder.changes();
            let differs = |before: &mut Option<u64>, now: Option<u64>| {
                now.is_none() || std::mem::replace(before, now) != now
            };
            let links = differs(&mut connections, now.map(|now| now.connections));
            let errors = differs(&mut faults, now.map(|now| now.faults)) || deferred;
            deferred = self.look_at_runs(look % SELDOM == 0, links, errors);
            self.judge_trials().await;
            if look % PRUNED == PRUNED / 60 {
                self.commits
                    .prune()
                    .await
                    .unwrap_or_else(|error| tracing::debug!(%error, "nothing is pruned"));
            }
        }
    }

    /// Whether there was an error that it is too early to tell of.
    fn look_at_runs(&self, all: bool, links: bool, errors: bool) -> bool {
        let mut table = self.table();
        if !(all || links || errors || table.promises) {
            return false;
        }
        let (mut promises, mut deferred) = (false, false);
        let streams = table.slots.iter_mut().filter(|(key, _)| key.kind == Kind::Stream);
        let mut broken = Vec::new();
        for (key, slot) in streams {
            promises |= slot.live.as_ref().is_some_and(|live| live.expect.is_some());
            if self.look_at_progress(key, slot, all) {
                broken.push(key.clone());
            }
            if links {
                self.look_at_links(key, slot);
            }
            if errors {
                deferred |= self.look_at_errors(key, slot);
            }
        }
        table.promises = promises;
        for key in &broken {
            table.wake(key);
        }
        drop(table);
        if !broken.is_empty() {
            self.work.notify_one();
        }
        deferred
    }

    /// Tells of what went wrong in what runs, not too often; whether it is too early for that.
    fn look_at_errors(&self, key: &Key, slot: &mut Slot) -> bool {
        let Some(live) = &slot.live else { return false };
        let Some(error) = ask(Some(&live.running), Running::fault) else { return false };
        let now = record::now();
        if error.time <= slot.error_told {
            return false;
        }
        if now < slot.error_told.saturating_add(ERROR_AFTER) {
            return true;
        }
        slot.error_told = now;
        let revision = slot.desired.as_ref().map(|desired| desired.revision);
        self.events.tell(key, What::Error(error), Some(live.run.0), revision);
        false
    }

    /// Tells of a connection that was lost, or is there again.
    fn look_at_links(&self, key: &Key, slot: &mut Slot) {
        let Some(live) = slot.live.as_ref().filter(|_| slot.phase == Phase::Running) else { return };
        let is_down = !ask(Some(&live.running), Running::down).is_empty();
        if is_down || slot.told == Phase::Degraded {
            self.tell_phase(key, slot);
        }
    }
}

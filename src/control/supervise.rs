//! Looks at what runs, once a second: connections come and go, and messages stay away, without anybody being told.

use crate::{
    reconcile::Shared,
    record::{Key, Kind},
    runtime::Running,
    status::Phase,
    table::{Slot, ask},
};
use std::{sync::Arc, time::Duration};

/// How often.
const EVERY: Duration = Duration::from_secs(1);
/// Every so many looks, streams that promised nothing are asked for their progress as well.
const SELDOM: u64 = 30;
/// Every so many looks, the past is pruned.
const PRUNED: u64 = 3600;

impl Shared {
    /// Looks at all streams until it is dropped.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut connections = None;
        for look in 0.. {
            tick.tick().await;
            // Read before the look: what changes during it is looked at next time.
            let now = self.builder.changes().map(|changes| changes.connections);
            let links = now.is_none() || std::mem::replace(&mut connections, now) != now;
            self.look_at_runs(look % SELDOM == 0, links);
            self.judge_trials().await;
            if look % PRUNED == PRUNED / 60 {
                self.commits
                    .prune()
                    .await
                    .unwrap_or_else(|error| tracing::debug!(%error, "nothing is pruned"));
            }
        }
    }

    fn look_at_runs(&self, all: bool, links: bool) {
        let mut table = self.table();
        if !(all || links || table.promises) {
            return;
        }
        let mut promises = false;
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
        }
        table.promises = promises;
        for key in &broken {
            table.wake(key);
        }
        drop(table);
        if !broken.is_empty() {
            self.work.notify_one();
        }
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

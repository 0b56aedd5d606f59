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
/// Every so many looks, connections are asked for: ten thousand of them cost a measurable share of a core.
const LINKS: u64 = 3;
/// Every so many looks, streams that promised nothing are asked for their progress as well.
const SELDOM: u64 = 30;

/// Every so many looks, the past is pruned.
const PRUNED: u64 = 3600;

impl Shared {
    /// Looks at all streams until it is dropped.
    pub(crate) async fn supervise(self: Arc<Self>) {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for look in 0.. {
            tick.tick().await;
            self.look_at_runs(look % SELDOM == 0, look % LINKS == 0);
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
        let streams = table.slots.iter_mut().filter(|(key, _)| key.kind == Kind::Stream);
        let mut broken = Vec::new();
        for (key, slot) in streams {
            if self.look_at_progress(key, slot, all) {
                broken.push(key.clone());
            }
            if links {
                self.look_at_links(key, slot);
            }
        }
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
            let before = slot.told;
            self.tell_phase(key, slot);
            match (before, slot.told) {
                (Phase::Degraded, Phase::Running) => tracing::info!(%key, "all is connected again"),
                (before, Phase::Degraded) if before != Phase::Degraded => {
                    let reason = slot.view(key, false).status.reason;
                    tracing::warn!(%key, reason, "runs, but not connected");
                }
                _ => {}
            }
        }
    }
}

//! Checkpoints: taken from the runs every second, written once the outputs that they cover are synced.

use crate::{
    guard::sync_guarded,
    log::say,
    reconcile::Shared,
    record::{Key, Kind, StoredCheckpoint},
    runtime::Running,
    store::StoreError,
    table::Table,
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// How long a tick waits for quick syncs, to write their checkpoints at once.
const QUICK: Duration = Duration::from_millis(200);

impl Table {
    /// The outputs are synced and nothing runs any more: the last positions may be committed.
    pub(crate) fn keep_synced(&mut self, key: &Key) {
        let Some(slot) = self.slots.get_mut(key) else { return };
        let (lineage, texts) = (slot.lineage, std::mem::take(&mut slot.unsynced));
        self.keep(key, lineage, texts);
    }

    fn keep(&mut self, key: &Key, lineage: u64, texts: HashMap<String, Arc<str>>) {
        let newest = self.slots.get(key).map(|slot| &slot.checkpoints);
        for (path, text) in texts {
            let is_newest = newest.is_some_and(|newest| newest.get(&path) == Some(&text));
            let at = (Arc::clone(&key.id), path.clone());
            if is_newest || !self.synced.contains_key(&at) {
                let (version, stream, text) = (crate::record::MAJOR, key.id.to_string(), text.to_string());
                self.synced.insert(at, StoredCheckpoint { version, stream, path, lineage, text });
            }
        }
    }
}

/// A run with new positions, and those.
struct ChangedRun {
    key: Key,
    running: Arc<dyn Running>,
    lineage: u64,
    texts: HashMap<String, Arc<str>>,
}

impl Shared {
    /// Writes checkpoints down until it is dropped.
    pub(crate) async fn keep_checkpoints(self: Arc<Self>) {
        let mut tick = tokio::time::interval(self.options.checkpoint_every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut seen, mut at_rest) = (None, false);
        loop {
            tick.tick().await;
            let now = self.builder.changes().map(|changes| changes.checkpoints);
            let same = std::mem::replace(&mut seen, now) == now && now.is_some();
            let changed = if same && at_rest { None } else { self.changed_runs() };
            at_rest = changed.is_none();
            let syncs = TaskTracker::new();
            for run in changed.into_iter().flatten() {
                let shared = Arc::clone(&self);
                syncs.spawn(async move { shared.sync_run(run).await });
            }
            syncs.close();
            // Whatever takes longer is written by a later tick.
            let _quick = tokio::time::timeout(QUICK, syncs.wait()).await;
            self.write_checkpoints().await;
        }
    }

    /// The runs with new positions that are not being synced; `None` when no run has any, or is being synced.
    fn changed_runs(&self) -> Option<Vec<ChangedRun>> {
        let (mut changed, mut at_rest) = (Vec::new(), true);
        for (key, slot) in self.table().slots.iter_mut().filter(|(key, _)| key.kind == Kind::Stream) {
            if slot.syncing {
                at_rest = false;
                continue;
            }
            slot.collect_checkpoints();
            at_rest &= slot.unsynced.is_empty();
            if let (Some(live), false) = (&slot.live, slot.unsynced.is_empty()) {
                slot.syncing = true;
                let (running, texts) = (Arc::clone(&live.running), std::mem::take(&mut slot.unsynced));
                changed.push(ChangedRun { key: key.clone(), running, lineage: slot.lineage, texts });
            }
        }
        (!at_rest).then_some(changed)
    }

    async fn sync_run(&self, run: ChangedRun) {
        let ChangedRun { key, running, lineage, texts } = run;
        let synced = sync_guarded(&*running).await;
        let mut table = self.table();
        let Some(slot) = table.slots.get_mut(&key) else { return };
        slot.syncing = false;
        match synced {
            Ok(()) => table.keep(&key, lineage, texts),
            Err(error) => {
                say!(warn, &key, error, "outputs were not synced; its checkpoints wait");
                if slot.lineage == lineage {
                    for (path, text) in texts {
                        slot.unsynced.entry(path).or_insert(text);
                    }
                }
            }
        }
    }

    /// Commits what is synced; what is refused for want of room is tried again.
    pub(crate) async fn write_checkpoints(&self) {
        let ready = std::mem::take(&mut self.table().synced);
        if ready.is_empty() {
            return;
        }
        let written = self.commits.checkpoint(ready.values().cloned().collect()).await;
        if let Err(StoreError::Full(_)) = written {
            let mut table = self.table();
            for (key, checkpoint) in ready {
                table.synced.entry(key).or_insert(checkpoint);
            }
        }
    }
}

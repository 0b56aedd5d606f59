//! The control plane of one process: what it is made of, how it starts and how it ends.

pub use crate::write::{
    BuildOnce, Overriding, Plan, PlannedChange, Submission, WriteError, WriteOptions, Written,
};

use crate::{
    guard::{stop_guarded, sync_guarded},
    reconcile::{Options, Shared},
    record::{Desired, Key, Kind},
    runtime::{Builder, Running},
    store::{
        StoreError,
        committer::{Change, Commits, ITSELF, Loaded, Origin},
    },
    table::Barrier,
};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, MutexGuard, RwLock};

/// Locks that keep two writes of one key apart.
const STRIPES: usize = 64;
/// How long the resources may take at boot before the streams start anyway.
const RESOURCES_WITHIN: Duration = Duration::from_secs(30);

/// The control plane of one process.
pub struct Service {
    pub(crate) shared: Arc<Shared>,
    stripes: [Mutex<()>; STRIPES],
    hasher: RandomState,
    /// A whole set excludes all other writes.
    pub(crate) gate: RwLock<()>,
}

impl Service {
    /// Takes over what the store held. Nothing runs before `boot`.
    pub fn new(builder: Arc<dyn Builder>, commits: Commits, loaded: Loaded, options: Options) -> Self {
        let shared = Shared::new(builder, commits, options);
        {
            let mut table = shared.table();
            table.revision = loaded.meta.revision;
            let mut completed = 0;
            for desired in loaded.desired {
                let key = desired.key();
                completed += usize::from(desired.is_completed());
                let uptime = desired.completed.as_ref().map_or(0, |completed| completed.uptime);
                if let Some(slot) = table.accept(&key, Some(desired), loaded.meta.commit) {
                    slot.uptime = uptime;
                }
            }
            if completed > 0 {
                tracing::info!("{completed} streams completed before; PUT runs one again");
            }
            for checkpoint in loaded.checkpoints {
                if let Some(slot) = table.slots.get_mut(&Key::stream(checkpoint.stream)) {
                    slot.checkpoints.insert(checkpoint.path, checkpoint.text.into());
                }
            }
        }
        let stripes = std::array::from_fn(|_| Mutex::new(()));
        Self { shared, stripes, hasher: RandomState::new(), gate: RwLock::new(()) }
    }

    /// Starts everything on the current runtime: resources first, then the streams.
    pub async fn boot(&self) {
        self.boot_resources().await;
        self.boot_streams();
    }

    /// Starts the reconciler on the current runtime, and the resources. Returns when they have started or failed to.
    /// Files are taken over between this and `boot_streams`.
    pub async fn boot_resources(&self) {
        let shared = &self.shared;
        shared.run_loop(Arc::clone(shared).dispatch());
        shared.run_loop(Arc::clone(shared).keep_checkpoints());
        shared.run_loop(Arc::clone(shared).supervise());
        let resources: Vec<Key> =
            shared.table().slots.keys().filter(|key| key.kind != Kind::Stream).cloned().collect();
        let barrier = Barrier::new(resources.len());
        for key in &resources {
            shared.table().wait_for(key, 0, &barrier);
            shared.wake(key);
        }
        if !resources.is_empty() && !barrier.wait(RESOURCES_WITHIN).await {
            tracing::warn!("not all resources are there yet; the streams start anyway");
        }
    }

    /// Keeps what is wanted of a stream from starting, if this generation is; to be called before the streams start.
    pub async fn quarantine(&self, id: &str, generation: u64, reason: String) -> Result<(), StoreError> {
        let key = Key::stream(id);
        let origin = Origin { actor: ITSELF.into(), verb: "QUARANTINE".into(), note: Some(reason.clone()) };
        let change = Change::Quarantine { key, generation, reason };
        let committed = self.shared.commits.commit(vec![change], Some(origin)).await?;
        self.shared.tell_changes(&committed);
        self.shared.table().take(committed);
        Ok(())
    }

    /// Lets the streams start.
    pub fn boot_streams(&self) {
        let mut table = self.shared.table();
        table.booted = true;
        let streams: Vec<Key> = table.slots.keys().filter(|key| key.kind == Kind::Stream).cloned().collect();
        for key in &streams {
            table.wake(key);
        }
        drop(table);
        self.shared.work.notify_one();
    }

    /// Stops everything, each within `timeout`, and stores the last positions. The desired state stays as it is.
    pub async fn shutdown(&self, timeout: Duration) {
        self.shared.table().stopping = true;
        self.shared.end_loops();
        self.shared.events.close();
        let live: Vec<(Key, Arc<dyn Running>)> = {
            let table = self.shared.table();
            let live = table.slots.iter().filter_map(|(key, slot)| Some((key, slot.live.as_ref()?)));
            live.map(|(key, live)| (key.clone(), Arc::clone(&live.running))).collect()
        };
        let stops = tokio_util::task::TaskTracker::new();
        let (resources, streams): (Vec<_>, Vec<_>) =
            live.into_iter().partition(|(key, _)| key.kind != Kind::Stream);
        // Streams use resources: those go last.
        for group in [streams, resources] {
            for (key, running) in group {
                let shared = Arc::clone(&self.shared);
                stops.spawn(async move {
                    stop_guarded(&key, &*running, timeout).await;
                    if key.kind != Kind::Stream {
                        return;
                    }
                    let synced = sync_guarded(&*running).await;
                    let mut table = shared.table();
                    if let Some(slot) = table.slots.get_mut(&key) {
                        slot.collect_checkpoints();
                    }
                    if synced.is_ok() {
                        table.keep_synced(&key);
                    }
                });
            }
            stops.close();
            stops.wait().await;
            stops.reopen();
        }
        self.shared.tasks.close();
        if tokio::time::timeout(timeout, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("some changes were still under way at the end");
        }
        self.shared.write_checkpoints().await;
    }

    fn stripe(&self, key: &Key) -> &Mutex<()> {
        let hash = self.hasher.hash_one(key);
        let index = usize::try_from(hash % STRIPES as u64).unwrap_or(0);
        &self.stripes[index]
    }

    pub(crate) async fn lock(&self, key: &Key) -> MutexGuard<'_, ()> {
        self.stripe(key).lock().await
    }

    /// The record of a key that is listed.
    pub fn desired(&self, key: &Key) -> Option<Arc<Desired>> {
        self.stored(key).filter(|desired| desired.is_present())
    }

    /// The record of a key, also one that only remembers a deletion.
    pub fn stored(&self, key: &Key) -> Option<Arc<Desired>> {
        self.shared.table().slots.get(key).and_then(|slot| slot.desired.clone())
    }
}

//! The write path: dry build, durable commit, wake, wait, answer. And the views that the API reads.

use crate::{
    diff::Run,
    plan::{Build, plan_delete, plan_put},
    reconcile::{Options, Shared, build_guarded, stop_guarded, sync_guarded},
    record::{self, Desired, Format, Key, Kind, Revision, Wanted, keys},
    runtime::{BuildFailure, Builder, Prepared, Running},
    status::View,
    store::{
        StoreError,
        committer::{Change, Commits, Committed, Loaded, Origin, Sizes},
        folder::Condition,
    },
    table::Barrier,
};
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Mutex, MutexGuard, RwLock};

/// Locks that keep two writes of one key apart.
const STRIPES: usize = 64;
/// How long the resources may take at boot before the streams start anyway.
const RESOURCES_WITHIN: Duration = Duration::from_secs(30);

/// Builds a submission from what its submitter has parsed already.
pub type BuildOnce = Box<dyn FnOnce() -> Result<Box<dyn Prepared>, BuildFailure> + Send>;

/// A spec, parsed and linted by whoever submits it.
pub struct Submission {
    /// What it is for.
    pub key: Key,
    /// The text as submitted, variables unexpanded.
    pub text: String,
    /// How it is written.
    pub format: Format,
    /// Accepted with lint errors.
    pub chilled: bool,
    /// Of its canonical form, see `record::fingerprint`: equal ones are equal specs.
    pub fingerprint: String,
    /// Builds it; without one the builder does, from the text.
    pub build: Option<BuildOnce>,
}

/// How a write is done.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// Who asks, and what for.
    pub origin: Origin,
    /// The generation that must be current; for whole sets the revision.
    pub if_match: Option<u64>,
    /// How long an old run may take to stop before it is forced.
    pub stop_timeout: Option<Duration>,
    /// How long to wait until the touched keys run or failed to; `None` answers at once.
    pub wait: Option<Duration>,
}

/// A write that was committed, or had nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The store's revision after it.
    pub revision: u64,
    /// The touched keys, with their generations unless they are gone.
    pub touched: Vec<(Key, Option<u64>)>,
    /// Whether all touched keys settled in time. They go on if not.
    pub settled: bool,
}

/// A write that changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// To be created, but there.
    #[error("{0} already exists")]
    Exists(Key),
    /// To be changed, but not there.
    #[error("{0} was not found")]
    NotFound(Key),
    /// Another generation or revision is current.
    #[error("the current generation is {current}")]
    Conflict {
        /// The current one.
        current: u64,
    },
    /// These cannot be built.
    #[error("{}", .0.iter().map(|(key, failure)| format!("{key}: {failure}")).collect::<Vec<_>>().join("; "))]
    Build(Vec<(Key, BuildFailure)>),
    /// Refused by the caller's own change.
    #[error("{0}")]
    Refused(String),
    /// It could not be stored: the API answers 507.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A change ready to be committed, with what was built for it.
pub(crate) struct Planned {
    pub(crate) change: Change,
    pub(crate) prepared: Option<Box<dyn Prepared>>,
}

/// A change that cannot be built.
pub(crate) struct Unbuilt {
    pub(crate) change: Change,
    pub(crate) key: Key,
    pub(crate) failure: BuildFailure,
}

fn build_change(builder: &dyn Builder, change: Change, build: Build) -> Result<Planned, Unbuilt> {
    let (Change::Put(desired) | Change::Touch(desired), Build::Yes(once)) = (&change, build) else {
        return Ok(Planned { change, prepared: None });
    };
    let result = build_guarded(|| match once {
        Some(once) => once(),
        None => builder.build(desired),
    });
    match result {
        Ok(prepared) => Ok(Planned { change, prepared: Some(prepared) }),
        Err(failure) => Err(Unbuilt { key: desired.key(), change, failure }),
    }
}

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
            for desired in loaded.desired {
                let key = desired.key();
                if let Some(completed) = desired.completed.as_ref().filter(|_| desired.is_completed()) {
                    let at = completed.at;
                    tracing::info!(%key, at, "completed before; PUT runs it again");
                }
                let uptime = desired.completed.as_ref().map_or(0, |completed| completed.uptime);
                if let Some(slot) = table.accept(&key, Some(desired), loaded.meta.commit) {
                    slot.uptime = uptime;
                }
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
                    stop_guarded(&*running, timeout).await;
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

    async fn lock(&self, key: &Key) -> MutexGuard<'_, ()> {
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

    /// Whether a spec is what is desired already: it need not be built.
    pub fn is_unchanged(&self, key: &Key, fingerprint: &str) -> bool {
        self.desired(key).is_some_and(|desired| desired.fingerprint == fingerprint)
    }

    /// All of a kind, by id, without connections.
    pub fn list(&self, kind: Kind) -> Vec<View> {
        self.shared.table().listed(kind).map(|(key, slot)| slot.view(key, false)).collect()
    }

    /// All of a kind, by id, with connections: for `/ready`.
    pub fn list_with_links(&self, kind: Kind) -> Vec<View> {
        self.shared.table().listed(kind).map(|(key, slot)| slot.view(key, true)).collect()
    }

    /// One key.
    pub fn view(&self, key: &Key) -> Option<View> {
        let table = self.shared.table();
        table.slots.get(key).map(|slot| slot.view(key, true)).filter(|view| {
            view.status.active || view.desired.as_ref().is_some_and(|desired| desired.is_present())
        })
    }

    /// What runs under a key, or ran last.
    pub fn running(&self, key: &Key) -> Option<Arc<dyn Running>> {
        let table = self.shared.table();
        let slot = table.slots.get(key)?;
        slot.live.as_ref().map(|live| &live.running).or(slot.last.as_ref()).map(Arc::clone)
    }

    /// The store's revision.
    pub fn revision(&self) -> u64 {
        self.shared.table().revision
    }

    /// What a person should know.
    pub fn conditions(&self) -> Vec<Condition> {
        let mut all = self.shared.commits.conditions();
        all.extend(self.shared.table().conditions.iter().cloned());
        all
    }

    /// Raises a condition of this kind, or ends it.
    pub fn raise(&self, kind: &'static str, message: Option<String>) {
        let mut table = self.shared.table();
        let conditions = &mut table.conditions;
        if !conditions.iter().any(|known| known.kind == kind && Some(&known.message) == message.as_ref()) {
            conditions.retain(|known| known.kind != kind);
            conditions.extend(message.map(|message| Condition::new(kind, message)));
        }
    }

    /// Counts the changes of resources: what could not be built for want of one may be tried again.
    pub fn resource_changes(&self) -> u64 {
        self.shared.table().epoch
    }

    /// The store's figures.
    pub fn sizes(&self) -> Sizes {
        self.shared.commits.sizes()
    }

    /// The past generations of a key that are kept, newest first; without the current one.
    pub async fn history(&self, key: &Key) -> Result<Vec<Desired>, StoreError> {
        let records = self.shared.commits.scan(keys::history_of(key)).await?;
        Ok(records.values().rev().filter_map(|bytes| record::read(bytes).ok()).collect())
    }

    /// A revision, if it is kept.
    pub async fn revision_record(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        let records = self.shared.commits.scan(keys::revision(number)).await?;
        Ok(records.values().next().and_then(|bytes| record::read(bytes).ok()))
    }

    /// Creates a stream or resource that must not exist.
    pub async fn create(
        &self,
        submission: Submission,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        self.put(submission, options, Some(false)).await
    }

    /// Changes one that must exist. Equal specs are untouched while they run; otherwise they run again.
    pub async fn replace(
        &self,
        submission: Submission,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        self.put(submission, options, Some(true)).await
    }

    /// Creates or changes a resource.
    pub async fn put_resource(
        &self,
        submission: Submission,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        self.put(submission, options, None).await
    }

    async fn put(
        &self,
        submission: Submission,
        options: &WriteOptions,
        must_exist: Option<bool>,
    ) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(&submission.key).await;
        let current = self.stored(&submission.key);
        match (current.as_ref().filter(|current| current.is_present()), must_exist) {
            (Some(_), Some(false)) => return Err(WriteError::Exists(submission.key)),
            (None, Some(true)) => return Err(WriteError::NotFound(submission.key)),
            _ => {}
        }
        let barrier = self.put_locked(current, submission, options).await?;
        drop(lock);
        Ok(barrier.finish(options).await)
    }

    /// Reads, changes and writes one key with no other write between. `change` parses, merges and lints.
    pub async fn patch(
        &self,
        key: &Key,
        options: &WriteOptions,
        change: impl FnOnce(&Desired) -> Result<Submission, WriteError> + Send,
    ) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(key).await;
        let current = self.desired(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        let submission = change(&current)?;
        let pending = self.put_locked(Some(current), submission, options).await?;
        drop(lock);
        Ok(pending.finish(options).await)
    }

    async fn put_locked(
        &self,
        current: Option<Arc<Desired>>,
        submission: Submission,
        options: &WriteOptions,
    ) -> Result<Pending, WriteError> {
        check_match(
            options,
            current.as_ref().filter(|current| current.is_present()).map_or(0, |c| c.generation),
        )?;
        let key = submission.key.clone();
        let idle = self.is_idle(&key);
        let Some((change, build)) = plan_put(current.as_ref(), submission, &options.origin, idle) else {
            return Ok(Pending::nothing(self.revision()));
        };
        let planned = self.build_all(vec![(change, build)]).await?;
        self.commit(planned, options).await
    }

    /// Deletes a key. A file's stream leaves a record behind, so that the file does not bring it back.
    pub async fn delete(&self, key: &Key, options: &WriteOptions) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(key).await;
        let current = self.desired(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        check_match(options, current.generation)?;
        let planned = Planned { change: plan_delete(&current, &options.origin), prepared: None };
        let pending = self.commit(vec![planned], options).await?;
        drop(lock);
        Ok(pending.finish(options).await)
    }

    /// Pauses or resumes a stream; with `anew` it runs again.
    pub async fn set_run(
        &self,
        key: &Key,
        wanted: Wanted,
        anew: bool,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(key).await;
        let current = self.desired(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        check_match(options, current.generation)?;
        if current.run.wanted == wanted && !anew {
            return Ok(Pending::nothing(self.revision()).finish(options).await);
        }
        let mut next = (*current).clone();
        next.run.wanted = wanted;
        next.run.number += u64::from(anew);
        let planned = Planned { change: Change::Touch(Box::new(next)), prepared: None };
        let pending = self.commit(vec![planned], options).await?;
        drop(lock);
        Ok(pending.finish(options).await)
    }

    /// Makes these the whole set of streams: one commit, one revision, all or nothing. Equal specs are untouched.
    pub async fn set_all(
        &self,
        members: Vec<Submission>,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        let gate = self.gate.write().await;
        check_match(options, self.revision())?;
        let mut members: BTreeMap<Key, Submission> =
            members.into_iter().map(|member| (member.key.clone(), member)).collect();
        let existing: Vec<Arc<Desired>> = {
            let table = self.shared.table();
            table.listed(Kind::Stream).filter_map(|(_, slot)| slot.desired.clone()).collect()
        };
        let mut changes = Vec::new();
        for current in existing.into_iter().filter(|current| current.is_present()) {
            match members.get(&current.key()) {
                None => changes.push((plan_delete(&current, &options.origin), Build::No)),
                Some(member) if member.fingerprint == current.fingerprint => {
                    members.remove(&current.key());
                }
                Some(_) => {}
            }
        }
        for (key, member) in members {
            changes.extend(plan_put(self.stored(&key).as_ref(), member, &options.origin, false));
        }
        let planned = self.build_all(changes).await?;
        let pending = self.commit(planned, options).await?;
        drop(gate);
        Ok(pending.finish(options).await)
    }

    /// Whether a key does not run as wanted, so that an explicit write of an equal spec runs it again.
    fn is_idle(&self, key: &Key) -> bool {
        let table = self.shared.table();
        table.slots.get(key).is_none_or(|slot| {
            slot.live.is_none()
                || slot.ended.is_some()
                || slot.invalid.as_ref().map(|i| i.run) == slot.want().map(|w| w.run)
        })
    }

    /// Builds what needs it; all failures are collected.
    async fn build_all(&self, changes: Vec<(Change, Build)>) -> Result<Vec<Planned>, WriteError> {
        let (mut planned, mut failures) = (Vec::with_capacity(changes.len()), Vec::new());
        for built in self.build_each(changes).await? {
            match built {
                Ok(one) => planned.push(one),
                Err(Unbuilt { key, failure, .. }) => failures.push((key, failure)),
            }
        }
        if failures.is_empty() { Ok(planned) } else { Err(WriteError::Build(failures)) }
    }

    /// Builds what needs it, on threads that may block, as many as there are cores.
    pub(crate) async fn build_each(
        &self,
        changes: Vec<(Change, Build)>,
    ) -> Result<Vec<Result<Planned, Unbuilt>>, WriteError> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let share = changes.len().div_ceil(cores).max(1);
        let mut shares = Vec::new();
        let mut changes = changes.into_iter().peekable();
        while changes.peek().is_some() {
            let part: Vec<_> = changes.by_ref().take(share).collect();
            let builder = Arc::clone(&self.shared.builder);
            shares.push(tokio::task::spawn_blocking(move || {
                part.into_iter()
                    .map(|(change, build)| build_change(&*builder, change, build))
                    .collect::<Vec<_>>()
            }));
        }
        let mut built = Vec::new();
        for share in shares {
            built.extend(share.await.map_err(|error| WriteError::Refused(error.to_string()))?);
        }
        Ok(built)
    }

    /// Commits, hands what was built to the reconciler and wakes it.
    pub(crate) async fn commit(
        &self,
        planned: Vec<Planned>,
        options: &WriteOptions,
    ) -> Result<Pending, WriteError> {
        if planned.is_empty() {
            return Ok(Pending::nothing(self.revision()));
        }
        let mut prepared = HashMap::new();
        let mut changes = Vec::with_capacity(planned.len());
        for Planned { change, prepared: built } in planned {
            if let (Change::Put(desired) | Change::Touch(desired), Some(built)) = (&change, built) {
                prepared.insert(desired.key(), built);
            }
            changes.push(change);
        }
        let Committed { commit, revision, records } =
            self.shared.commits.commit(changes, Some(options.origin.clone())).await?;
        let barrier = Barrier::new(records.len());
        let mut touched = Vec::with_capacity(records.len());
        let mut table = self.shared.table();
        table.revision = table.revision.max(revision);
        for (key, desired) in records {
            let run: Option<Run> = desired.as_ref().map(|desired| (desired.generation, desired.run.number));
            touched.push((key.clone(), desired.as_ref().filter(|d| d.is_present()).map(|d| d.generation)));
            if let Some(slot) = table.accept(&key, desired, commit) {
                slot.handed = run.zip(prepared.remove(&key));
                slot.stop_timeout = options.stop_timeout;
            }
            table.wait_for(&key, commit, &barrier);
            table.wake(&key);
        }
        drop(table);
        self.shared.work.notify_one();
        Ok(Pending { barrier, revision, touched })
    }
}

/// A commit whose keys are on their way.
pub(crate) struct Pending {
    barrier: Arc<Barrier>,
    revision: u64,
    touched: Vec<(Key, Option<u64>)>,
}

impl Pending {
    pub(crate) fn nothing(revision: u64) -> Self {
        Self { barrier: Barrier::new(0), revision, touched: Vec::new() }
    }

    pub(crate) async fn finish(self, options: &WriteOptions) -> Written {
        let settled = match options.wait {
            Some(at_most) => self.barrier.wait(at_most).await,
            None => self.touched.is_empty(),
        };
        Written { revision: self.revision, touched: self.touched, settled }
    }
}

fn check_match(options: &WriteOptions, current: u64) -> Result<(), WriteError> {
    match options.if_match {
        Some(wanted) if wanted != current => Err(WriteError::Conflict { current }),
        _ => Ok(()),
    }
}

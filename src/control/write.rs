//! The write path: dry build, durable commit, wake, wait, answer.

use crate::{
    diff::Run,
    guard::build_guarded,
    plan::{Build, plan_delete, plan_put},
    record::{Desired, Format, Key, Kind, Verb, Wanted},
    runtime::{BuildFailure, Builder, Prepared},
    service::Service,
    store::{
        StoreError,
        committer::{Change, Committed, Origin},
    },
    table::Barrier,
};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// How long a write waits for the end of the run before it; a store that fails must not hold it up.
const STORED_WITHIN: Duration = Duration::from_secs(2);
/// How many users of a resource an error names.
const NAMED: usize = 10;

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
    /// What is wrong with it, when it is accepted nevertheless, or only planned.
    pub lints: Vec<String>,
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
    /// How long new generations are on probation; without one as the server was told.
    pub probation: Option<Duration>,
    /// How long a change over a file is to count, and why; without one until the file changes.
    pub overriding: Option<Overriding>,
    /// Everything but the commit: the answer has the plan.
    pub dry_run: bool,
}

/// A change over a file that ends by itself.
#[derive(Debug, Clone)]
pub struct Overriding {
    /// When.
    pub within: Duration,
    /// Why it is made.
    pub reason: String,
}

/// A write that was committed, or had nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The store's revision after it.
    pub revision: u64,
    /// The touched keys, with their generations unless they are gone.
    pub touched: Vec<(Key, Option<u64>)>,
    /// What is current now, as the next `if_match` names it: the generation of the one key, 0 when it is gone; of a
    /// whole set the revision.
    pub current: Option<u64>,
    /// Whether all touched keys settled in time. They go on if not.
    pub settled: bool,
    /// What it would have done, when it was only asked for that.
    pub plan: Option<Plan>,
}

/// What a write would do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What it would change.
    pub changes: Vec<PlannedChange>,
    /// How many it would leave as they are.
    pub unchanged: usize,
}

/// What a write would do to one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedChange {
    /// Which.
    pub key: Key,
    /// What it would do.
    pub action: Verb,
    /// Whether what runs would be stopped and started.
    pub restart: bool,
    /// The text now.
    pub before: Option<String>,
    /// The text after it.
    pub after: Option<String>,
    /// What is wrong with it.
    pub lints: Vec<String>,
    /// Why the write would be refused.
    pub error: Option<String>,
}

impl PlannedChange {
    /// Notes the lints of its text, for which a write is refused unless it is chilled.
    fn note(&mut self, lints: Vec<String>, chilled: bool) {
        if !chilled && !lints.is_empty() && self.error.is_none() {
            self.error = Some("it has lint errors: mend them, or take them with chilled=true".into());
        }
        self.lints = lints;
    }
}

/// A write that changed nothing.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WriteError {
    /// To be created, but there.
    #[error("{0} already exists")]
    Exists(Key),
    /// A file owns it, and those who look after the files want to know for how long and why it is to differ.
    #[error(
        "{0} comes from {1}: change the file, or say for how long and why this is to count instead: override=2h&reason=…"
    )]
    Owned(Key, String),
    /// To be changed, but not there.
    #[error("{0} was not found")]
    NotFound(Key),
    /// Another generation or revision is current.
    #[error("the current generation is {current}")]
    Conflict {
        /// The current one.
        current: u64,
    },
    /// To be removed, but used by these.
    #[error("{0} is used by {users}; change them first, or remove it with force=true", users = names(.1))]
    InUse(Key, Vec<Key>),
    /// What it would go back to is not kept.
    #[error("{0}")]
    Gone(String),
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

/// Keys in a sentence; of many the first.
fn names(keys: &[Key]) -> String {
    let mut names: Vec<String> = keys.iter().take(NAMED).map(ToString::to_string).collect();
    if keys.len() > NAMED {
        names.push(format!("{} more", keys.len() - NAMED));
    }
    names.join(", ")
}

/// A change ready to be committed, with what was built for it.
pub(crate) struct Planned {
    pub(crate) change: Change,
    pub(crate) prepared: Option<Box<dyn Prepared>>,
    /// Why it would be refused: only in a plan.
    pub(crate) failure: Option<BuildFailure>,
}

impl Planned {
    /// A change that needs no build, or is built later.
    pub(crate) fn unbuilt(change: Change) -> Self {
        Self { change, prepared: None, failure: None }
    }
}

/// A change that cannot be built.
pub(crate) struct Unbuilt {
    pub(crate) change: Change,
    pub(crate) key: Key,
    pub(crate) failure: BuildFailure,
}

fn build_change(builder: &dyn Builder, change: Change, build: Build) -> Result<Planned, Unbuilt> {
    let (Change::Put(desired) | Change::Touch(desired), Build::Yes(once)) = (&change, build) else {
        return Ok(Planned::unbuilt(change));
    };
    let result = build_guarded(|| match once {
        Some(once) => once(),
        None => builder.build(desired),
    });
    match result {
        Ok(prepared) => Ok(Planned { change, prepared: Some(prepared), failure: None }),
        Err(failure) => Err(Unbuilt { key: desired.key(), change, failure }),
    }
}

impl Service {
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

    pub(crate) async fn put(
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
        mut submission: Submission,
        options: &WriteOptions,
    ) -> Result<Pending, WriteError> {
        check_match(
            options,
            current.as_ref().filter(|current| current.is_present()).map_or(0, |c| c.generation),
        )?;
        let (key, generation) = (submission.key.clone(), current.as_ref().map(|current| current.generation));
        let (lints, chilled) = (std::mem::take(&mut submission.lints), submission.chilled);
        let idle = self.is_idle(&key);
        let Some((change, build)) = plan_put(current.as_ref(), submission, &options.origin, idle) else {
            return Ok(Pending::unchanged(self.revision(), generation));
        };
        let planned = self.build_all(vec![(change, build)], options).await?;
        let mut pending = self.commit(planned, options).await?;
        pending.plan.changes.iter_mut().for_each(|change| change.note(lints.clone(), chilled));
        Ok(pending)
    }

    /// Deletes a key. A file's stream leaves a record behind, so that the file does not bring it back.
    pub async fn delete(&self, key: &Key, options: &WriteOptions) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(key).await;
        let current = self.desired(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        check_match(options, current.generation)?;
        let planned = Planned::unbuilt(plan_delete(&current, &options.origin));
        let pending = self.commit(vec![planned], options).await?;
        drop(lock);
        Ok(pending.finish(options).await)
    }

    /// Pauses or resumes a stream; with `anew` it is built first, and runs again.
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
        // Who resumes what is in quarantine asks for another run.
        let freed = current.in_quarantine().is_some() && wanted == Wanted::Running;
        if current.run.wanted == wanted && !anew && !freed {
            let unchanged = Pending::unchanged(self.revision(), Some(current.generation));
            return Ok(unchanged.finish(options).await);
        }
        let mut next = (*current).clone();
        next.run.wanted = wanted;
        next.run.number += u64::from(anew || freed);
        let build = if anew { Build::Yes(None) } else { Build::No };
        let planned = self.build_all(vec![(Change::Touch(Box::new(next)), build)], options).await?;
        let pending = self.commit(planned, options).await?;
        drop(lock);
        let written = pending.finish(options).await;
        // The position of what is paused is part of the promise: it is not left to the next tick.
        self.shared.write_checkpoints().await;
        Ok(written)
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
        let mut lints: HashMap<Key, (Vec<String>, bool)> = HashMap::new();
        for (key, member) in members.iter_mut().filter(|(_, member)| !member.lints.is_empty()) {
            lints.insert(key.clone(), (std::mem::take(&mut member.lints), member.chilled));
        }
        let (mut changes, mut unchanged) = (Vec::new(), 0);
        for current in existing.into_iter().filter(|current| current.is_present()) {
            match members.get(&current.key()) {
                None => changes.push((plan_delete(&current, &options.origin), Build::No)),
                Some(member) if member.fingerprint == current.fingerprint => {
                    members.remove(&current.key());
                    unchanged += 1;
                }
                Some(_) => {}
            }
        }
        for (key, member) in members {
            changes.extend(plan_put(self.stored(&key).as_ref(), member, &options.origin, false));
        }
        let planned = self.build_all(changes, options).await?;
        let mut pending = self.commit(planned, options).await?.of_all(unchanged);
        for change in &mut pending.plan.changes {
            let (lints, chilled) = lints.remove(&change.key).unwrap_or_default();
            change.note(lints, chilled);
        }
        drop(gate);
        Ok(pending.finish(options).await)
    }

    /// Waits until the ends of runs that are seen to be over are stored: what is written then begins anew, and does not
    /// go on at the end of what was read.
    async fn ends_stored(&self, changes: &[Change]) {
        let keys: Vec<Key> = changes.iter().map(Change::key).collect();
        let open = || {
            let table = self.shared.table();
            let mut slots = keys.iter().filter_map(|key| table.slots.get(key));
            slots.any(|slot| slot.ended.is_some() || slot.ending)
        };
        let until = Instant::now() + STORED_WITHIN;
        while open() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
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

    /// Builds what needs it; all failures are collected, and become part of a plan.
    pub(crate) async fn build_all(
        &self,
        changes: Vec<(Change, Build)>,
        options: &WriteOptions,
    ) -> Result<Vec<Planned>, WriteError> {
        let (mut planned, mut failures) = (Vec::with_capacity(changes.len()), Vec::new());
        for built in self.build_each(changes).await? {
            match built {
                Ok(one) => planned.push(one),
                Err(Unbuilt { change, failure, .. }) if options.dry_run => {
                    planned.push(Planned { failure: Some(failure), ..Planned::unbuilt(change) });
                }
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
        mut planned: Vec<Planned>,
        options: &WriteOptions,
    ) -> Result<Pending, WriteError> {
        for planned in &mut planned {
            match self.claim(&mut planned.change, options) {
                Err(refused) if options.dry_run => {
                    planned.failure.get_or_insert_with(|| BuildFailure::new(refused.to_string()));
                }
                claimed => claimed?,
            }
        }
        if planned.is_empty() || options.dry_run {
            let changes = planned.iter().map(|planned| self.foresee(planned)).collect();
            let plan = Plan { changes, unchanged: 0 };
            let current = match planned.as_slice() {
                [one] => Some(self.desired(&one.change.key()).map_or(0, |current| current.generation)),
                _ => None,
            };
            return Ok(Pending { current, plan, ..Pending::nothing(self.revision()) });
        }
        let mut prepared = HashMap::new();
        let mut changes = Vec::with_capacity(planned.len());
        for Planned { mut change, prepared: built, .. } in planned {
            if let Change::Put(next) = &mut change {
                self.put_on_probation(next, options);
            }
            if let (Change::Put(desired) | Change::Touch(desired), Some(built)) = (&change, built) {
                prepared.insert(desired.key(), built);
            }
            changes.push(change);
        }
        self.ends_stored(&changes).await;
        let begun = Instant::now();
        let committed = self.shared.commits.commit(changes, Some(options.origin.clone())).await?;
        self.shared.timing.commits.note(begun.elapsed());
        self.shared.tell_changes(&committed);
        let Committed { commit, revision, records } = committed;
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
        let current =
            if let [(_, generation)] = touched.as_slice() { Some(generation.unwrap_or(0)) } else { None };
        Ok(Pending { barrier, revision, touched, current, plan: Plan::default() })
    }

    /// What a change would do.
    fn foresee(&self, planned: &Planned) -> PlannedChange {
        let key = planned.change.key();
        let before = self.desired(&key);
        let after = planned.change.desired().filter(|after| after.is_present());
        let runs = self.shared.table().slots.get(&key).and_then(|slot| Some(slot.live.as_ref()?.run));
        let restart = runs.zip(after).is_some_and(|(run, after)| {
            let again = matches!(planned.change, Change::Put(_)) || after.run.number != run.1;
            again && after.run.wanted == Wanted::Running
        });
        PlannedChange {
            action: match (&before, after) {
                (_, None) => Verb::Delete,
                (None, _) => Verb::Create,
                _ => Verb::Update,
            },
            restart,
            before: before.map(|before| before.text.clone()),
            after: after.map(|after| after.text.clone()),
            lints: Vec::new(),
            error: planned.failure.as_ref().map(ToString::to_string),
            key,
        }
    }
}

/// A commit whose keys are on their way.
pub(crate) struct Pending {
    barrier: Arc<Barrier>,
    revision: u64,
    touched: Vec<(Key, Option<u64>)>,
    current: Option<u64>,
    pub(crate) plan: Plan,
}

impl Pending {
    pub(crate) fn nothing(revision: u64) -> Self {
        let (touched, plan) = (Vec::new(), Plan::default());
        Self { barrier: Barrier::new(0), revision, touched, current: None, plan }
    }

    fn unchanged(revision: u64, current: Option<u64>) -> Self {
        let plan = Plan { unchanged: 1, ..Plan::default() };
        Self { current, plan, ..Self::nothing(revision) }
    }

    /// Says that it was about a whole set.
    pub(crate) fn of_all(self, unchanged: usize) -> Self {
        let plan = Plan { unchanged, ..self.plan };
        Self { current: Some(self.revision), plan, ..self }
    }

    pub(crate) async fn finish(self, options: &WriteOptions) -> Written {
        let settled = match options.wait {
            Some(at_most) => self.barrier.wait(at_most).await,
            None => self.touched.is_empty(),
        };
        let plan = options.dry_run.then_some(self.plan);
        let Self { revision, touched, current, .. } = self;
        Written { revision, touched, current, settled, plan }
    }
}

pub(crate) fn check_match(options: &WriteOptions, current: u64) -> Result<(), WriteError> {
    match options.if_match {
        Some(wanted) if wanted != current => Err(WriteError::Conflict { current }),
        _ => Ok(()),
    }
}

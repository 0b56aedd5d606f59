//! The reconciler: looks at one key after another, level-triggered, until what is equals what is desired.

use crate::{
    diff::{self, Action, Have, Run, Want},
    events::{Events, What},
    guard::{build_guarded, panic_text, stop_guarded, sync_guarded},
    log::{self, say},
    record::{self, Desired, Key, Kind},
    runtime::{BuildFailure, Builder, EndSignal, Ended, Prepared, Running, Start},
    status::{LastError, Phase},
    store::committer::{Change, Commits, Committed},
    table::{Failure, Invalid, Live, Slot, Table, ask},
    views::Timing,
};
use futures_util::FutureExt as _;
use rand::RngExt as _;
use std::{
    collections::{BTreeMap, HashMap},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_util::task::TaskTracker;

/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// A run this long begins the waits anew.
const HEALTHY: Duration = Duration::from_mins(10);
/// How often everything is looked at, whatever was heard.
pub(crate) const SLOW_TICK: Duration = Duration::from_secs(30);

/// What may be set.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long a stream may take to stop when nothing else was asked for.
    pub stop_timeout: Duration,
    /// Share of a wait after a failure that is random, 0 to 1.
    pub jitter: f64,
    /// How often checkpoints are written.
    pub checkpoint_every: Duration,
    /// Whether the API may change streams of files only for a time, and with a reason.
    pub strict_files: bool,
    /// How often in a row a stream is started again after a failure; `None` is for ever.
    pub max_restarts: Option<u32>,
    /// How long new generations are on probation unless a write says otherwise; zero is not at all.
    pub probation: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            stop_timeout: Duration::from_secs(30),
            jitter: 0.2,
            checkpoint_every: Duration::from_secs(1),
            strict_files: false,
            max_restarts: None,
            probation: Duration::ZERO,
        }
    }
}

/// What the reconciler, its passes and the service share.
pub(crate) struct Shared {
    table: Mutex<Table>,
    pub(crate) work: Notify,
    pub(crate) commits: Commits,
    pub(crate) builder: Arc<dyn Builder>,
    pub(crate) builds: Semaphore,
    pub(crate) options: Options,
    pub(crate) events: Arc<Events>,
    pub(crate) timing: Timing,
    /// The passes, and stops of resources that were replaced.
    pub(crate) tasks: TaskTracker,
    /// The loops, to be ended at shutdown.
    pub(crate) loops: Mutex<Vec<tokio::task::AbortHandle>>,
}

/// What a pass does next.
enum Step {
    Settled,
    Ended { running: Arc<dyn Running>, run: Run, ended: Ended, uptime: Duration },
    Start { desired: Arc<Desired>, run: Run, handed: Option<Box<dyn Prepared>>, epoch: u64 },
    Stop { running: Arc<dyn Running>, timeout: Duration },
}

/// Ends a pass whatever happens in it.
struct Pass {
    shared: Arc<Shared>,
    key: Key,
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.shared.table().finish(&self.key);
        self.shared.work.notify_one();
    }
}

impl Shared {
    pub(crate) fn new(builder: Arc<dyn Builder>, commits: Commits, options: Options) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Arc::new(Self {
            table: Mutex::default(),
            work: Notify::new(),
            commits,
            builder,
            builds: Semaphore::new(cores),
            options,
            events: Arc::default(),
            timing: Timing::default(),
            tasks: TaskTracker::new(),
            loops: Mutex::default(),
        })
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where a key is now, and tells whoever follows.
    pub(crate) fn enter(&self, key: &Key, slot: &mut Slot, phase: Phase) {
        if slot.phase != phase {
            (slot.phase, slot.since) = (phase, record::now());
            self.tell_phase(key, slot);
        }
    }

    /// Tells in which phase a key is, unless that was told last.
    pub(crate) fn tell_phase(&self, key: &Key, slot: &mut Slot) {
        let status = slot.view(key, false).status;
        let before = std::mem::replace(&mut slot.told, status.phase);
        if before != status.phase {
            let revision = slot.desired.as_ref().map(|desired| desired.revision);
            let failed = slot.failed.as_ref().filter(|failed| status.phase == failed.phase());
            let failed = failed.map(|failed| failed.run.0);
            let generation = failed.or(status.running_generation).unwrap_or(status.desired_generation);
            log::transition(key, before, &status, generation, revision);
            self.events.tell(key, What::Phase(status.phase, status.reason), Some(generation), revision);
        }
    }

    /// Tells what a revision changed.
    pub(crate) fn tell_changes(&self, committed: &Committed) {
        for (key, desired) in &committed.records {
            let after = desired.as_ref().filter(|desired| desired.is_present());
            let (what, revision) = (What::Changed { deleted: after.is_none() }, Some(committed.revision));
            self.events.tell(key, what, after.map(|after| after.generation), revision);
        }
    }

    /// Runs a loop until shutdown.
    pub(crate) fn run_loop(&self, run: impl Future<Output = ()> + Send + 'static) {
        let handle = tokio::spawn(run).abort_handle();
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).push(handle);
    }

    pub(crate) fn end_loops(&self) {
        self.loops.lock().unwrap_or_else(PoisonError::into_inner).drain(..).for_each(|handle| handle.abort());
    }

    pub(crate) fn wake(&self, key: &Key) {
        self.table().wake(key);
        self.work.notify_one();
    }

    /// Hands keys to passes until it is dropped.
    pub(crate) async fn dispatch(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SLOW_TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let next = self.table().next();
            match next {
                Ok(key) => {
                    let pass = Pass { shared: Arc::clone(&self), key };
                    self.tasks.spawn(async move {
                        let begun = Instant::now();
                        pass.shared.look_at(&pass.key).await;
                        pass.shared.timing.passes.note(begun.elapsed());
                    });
                }
                Err(due) => {
                    let due = due.unwrap_or_else(|| Instant::now() + SLOW_TICK);
                    tokio::select! {
                        () = self.work.notified() => {}
                        () = tokio::time::sleep_until(due) => {}
                        _ = tick.tick() => self.look_over(),
                    }
                }
            }
        }
    }

    /// Wakes every key whose state differs from what is desired.
    fn look_over(&self) {
        let mut table = self.table();
        let epoch = table.epoch;
        let wants: BTreeMap<Key, Want> =
            table.slots.iter().filter_map(|(key, slot)| Some((key.clone(), slot.want()?))).collect();
        let haves: BTreeMap<Key, Have> =
            table.slots.iter().map(|(key, slot)| (key.clone(), slot.have(epoch))).collect();
        let ended = table.slots.iter().filter(|(_, slot)| slot.ended.is_some()).map(|(key, _)| key.clone());
        let mut keys: Vec<Key> = ended.collect();
        keys.extend(diff::diff(&wants, &haves).into_iter().map(|(key, _)| key));
        for key in &keys {
            table.wake(key);
        }
    }

    /// Makes one key what it should be; never called twice at once for one key.
    async fn look_at(self: &Arc<Self>, key: &Key) {
        loop {
            let step = self.next_step(key);
            match step {
                Step::Settled => return,
                Step::Ended { running, run, ended, uptime } => {
                    self.note_end(key, &*running, run, ended, uptime).await;
                    if let Some(slot) = self.table().slots.get_mut(key) {
                        slot.ending = false;
                    }
                }
                Step::Stop { running, timeout } => self.stop(key, running, timeout).await,
                Step::Start { desired, run, handed, epoch } => {
                    let built = match handed {
                        Some(prepared) => Ok(prepared),
                        None => self.build(&desired).await,
                    };
                    match built {
                        Ok(prepared) => self.replace(key, prepared, &desired, run).await,
                        Err(failure) => self.note_invalid(key, run, epoch, failure),
                    }
                }
            }
        }
    }

    fn next_step(&self, key: &Key) -> Step {
        let mut table = self.table();
        let epoch = table.epoch;
        let stopping = table.stopping;
        let Some(slot) = table.slots.get_mut(key).filter(|_| !stopping) else { return Step::Settled };
        if let Some(ended) = slot.ended.take()
            && let Some(live) = &slot.live
        {
            let (running, uptime) = (Arc::clone(&live.running), live.started.elapsed());
            slot.ending = true;
            return Step::Ended { running, run: live.run, ended, uptime };
        }
        let (want, have) = (slot.want(), slot.have(epoch));
        match diff::decide(want.as_ref(), &have) {
            Action::None => {
                if slot.live.is_none()
                    && let Some(want) = want
                {
                    match want {
                        Want { quarantined: true, .. } => self.enter(key, slot, Phase::Quarantined),
                        Want { completed: true, .. } => self.enter(key, slot, Phase::Completed),
                        Want { wanted: record::Wanted::Paused, .. } => self.enter(key, slot, Phase::Paused),
                        // It was paused meanwhile, and is to run on when its wait is over.
                        Want { run, .. } => {
                            let failed = slot.failed.as_ref().filter(|failed| failed.run == run);
                            if let Some(phase) = failed.map(Failure::phase) {
                                self.enter(key, slot, phase);
                            }
                        }
                    }
                }
                table.settle(key);
                Step::Settled
            }
            Action::Stop => match &slot.live {
                Some(live) => {
                    let running = Arc::clone(&live.running);
                    self.enter(key, slot, Phase::Stopping);
                    Step::Stop {
                        running,
                        timeout: slot.stop_timeout.take().unwrap_or(self.options.stop_timeout),
                    }
                }
                None => Step::Settled,
            },
            action @ (Action::Start | Action::Restart | Action::Replace) => {
                let (Some(desired), Some(want)) = (slot.desired.clone(), want) else { return Step::Settled };
                if slot.live.is_none() {
                    self.enter(key, slot, Phase::Starting);
                }
                if action == Action::Restart {
                    slot.restarts += 1;
                    self.timing.restarts.fetch_add(1, Ordering::Relaxed);
                } else if slot.failed.take().is_some() {
                    (slot.failures, slot.restarts, slot.last_error) = (0, 0, None);
                }
                let handed =
                    slot.handed.take().filter(|(run, _)| *run == want.run).map(|(_, prepared)| prepared);
                Step::Start { desired, run: want.run, handed, epoch }
            }
        }
    }

    async fn build(self: &Arc<Self>, desired: &Arc<Desired>) -> Result<Box<dyn Prepared>, BuildFailure> {
        let Ok(_permit) = self.builds.acquire().await else {
            return Err(BuildFailure::new("the reconciler is being stopped"));
        };
        let (builder, desired) = (Arc::clone(&self.builder), Arc::clone(desired));
        let built = tokio::task::spawn_blocking(move || build_guarded(|| builder.build(&desired))).await;
        built.unwrap_or_else(|error| Err(BuildFailure::new(error.to_string())))
    }

    /// Starts what was built, after the old has stopped; a resource takes its slot over before its old one goes.
    async fn replace(
        self: &Arc<Self>,
        key: &Key,
        prepared: Box<dyn Prepared>,
        desired: &Arc<Desired>,
        run: Run,
    ) {
        let old = {
            let mut table = self.table();
            let Some(slot) = table.slots.get_mut(key) else { return };
            // A newer spec may have been committed while this one was built.
            if slot.want().is_none_or(|want| want.run != run) {
                return;
            }
            let timeout = slot.stop_timeout.take().unwrap_or(self.options.stop_timeout);
            let old = slot.live.as_ref().map(|live| Arc::clone(&live.running));
            if old.is_some() && key.kind == Kind::Stream {
                self.enter(key, slot, Phase::Stopping);
            }
            old.map(|old| (old, timeout))
        };
        match old {
            Some((old, timeout)) if key.kind == Kind::Stream => {
                self.stop(key, old, timeout).await;
                self.start(key, prepared, desired, run).await;
            }
            Some((old, timeout)) => {
                self.start(key, prepared, desired, run).await;
                // Its last users may take their time; the new one serves already.
                let key = key.clone();
                self.tasks.spawn(async move { stop_guarded(&key, &*old, timeout).await });
            }
            None => self.start(key, prepared, desired, run).await,
        }
    }

    async fn start(
        self: &Arc<Self>,
        key: &Key,
        prepared: Box<dyn Prepared>,
        desired: &Arc<Desired>,
        run: Run,
    ) {
        let uses = prepared.uses();
        let start = {
            let mut table = self.table();
            if table.stopping {
                return;
            }
            // What it was built with may have been removed since.
            if let Some(missing) = table.missing(&uses) {
                let epoch = table.epoch;
                drop(table);
                return self.note_invalid(
                    key,
                    run,
                    epoch,
                    BuildFailure::new(format!("{missing} was removed")),
                );
            }
            table.token += 1;
            let token = table.token;
            let Some(slot) = table.slots.get_mut(key) else { return };
            // The old may have taken long to stop: what was wanted then may be old too.
            if slot.want().is_none_or(|want| want.run != run) {
                return;
            }
            self.enter(key, slot, Phase::Starting);
            let checkpoints =
                if slot.lineage == desired.lineage { slot.checkpoints.clone() } else { HashMap::new() };
            let end = self.end_signal(key.clone(), token);
            (token, Start { key: key.clone(), generation: run.0, run: run.1, checkpoints, end })
        };
        let (token, start) = start;
        // The token is known before the start, so that a run which ends at once is not missed.
        let begun = Instant::now();
        let started = AssertUnwindSafe(async move { prepared.start(start).await }).catch_unwind().await;
        let started = started.unwrap_or_else(|panic| Err(panic_text(&*panic)));
        if let Ok(running) = &started
            && self.table().stopping
        {
            return stop_guarded(key, &**running, self.options.stop_timeout).await;
        }
        let mut table = self.table();
        let resource = key.kind != Kind::Stream;
        // One that went while this was starting could not tell it so.
        let lacking = table.missing(&uses).is_some();
        let Some(slot) = table.slots.get_mut(key) else { return };
        match started {
            Ok(running) => {
                (slot.lacking, slot.uses) = (lacking, Some((run.0, uses)));
                let running = Arc::from(running);
                let expect = ask(Some(&running), Running::expect);
                slot.live = Some(Live { run, token, running, started: begun, expect });
                slot.ended = slot.early_end(token);
                (slot.last, slot.failed, slot.invalid, slot.progress) = (None, None, None, None);
                self.enter(key, slot, Phase::Running);
                table.promises |= expect.is_some();
                if resource {
                    table.resource_changed();
                }
            }
            Err(message) => {
                let due = self.fail(key, slot, run, &message);
                due.into_iter().for_each(|due| table.wake_at(key, due));
            }
        }
    }

    fn end_signal(self: &Arc<Self>, key: Key, token: u64) -> EndSignal {
        let shared: Weak<Self> = Arc::downgrade(self);
        EndSignal::new(move |ended| {
            let Some(shared) = shared.upgrade() else { return };
            let mut table = shared.table();
            let Some(slot) = table.slots.get_mut(&key) else { return };
            slot.note_end_of(token, ended);
            table.wake(&key);
            drop(table);
            shared.work.notify_one();
        })
    }

    /// Notes a failure; gives back when to start again, if ever.
    fn fail(&self, key: &Key, slot: &mut Slot, run: Run, message: &str) -> Option<Instant> {
        let doubled = FIRST_WAIT.saturating_mul(1 << slot.failures.min(10)).min(LONGEST_WAIT);
        let for_good = self.options.max_restarts.is_some_and(|most| slot.failures >= most);
        slot.failures = slot.failures.saturating_add(1);
        let jitter = 1.0 - self.options.jitter * rand::rng().random::<f64>();
        let wait = (!for_good).then(|| doubled.mul_f64(jitter.clamp(0.0, 1.0)));
        let due = wait.map(|wait| Instant::now() + wait);
        let next_retry = wait.map(|wait| record::now().saturating_add(record::millis(wait)));
        let failure = Failure { run, due, next_retry };
        // The engine says first where something panicked.
        let place = message.strip_prefix("panic at ").and_then(|rest| rest.split_once(": "));
        slot.last_error = Some(LastError {
            time: record::now(),
            path: place.map(|(path, _)| path.strip_prefix("root.").unwrap_or(path).to_owned()),
            message: message.to_owned(),
            count: slot.failures,
        });
        let phase = failure.phase();
        slot.failed = Some(failure);
        self.enter(key, slot, phase);
        due
    }

    async fn note_end(
        self: &Arc<Self>,
        key: &Key,
        running: &dyn Running,
        run: Run,
        ended: Ended,
        uptime: Duration,
    ) {
        let synced = sync_guarded(running).await;
        let uptime_ms = record::millis(uptime);
        {
            let mut table = self.table();
            let Some(slot) = table.slots.get_mut(key) else { return };
            slot.collect_checkpoints();
            slot.last = slot.live.take().map(|live| live.running);
            slot.uptime = uptime_ms;
            if synced.is_ok() {
                table.keep_synced(key);
            }
        }
        // The tasks are over; this clears what the run still owns.
        stop_guarded(key, running, self.options.stop_timeout).await;
        match (ended, synced) {
            (Ended::Completed, Ok(())) => self.note_completed(key, run, uptime_ms).await,
            // What was delivered may not be on disk: a further run starts at the last position that is.
            (Ended::Completed, Err(error)) => {
                self.note_failed(key, run, uptime, &format!("sync of outputs: {error}"));
            }
            (Ended::Failed(message), _) => self.note_failed(key, run, uptime, &message),
            (Ended::Stopped, _) => self.note_failed(key, run, uptime, "stopped by itself"),
        }
    }

    async fn note_completed(&self, key: &Key, run: Run, uptime: u64) {
        let change = Change::Complete { key: key.clone(), generation: run.0, run: run.1, uptime };
        let committed = self.commits.commit(vec![change], None).await;
        let mut table = self.table();
        match committed {
            Ok(committed) => {
                table.take(committed);
            }
            Err(error) => {
                // It stays completed for as long as this process lives.
                say!(warn, key, %error, "completed, but that could not be stored");
                if let Some(slot) = table.slots.get_mut(key)
                    && let Some(desired) = &slot.desired
                    && (desired.generation, desired.run.number) == run
                {
                    let mut completed = (**desired).clone();
                    let (at, other) = (record::now(), record::Other::new());
                    completed.completed =
                        Some(record::Completed { generation: run.0, run: run.1, at, uptime, other });
                    slot.desired = Some(Arc::new(completed));
                }
            }
        }
    }

    fn note_failed(&self, key: &Key, run: Run, uptime: Duration, message: &str) {
        let mut table = self.table();
        let Some(slot) = table.slots.get_mut(key) else { return };
        if uptime >= HEALTHY {
            slot.failures = 0;
        }
        let due = self.fail(key, slot, run, message);
        due.into_iter().for_each(|due| table.wake_at(key, due));
    }

    fn note_invalid(&self, key: &Key, run: Run, epoch: u64, failure: BuildFailure) {
        let mut table = self.table();
        let Some(slot) = table.slots.get_mut(key) else { return };
        if slot.live.is_some() {
            let reason = &failure.message;
            say!(warn, key, generation = run.0, reason, "cannot be built; the generation before runs on");
        }
        slot.invalid = Some(Invalid { run, epoch, reason: failure.message });
        if slot.live.is_none() {
            self.enter(key, slot, Phase::Invalid);
        }
    }

    /// Stops what runs and keeps its position.
    async fn stop(&self, key: &Key, running: Arc<dyn Running>, timeout: Duration) {
        stop_guarded(key, &*running, timeout).await;
        let synced = if key.kind == Kind::Stream { sync_guarded(&*running).await } else { Ok(()) };
        let mut table = self.table();
        let Some(slot) = table.slots.get_mut(key) else { return };
        slot.collect_checkpoints();
        if let Some(live) = slot.live.take() {
            slot.uptime = record::millis(live.started.elapsed());
            slot.last = Some(live.running);
        }
        // How it ended no longer matters: it was asked to.
        (slot.ended, slot.lacking) = (None, false);
        if key.kind != Kind::Stream {
            table.resource_gone(key);
        }
        match synced {
            Ok(()) => table.keep_synced(key),
            Err(error) => {
                say!(warn, key, error, "outputs were not synced; its positions are not stored");
            }
        }
    }
}

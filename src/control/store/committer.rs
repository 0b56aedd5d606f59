//! The committer: one thread that numbers, writes and answers. What arrives together is written together.

use super::{
    Batch, Records, Store, StoreError,
    behind::Behind,
    folder::{Condition, Opened, meta},
    journal::Journal,
    staged::Staged,
};
use crate::record::{self, Desired, Grave, Key, Meta, Outcome, Retention, StoredCheckpoint};
use serde::Serialize;
use std::{
    collections::{BTreeSet, HashMap},
    fs::File,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
};
use tokio::sync::{mpsc, oneshot};

/// Requests waiting; more make their askers wait.
const WAITING: usize = 1024;
/// Requests written together.
const GROUP: usize = 256;
/// Deleted keys whose generations are remembered.
pub const GRAVES_KEPT: usize = 20_000;

/// The actor of what was done without being asked for.
pub const ITSELF: &str = "weir";
/// The actor of a scan of files: the committer adds the path of the file, or of the folder that holds all that changed.
pub const FILES: &str = "file:";

/// One change of what is desired. The committer gives generation, revision, lineage and times.
#[derive(Debug, Clone)]
pub enum Change {
    /// A new spec: the next generation.
    Put(Box<Desired>),
    /// The same spec under another owner, run or override.
    Touch(Box<Desired>),
    /// It is gone.
    Delete(Key),
    /// The probation of a generation is over; one that failed gives way to the last healthy one before it.
    Judge {
        /// Which stream.
        key: Key,
        /// The generation.
        generation: u64,
        /// How it ended.
        outcome: Outcome,
    },
    /// The wanted run of a generation must not start.
    Quarantine {
        /// Which stream.
        key: Key,
        /// The generation.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A run ended because its input ended.
    Complete {
        /// Which stream.
        key: Key,
        /// The generation that ran.
        generation: u64,
        /// The run's number.
        run: u64,
        /// How long it ran, in milliseconds.
        uptime: u64,
    },
}

impl Change {
    /// Which key it is about.
    pub fn key(&self) -> Key {
        match self {
            Self::Put(desired) | Self::Touch(desired) => desired.key(),
            Self::Delete(key)
            | Self::Complete { key, .. }
            | Self::Judge { key, .. }
            | Self::Quarantine { key, .. } => key.clone(),
        }
    }

    /// What it makes desired, if anything.
    pub fn desired(&self) -> Option<&Desired> {
        match self {
            Self::Put(desired) | Self::Touch(desired) => Some(desired),
            Self::Delete(_) | Self::Complete { .. } | Self::Judge { .. } | Self::Quarantine { .. } => None,
        }
    }
}

/// Who asked for a revision, and what for.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// A token's name, `file:PATH` or `anonymous`.
    pub actor: String,
    /// Such as `PUT`.
    pub verb: String,
    /// A remark.
    pub note: Option<String>,
}

/// A durable commit.
#[derive(Debug, Clone)]
pub struct Committed {
    /// Its number: later commits have larger ones.
    pub commit: u64,
    /// The store's revision after it.
    pub revision: u64,
    /// The records it changed, as they are now; `None` is gone.
    pub records: Vec<(Key, Option<Arc<Desired>>)>,
}

enum Request {
    Commit {
        changes: Vec<Change>,
        origin: Option<Origin>,
        answer: oneshot::Sender<Result<Committed, StoreError>>,
    },
    Checkpoint {
        checkpoints: Vec<StoredCheckpoint>,
        answer: oneshot::Sender<Result<(), StoreError>>,
    },
    Scan {
        prefix: String,
        answer: oneshot::Sender<Result<Records, StoreError>>,
    },
    /// Forgets what is too old to be kept.
    Prune,
    Get {
        keys: Vec<String>,
        answer: oneshot::Sender<Result<Vec<Vec<u8>>, StoreError>>,
    },
    Close,
}

/// Sizes for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Commits so far.
    pub commit: u64,
    /// Revisions so far.
    pub revision: u64,
    /// Bytes in the journal since its snapshot.
    pub journal_bytes: u64,
}

/// What the committer shows of itself.
#[derive(Debug, Default)]
struct Shown {
    conditions: Vec<Condition>,
    sizes: Sizes,
}

/// Talks to the committer.
#[derive(Clone)]
pub struct Commits {
    way: Way,
    shown: Arc<Mutex<Shown>>,
}

#[derive(Clone)]
enum Way {
    /// To its thread.
    Thread(mpsc::Sender<Request>),
    /// A store in memory is written where it is asked.
    Direct(Arc<Mutex<Writer>>),
}

/// What the store held when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What is desired.
    pub desired: Vec<Arc<Desired>>,
    /// Checkpoints that may be taken over.
    pub checkpoints: Vec<StoredCheckpoint>,
    /// The counters.
    pub meta: Meta,
    /// Records that could not be read: `(key, reason)`.
    pub unreadable: Vec<(String, String)>,
}

/// The running thread.
pub struct Committer {
    commits: Commits,
    thread: Option<JoinHandle<()>>,
}

impl Committer {
    /// Starts the thread over an opened store.
    pub fn start(opened: Opened) -> std::io::Result<(Self, Loaded)> {
        Self::keeping(opened, Retention::default())
    }

    /// As `start`, with so much of the past kept.
    pub fn keeping(mut opened: Opened, retention: Retention) -> std::io::Result<(Self, Loaded)> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let records = std::mem::take(&mut opened.records);
        opened.store = Box::new(Behind::new(opened.store)?);
        let (writer, loaded) = Writer::new(opened, records, retention);
        let commits = Commits { way: Way::Thread(sender), shown: Arc::clone(&writer.shown) };
        let thread =
            std::thread::Builder::new().name("weir-committer".into()).spawn(move || writer.run(receiver))?;
        Ok((Self { commits, thread: Some(thread) }, loaded))
    }

    /// Commits to memory, without a thread.
    pub fn in_memory() -> Commits {
        let (writer, _) = Writer::new(Opened::in_memory(), Records::new(), Retention::default());
        let shown = Arc::clone(&writer.shown);
        Commits { way: Way::Direct(Arc::new(Mutex::new(writer))), shown }
    }

    /// Commits to memory that begins with these records, as a start on a store does.
    #[cfg(test)]
    pub(crate) fn over(records: &Records, retention: Retention) -> (Commits, Loaded) {
        let store = Box::new(super::memory::MemoryStore::with(records.clone()));
        let (writer, loaded) =
            Writer::new(Opened { store, ..Opened::in_memory() }, records.clone(), retention);
        let shown = Arc::clone(&writer.shown);
        (Commits { way: Way::Direct(Arc::new(Mutex::new(writer))), shown }, loaded)
    }

    /// A handle to it.
    pub fn commits(&self) -> Commits {
        self.commits.clone()
    }

    /// Ends the thread after everything asked before; blocks until it is gone and the folder is free. Not to be
    /// called on a runtime's own thread.
    pub fn close(mut self) {
        let closed = match &self.commits.way {
            Way::Thread(sender) => sender.blocking_send(Request::Close).is_ok(),
            Way::Direct(_) => false,
        };
        if let (true, Some(thread)) = (closed, self.thread.take())
            && thread.join().is_err()
        {
            tracing::error!("the committer panicked");
        }
    }
}

fn gone<E>(_: E) -> StoreError {
    StoreError::Failed("the committer is gone".into())
}

impl Commits {
    async fn ask(&self, request: Request) -> Result<(), StoreError> {
        match &self.way {
            Way::Thread(sender) => sender.send(request).await.map_err(gone),
            Way::Direct(writer) => {
                writer.lock().unwrap_or_else(PoisonError::into_inner).serve(vec![request]);
                Ok(())
            }
        }
    }

    /// Commits changes as one; durable when it returns. With an origin it is a revision.
    pub async fn commit(
        &self,
        changes: Vec<Change>,
        origin: Option<Origin>,
    ) -> Result<Committed, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Commit { changes, origin, answer }).await?;
        answered.await.map_err(gone)?
    }

    /// Writes checkpoints, except those of another line of runs than the stream's.
    pub async fn checkpoint(&self, checkpoints: Vec<StoredCheckpoint>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Checkpoint { checkpoints, answer }).await?;
        answered.await.map_err(gone)?
    }

    /// The stored records under a prefix of `record::keys`, for history.
    pub async fn scan(&self, prefix: String) -> Result<Records, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Scan { prefix, answer }).await?;
        answered.await.map_err(gone)?
    }

    /// Those of the stored records that are there, in the order asked for.
    pub async fn get(&self, keys: Vec<String>) -> Result<Vec<Vec<u8>>, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Request::Get { keys, answer }).await?;
        answered.await.map_err(gone)?
    }

    /// Everything that is durable.
    #[cfg(test)]
    pub(crate) fn records(&self) -> Records {
        let Way::Direct(writer) = &self.way else { return Records::new() };
        writer.lock().unwrap_or_else(PoisonError::into_inner).store.scan("").unwrap_or_default()
    }

    /// Has what is too old forgotten; that is not waited for.
    pub async fn prune(&self) -> Result<(), StoreError> {
        self.ask(Request::Prune).await
    }

    /// What a person should know about the store.
    pub fn conditions(&self) -> Vec<Condition> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).conditions.clone()
    }

    /// Figures for metrics.
    pub fn sizes(&self) -> Sizes {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner).sizes
    }
}

pub(super) struct Writer {
    pub(super) store: Box<dyn Store>,
    journal: Option<Journal>,
    /// Set once nothing is acknowledged any more.
    refused: Option<StoreError>,
    _lock: Option<File>,
    pub(super) live: HashMap<Key, Arc<Desired>>,
    pub(super) graves: HashMap<Key, Grave>,
    /// The graves by the revision that dug them: the oldest are forgotten first.
    pub(super) order: BTreeSet<(u64, Key)>,
    meta: Meta,
    pub(super) retention: Retention,
    shown: Arc<Mutex<Shown>>,
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

impl Writer {
    fn new(opened: Opened, records: Records, retention: Retention) -> (Self, Loaded) {
        let mut loaded = Loaded { meta: meta(&records), ..Loaded::default() };
        let (mut live, mut graves, mut order) = (HashMap::new(), HashMap::new(), BTreeSet::new());
        for (key, value) in records {
            let bad = match key.get(..2) {
                Some("d/") => record::read::<Desired>(&value).map(|desired| {
                    let desired = Arc::new(desired);
                    live.insert(desired.key(), Arc::clone(&desired));
                    loaded.desired.push(desired);
                }),
                Some("c/") => record::read(&value).map(|checkpoint| loaded.checkpoints.push(checkpoint)),
                Some("t/") => record::read::<Grave>(&value).map(|grave| {
                    let key = Key::new(grave.kind, grave.id.as_str());
                    order.insert((grave.revision, key.clone()));
                    graves.insert(key, grave);
                }),
                _ => Ok(()),
            };
            if let Err(error) = bad {
                loaded.unreadable.push((key, error.to_string()));
            }
        }
        loaded.checkpoints.retain(|checkpoint: &StoredCheckpoint| {
            let desired = live.get(&Key::stream(checkpoint.stream.as_str()));
            desired.is_some_and(|desired: &Arc<Desired>| {
                desired.lineage == checkpoint.lineage && desired.lineage > 0
            })
        });
        let refused = opened.read_only.map(StoreError::ReadOnly);
        let mut conditions = opened.conditions;
        conditions.extend(loaded.unreadable.iter().map(|(key, reason)| {
            Condition::new("StoreDamaged", format!("record {key} is left out: {reason}"))
        }));
        let shown = Arc::new(Mutex::new(Shown { conditions, sizes: Sizes::default() }));
        let (store, journal, meta) = (opened.store, opened.journal, loaded.meta);
        let writer =
            Self { store, journal, refused, _lock: opened.lock, live, graves, order, meta, retention, shown };
        writer.show(|_| {});
        (writer, loaded)
    }

    fn show(&self, change: impl FnOnce(&mut Vec<Condition>)) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut shown.conditions);
        let journal_bytes = self.journal.as_ref().map_or(0, Journal::length);
        shown.sizes = Sizes { commit: self.meta.commit, revision: self.meta.revision, journal_bytes };
    }

    fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(first) = requests.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = requests.try_recv()
            {
                group.push(next);
            }
            if self.serve(group) {
                break;
            }
            self.snapshot();
        }
    }

    /// Serves what arrived together; true when it is time to end.
    fn serve(&mut self, group: Vec<Request>) -> bool {
        let mut staged = Staged { meta: self.meta, ..Staged::default() };
        let mut answers: Vec<Answer> = Vec::new();
        let (mut scans, mut gets) = (Vec::new(), Vec::new());
        let mut close = false;
        // What a request that cannot be prepared left half staged must not be written.
        let mut broken = None;
        for request in group {
            match request {
                Request::Commit { changes, origin, answer } => {
                    let prepared = match self.refused.clone() {
                        Some(error) => Err(error),
                        None => self.prepare(&mut staged, changes, origin),
                    };
                    broken = broken.or_else(|| prepared.as_ref().err().cloned());
                    answers.push(Box::new(move |written| {
                        // Whoever asked may have gone away.
                        let _sent = answer.send(written.and(prepared));
                    }));
                }
                Request::Checkpoint { checkpoints, answer } => {
                    let prepared = match self.refused.clone() {
                        Some(error) => Err(error),
                        None => self.prepare_checkpoints(&mut staged, checkpoints),
                    };
                    broken = broken.or_else(|| prepared.as_ref().err().cloned());
                    answers.push(Box::new(move |written| {
                        let _sent = answer.send(written.and(prepared));
                    }));
                }
                Request::Prune if self.refused.is_some() => {}
                Request::Prune => match self.prune(&mut staged) {
                    Ok(()) => {}
                    Err(error) => tracing::warn!(%error, "the past is not pruned"),
                },
                Request::Scan { prefix, answer } => scans.push((prefix, answer)),
                Request::Get { keys, answer } => gets.push((keys, answer)),
                Request::Close => close = true,
            }
        }
        let written = match broken {
            Some(error) => Err(error),
            None if staged.batches.is_empty() => Ok(Vec::new()),
            None => self.write(staged),
        };
        let (written, batches) = match written {
            Ok(batches) => (Ok(()), batches),
            Err(error) => (Err(error), Vec::new()),
        };
        for answer in answers {
            answer(written.clone());
        }
        self.apply(batches);
        for (prefix, answer) in scans {
            let _sent = answer.send(self.store.scan(&prefix));
        }
        for (keys, answer) in gets {
            let found = keys.iter().filter_map(|key| self.store.get(key).transpose()).collect();
            let _sent = answer.send(found);
        }
        close
    }

    /// Appends to the journal: from then on it is durable and may be answered.
    fn write(&mut self, staged: Staged) -> Result<Vec<Batch>, StoreError> {
        let written = match &mut self.journal {
            Some(journal) => journal.append(&staged.batches),
            None => Ok(()),
        };
        match &written {
            Ok(()) => {
                self.meta = staged.meta;
                for (key, desired) in staged.live {
                    match desired {
                        Some(desired) => self.live.insert(key, desired),
                        None => self.live.remove(&key),
                    };
                }
                for (key, grave) in staged.graves {
                    if let Some(old) = self.graves.remove(&key) {
                        self.order.remove(&(old.revision, key.clone()));
                    }
                    if let Some(grave) = grave {
                        self.order.insert((grave.revision, key.clone()));
                        self.graves.insert(key, grave);
                    }
                }
                self.show(|conditions| conditions.retain(|condition| condition.kind != "StoreFull"));
            }
            Err(StoreError::Full(reason)) => {
                let message =
                    format!("{reason}; free some room: changes and checkpoints are refused until there is");
                self.show(|conditions| {
                    if !conditions.iter().any(|condition| condition.kind == "StoreFull") {
                        tracing::error!("{message}");
                        conditions.push(Condition::new("StoreFull", message));
                    }
                });
            }
            Err(error) => self.fail(error),
        }
        written.map(|()| staged.batches)
    }

    /// Brings the tree to where the journal is. An answer does not wait for it: a tree that is behind is brought up
    /// from the journal at the next start.
    fn apply(&mut self, batches: Vec<Batch>) {
        if batches.is_empty() {
            return;
        }
        // The tree cannot go on after an error, whichever it was: nothing is acknowledged beyond it.
        if let Err(error) = self.store.apply(batches) {
            self.fail(&StoreError::Failed(error.to_string()));
        }
    }

    fn fail(&mut self, error: &StoreError) {
        tracing::error!(%error, "the store failed; streams run on, changes are refused until a restart");
        self.refused = Some(error.clone());
        self.show(|conditions| conditions.push(Condition::new("StoreFailed", error.to_string())));
    }

    /// Shortens the journal when it is time. A failure costs nothing but room.
    fn snapshot(&mut self) {
        let Some(journal) = self.journal.as_mut().filter(|journal| journal.is_due()) else { return };
        if self.refused.is_some() {
            return;
        }
        let written = self.store.scan("").and_then(|records| journal.snapshot(&records));
        if let Err(error) = written {
            tracing::warn!(%error, "no snapshot; the journal goes on");
        }
        self.show(|_| {});
    }
}

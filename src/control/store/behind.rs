//! A store with a thread of its own: who writes does not wait for it, who reads sees all that was written before.

use super::{Batch, Records, Store, StoreError};
use std::{
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
    time::Duration,
};
use tokio::time::Instant;

/// Writes waiting; more make the writer wait.
const WAITING: usize = 8;
/// What comes within this is written together, unless somebody reads: each write to the tree is a sync of the disk.
const GATHERED: Duration = Duration::from_millis(20);
/// Batches that are written at once.
const TOGETHER: usize = 4096;

type Read = Box<dyn FnOnce(Result<&dyn Store, StoreError>) + Send>;

enum Work {
    Apply(Vec<Batch>),
    Read(Read),
}

/// A store that is written after its turn, and before the next that reads.
pub(super) struct Behind {
    work: Option<SyncSender<Work>>,
    thread: Option<JoinHandle<()>>,
    /// The first write that failed says so here.
    failures: Receiver<StoreError>,
}

impl Behind {
    /// Gives a store its thread.
    pub(super) fn new(store: Box<dyn Store>) -> std::io::Result<Self> {
        let (work, receiver) = sync_channel(WAITING);
        let (fail, failures) = sync_channel(1);
        let run = move || {
            if let Err(error) = serve(store, &receiver, &fail) {
                while let Ok(work) = receiver.recv() {
                    if let Work::Read(read) = work {
                        read(Err(error.clone()));
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("weir-tree".into()).spawn(run)?;
        Ok(Self { work: Some(work), thread: Some(thread), failures })
    }

    fn send(&self, work: Work) -> Result<(), StoreError> {
        self.work.as_ref().and_then(|to| to.send(work).ok()).ok_or_else(gone)
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = sync_channel(1);
        self.send(Work::Read(Box::new(move |store| {
            // Whoever asked waits for it.
            let _sent = answer.send(store.and_then(read));
        })))?;
        answered.recv().map_err(|_| gone())?
    }
}

fn gone() -> StoreError {
    StoreError::Failed("the thread of the tree is gone".into())
}

/// Works until nobody asks any more; what was written meanwhile is written together.
fn serve(
    mut store: Box<dyn Store>,
    work: &Receiver<Work>,
    fail: &SyncSender<StoreError>,
) -> Result<(), StoreError> {
    while let Ok(first) = work.recv() {
        let until = Instant::now() + GATHERED;
        let (mut batches, mut next, mut read) = (Vec::new(), Some(first), None);
        while let Some(one) = next {
            match one {
                Work::Apply(more) => batches.extend(more),
                Work::Read(asked) => {
                    read = Some(asked);
                    break;
                }
            }
            if batches.len() >= TOGETHER {
                break;
            }
            next = work.recv_timeout(until.saturating_duration_since(Instant::now())).ok();
        }
        let written = if batches.is_empty() { Ok(()) } else { store.apply(batches) };
        if let Err(error) = &written {
            // The next write is told.
            let _told = fail.try_send(error.clone());
        }
        if let Some(read) = read {
            read(written.clone().map(|()| &*store));
        }
        written?;
    }
    Ok(())
}

impl Store for Behind {
    fn apply(&mut self, batches: Vec<Batch>) -> Result<(), StoreError> {
        match self.failures.try_recv() {
            Ok(error) => Err(error),
            Err(_) => self.send(Work::Apply(batches)),
        }
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let key = key.to_owned();
        self.read(move |store| store.get(&key))
    }

    fn scan(&self, prefix: &str) -> Result<Records, StoreError> {
        let prefix = prefix.to_owned();
        self.read(move |store| store.scan(&prefix))
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.work = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the tree panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{MemoryStore, Op},
        *,
    };

    fn put(commit: u64) -> Vec<Batch> {
        vec![Batch { commit, ops: vec![Op::Put(format!("k{commit:03}"), vec![1])] }]
    }

    #[test]
    fn a_read_sees_every_write_before_it_and_an_end_waits_for_all() {
        let mut store = Behind::new(Box::new(MemoryStore::default())).unwrap();
        for commit in 0..100 {
            store.apply(put(commit)).unwrap();
            if commit % 7 == 0 {
                assert_eq!(store.scan("k").unwrap().len() as u64, commit + 1);
                assert_eq!(store.get(&format!("k{commit:03}")).unwrap(), Some(vec![1]));
            }
        }
    }

    /// Fails with the third write.
    #[derive(Default)]
    struct Failing(MemoryStore, usize);

    impl Store for Failing {
        fn apply(&mut self, batches: Vec<Batch>) -> Result<(), StoreError> {
            self.1 += batches.len();
            if self.1 >= 3 { Err(StoreError::Failed("no".into())) } else { self.0.apply(batches) }
        }
        fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(key)
        }
        fn scan(&self, prefix: &str) -> Result<Records, StoreError> {
            self.0.scan(prefix)
        }
    }

    #[test]
    fn a_failed_write_is_told_to_the_reads_behind_it_and_to_the_next_write() {
        let mut store = Behind::new(Box::<Failing>::default()).unwrap();
        for commit in 0..2 {
            store.apply(put(commit)).unwrap();
        }
        assert_eq!(store.scan("").unwrap().len(), 2);
        store.apply(put(2)).unwrap();
        let failed = Err(StoreError::Failed("no".into()));
        assert_eq!(store.get("k000"), failed.clone().map(|()| None));
        assert_eq!(store.apply(put(3)), failed);
        assert!(store.scan("").is_err());
    }
}

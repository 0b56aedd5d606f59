//! The sled tree. Its own flush is not an fsync on Linux, so each commit is: one batch, flush, fsync of new
//! blobs, of the database file through a handle of our own, and of the folders.

use super::{Batch, Op, Records, Store, StoreError, disk::Disk};
use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

/// Longer values are cut into numbered chunks: large pages become blobs, which sled does not sync.
const CHUNK: usize = 4 << 10;
/// Large segments keep pages out of blobs.
const SEGMENT: usize = 16 << 20;
/// A damaged tree may make sled spin instead of fail.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// How often it is tried to lock the tree, 10 ms apart: threads of one that was just closed may hold it a moment longer.
const LOCKING: usize = 200;

fn open_locked(config: &::sled::Config) -> ::sled::Result<::sled::Db> {
    let is_locked = |error: &::sled::Error| error.to_string().contains("could not acquire lock");
    for _ in 1..LOCKING {
        match config.open() {
            Err(error) if is_locked(&error) => std::thread::sleep(Duration::from_millis(10)),
            opened => return opened,
        }
    }
    config.open()
}

/// Sealed records in sled.
pub struct SledStore {
    db: ::sled::Db,
    /// Our own handle of sled's file: sled's flush does not fsync.
    handle: File,
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    /// Files already synced.
    known: HashSet<OsString>,
}

fn head_key(key: &str) -> Vec<u8> {
    [b"k", key.as_bytes()].concat()
}

fn chunk_key(key: &str, number: usize) -> Vec<u8> {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    [b"v", key.as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// The number of chunks behind a head, and the head's own bytes.
fn split_head(head: &[u8]) -> Option<(usize, &[u8])> {
    let (count, rest) = head.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, rest))
}

impl SledStore {
    /// Opens or makes the tree. Damage comes back as an error, however sled meets it.
    pub fn open(folder: &Path, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let corrupt = |reason: String| StoreError::Corrupt { path: folder.display().to_string(), reason };
        let system = |error: io::Error| corrupt(error.to_string());
        fs::create_dir_all(folder).map_err(system)?;
        for entry in fs::read_dir(folder).map_err(system)? {
            let path = entry.map_err(system)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // sled stops at a snapshot that was being written when the process died.
            if name.starts_with("snap.") && name.ends_with(".generating") {
                fs::remove_file(&path).map_err(system)?;
            }
        }
        let config = ::sled::Config::new()
            .path(folder)
            .segment_size(SEGMENT)
            .cache_capacity(8 << 20)
            .flush_every_ms(None);
        let (sender, receiver) = mpsc::sync_channel(1);
        let opening = std::thread::Builder::new().name("weir-sled-open".into()).spawn(move || {
            let opened = catch_unwind(AssertUnwindSafe(|| open_locked(&config)));
            // Nobody listens any more when the open took too long.
            let _sent = sender.send(opened);
        });
        opening.map_err(system)?;
        let db = match receiver.recv_timeout(OPEN_WITHIN) {
            Ok(Ok(Ok(db))) => db,
            Ok(Ok(Err(error))) => return Err(corrupt(error.to_string())),
            Ok(Err(_panic)) => return Err(corrupt("sled panicked while it opened".into())),
            Err(_late) => return Err(corrupt("sled did not open in time".into())),
        };
        let handle = File::open(folder.join("db")).map_err(system)?;
        let mut store = Self { db, handle, folder: folder.into(), disk, known: HashSet::new() };
        store.sync()?;
        Ok(store)
    }

    /// Makes what sled wrote durable.
    fn sync(&mut self) -> Result<(), StoreError> {
        let failed =
            |error: io::Error| StoreError::Failed(format!("sync {}: {error}", self.folder.display()));
        let mut fresh = HashSet::new();
        for folder in [self.folder.clone(), self.folder.join("blobs")] {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other.map_err(failed)?,
            };
            let mut changed = false;
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let path = entry.path().into_os_string();
                if self.known.contains(&path) {
                    continue;
                }
                if entry.file_type().map_err(failed)?.is_file() {
                    match File::open(&path) {
                        Ok(file) => self.disk.sync(&file).map_err(failed)?,
                        // sled may have renamed or removed it meanwhile.
                        Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                        Err(error) => return Err(failed(error)),
                    }
                }
                changed = true;
                fresh.insert(path);
            }
            if changed {
                self.disk.sync_folder(&folder).map_err(failed)?;
            }
        }
        self.disk.sync(&self.handle).map_err(failed)?;
        self.known.extend(fresh);
        Ok(())
    }

    /// Runs sled code, turning errors and panics into ours.
    fn guarded<T>(&self, run: impl FnOnce(&::sled::Db) -> ::sled::Result<T>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(|| run(&self.db))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(StoreError::Failed(format!("sled: {error}"))),
            Err(_panic) => Err(StoreError::Failed("sled panicked".into())),
        }
    }

    fn assemble(db: &::sled::Db, key: &str, head: &[u8]) -> ::sled::Result<Option<Vec<u8>>> {
        let Some((count, first)) = split_head(head) else { return Ok(None) };
        let mut value = first.to_vec();
        for number in 0..count {
            match db.get(chunk_key(key, number))? {
                Some(chunk) => value.extend_from_slice(&chunk),
                None => return Ok(None),
            }
        }
        Ok(Some(value))
    }

    /// Looks at the records whose keys start with `prefix`, in the order of their keys, until one is refused.
    pub(super) fn each(
        &self,
        prefix: &str,
        mut look: impl FnMut(&str, Vec<u8>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        self.guarded(|db| {
            for entry in db.scan_prefix(head_key(prefix)) {
                let (key, head) = entry?;
                let Some(key) = std::str::from_utf8(key.get(1..).unwrap_or_default()).ok() else { continue };
                if let Some(value) = Self::assemble(db, key, &head)?
                    && let Err(refused) = look(key, value)
                {
                    return Ok(Err(refused));
                }
            }
            Ok(Ok(()))
        })?
    }
}

impl Store for SledStore {
    fn apply(&mut self, batches: Vec<Batch>) -> Result<(), StoreError> {
        // The last change of a key counts: chunks are compared with what is stored, not with one another.
        let mut last: BTreeMap<&str, Option<&[u8]>> = BTreeMap::new();
        for op in batches.iter().flat_map(|batch| &batch.ops) {
            match op {
                Op::Put(key, value) => last.insert(key, Some(value)),
                Op::Delete(key) => last.insert(key, None),
            };
        }
        self.guarded(|db| {
            let mut batch = ::sled::Batch::default();
            for (key, value) in last {
                let head = head_key(key);
                let old = db.get(&head)?.and_then(|head| split_head(&head).map(|(count, _)| count));
                let mut count = 0;
                if let Some(value) = value {
                    let (first, rest) = value.split_at(value.len().min(CHUNK));
                    for chunk in rest.chunks(CHUNK) {
                        batch.insert(chunk_key(key, count), chunk);
                        count += 1;
                    }
                    let number = u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
                    batch.insert(head, [&number, first].concat());
                } else if old.is_some() {
                    batch.remove(head);
                }
                for number in count..old.unwrap_or(0) {
                    batch.remove(chunk_key(key, number));
                }
            }
            db.apply_batch(batch)?;
            db.flush().map(|_bytes| ())
        })?;
        self.sync()
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded(|db| match db.get(head_key(key))? {
            Some(head) => Self::assemble(db, key, &head),
            None => Ok(None),
        })
    }

    fn scan(&self, prefix: &str) -> Result<Records, StoreError> {
        let mut records = Records::new();
        self.each(prefix, |key, value| {
            records.insert(key.to_owned(), value);
            Ok(())
        })?;
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            MemoryStore,
            disk::{SystemDisk, faulty::FaultyDisk},
        },
        *,
    };
    use std::sync::atomic::Ordering;

    #[test]
    fn sled_and_its_twin_in_memory_agree_after_any_changes_and_a_reopen() {
        let dir = tempfile::tempdir().unwrap();
        let mut sled = SledStore::open(dir.path(), Arc::new(SystemDisk)).unwrap();
        let mut twin = MemoryStore::default();
        let mut random = 7_u64;
        for commit in 0..60 {
            let ops = (0..20)
                .map(|_| {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let key = format!("d/stream/{}", random >> 60);
                    match (random >> 32) % 5 {
                        0 => Op::Delete(key),
                        size => {
                            let length = usize::try_from((random >> 40) % 7000 * size).unwrap();
                            Op::Put(key, vec![u8::try_from(commit).unwrap(); length])
                        }
                    }
                })
                .collect();
            let batch = [Batch { commit, ops }];
            sled.apply(batch.to_vec()).unwrap();
            twin.apply(batch.to_vec()).unwrap();
        }
        assert_eq!(sled.scan("").unwrap(), twin.scan("").unwrap());
        assert_eq!(sled.get("d/stream/3").unwrap(), twin.get("d/stream/3").unwrap());
        assert_eq!(sled.scan("d/stream/1").unwrap(), twin.scan("d/stream/1").unwrap());
        drop(sled);
        let sled = SledStore::open(dir.path(), Arc::new(SystemDisk)).unwrap();
        assert_eq!(sled.scan("").unwrap(), twin.scan("").unwrap());
    }

    #[test]
    fn a_failed_fsync_is_a_failed_commit() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::new(io::ErrorKind::Other));
        let mut sled = SledStore::open(dir.path(), disk.clone()).unwrap();
        disk.syncs.store(0, Ordering::SeqCst);
        let batch = Batch { commit: 1, ops: vec![Op::Put("a".into(), vec![1])] };
        assert!(matches!(sled.apply(vec![batch]), Err(StoreError::Failed(_))));
    }

    #[test]
    fn an_unfinished_snapshot_does_not_stop_it_from_opening() {
        let dir = tempfile::tempdir().unwrap();
        drop(SledStore::open(dir.path(), Arc::new(SystemDisk)).unwrap());
        fs::write(dir.path().join("snap.0000000000000001.generating"), b"cut").unwrap();
        SledStore::open(dir.path(), Arc::new(SystemDisk)).unwrap();
    }
}

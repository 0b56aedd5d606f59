//! The journal: every commit appended and fsynced before it is answered, cut short by snapshots.
//!
//! `N.snapshot` holds all records before journal `N`; journals from `N` on follow it. The pair before the newest
//! is kept, so that a damaged snapshot costs nothing.

use super::{
    Batch, Op, Records, StoreError, apply_to,
    disk::{Disk, is_full},
    frame,
};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::time::Instant;

/// A journal this long is followed by a snapshot.
const LONGEST: u64 = 64 << 20;
/// So is one that took changes for this long.
const OLDEST: Duration = Duration::from_mins(10);
/// Records are put into snapshots in frames of about this size.
const SNAPSHOT_FRAME: usize = 1 << 20;

/// What the journals hold.
#[derive(Debug, Default)]
pub(super) struct Recovered {
    /// All records.
    pub(super) records: Records,
    /// No journal and no snapshot was there.
    pub(super) empty: bool,
    /// What could not be read, if anything.
    pub(super) damage: Option<String>,
    /// The journal to go on with, and where its whole frames end.
    pub(super) last: Option<Place>,
}

/// A journal's number, and where its whole frames end.
pub(super) type Place = (u64, u64);

/// The journal being written.
pub(super) struct Journal {
    folder: PathBuf,
    disk: Arc<dyn Disk>,
    number: u64,
    file: File,
    length: u64,
    begun: Instant,
    failed: Option<String>,
}

fn journal_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}"))
}

fn snapshot_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:010}.snapshot"))
}

/// The numbers of the journals and of the snapshots, ascending.
fn numbers(folder: &Path) -> io::Result<(Vec<u64>, Vec<u64>)> {
    let (mut journals, mut snapshots) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        match name.strip_suffix(".snapshot") {
            Some(number) => snapshots.extend(number.parse::<u64>()),
            None => journals.extend(name.parse::<u64>()),
        }
    }
    journals.sort_unstable();
    snapshots.sort_unstable();
    Ok((journals, snapshots))
}

/// A whole snapshot, or why it is not.
fn read_snapshot(path: &Path) -> Result<Records, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let (mut records, mut last) = (Records::new(), None);
    let frames = frame::decode(&bytes, |batch| {
        if let Some(before) = last.replace(batch) {
            apply_to(&mut records, before);
        }
    });
    if frames.damaged || frames.good != bytes.len() {
        return Err("it is cut or flipped".into());
    }
    match last.and_then(|batch| batch.ops.into_iter().next()) {
        Some(Op::Put(key, count)) if key == "end" && count == records.len().to_string().as_bytes() => {
            Ok(records)
        }
        _ => Err("it has no end".into()),
    }
}

/// Reads everything that is there; changes nothing.
pub(super) fn recover(folder: &Path) -> Result<Recovered, StoreError> {
    let corrupt = |error: &io::Error| StoreError::Corrupt {
        path: folder.display().to_string(),
        reason: error.to_string(),
    };
    let (journals, snapshots) = match numbers(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Recovered { empty: true, ..Recovered::default() });
        }
        other => other.map_err(|error| corrupt(&error))?,
    };
    let mut found = Recovered { empty: journals.is_empty() && snapshots.is_empty(), ..Recovered::default() };
    let mut damage = Vec::new();
    let mut base = None;
    for number in snapshots.iter().rev() {
        match read_snapshot(&snapshot_path(folder, *number)) {
            Ok(records) => {
                found.records = records;
                base = Some(*number);
                break;
            }
            Err(reason) => damage.push(format!("snapshot {number}: {reason}")),
        }
    }
    // The snapshot before a damaged one and all journals since hold the same.
    let whole =
        |base: u64| journals.iter().copied().filter(|n| *n >= base).eq(base..=*journals.last().unwrap_or(&0));
    match base {
        Some(base) if !damage.is_empty() && whole(base) => damage.clear(),
        None if !journals.is_empty() && !whole(1) => damage.push("the first journals are missing".into()),
        None if damage.len() == snapshots.len() && whole(1) => damage.clear(),
        _ => {}
    }
    let base = base.unwrap_or(0);
    let last = journals.last().copied();
    for number in journals.into_iter().filter(|number| *number >= base) {
        let path = journal_path(folder, number);
        let bytes = fs::read(&path).map_err(|error| corrupt(&error))?;
        let frames = frame::decode(&bytes, |batch| apply_to(&mut found.records, batch));
        let cut = frames.good < bytes.len();
        if frames.damaged || (cut && Some(number) != last) {
            damage.push(format!("journal {number}: broken after byte {}", frames.good));
        }
        // A journal with damage inside is never appended to, since cutting it would drop what follows.
        found.last = if frames.damaged { None } else { Some((number, frames.good as u64)) };
    }
    if !damage.is_empty() {
        found.damage = Some(damage.join("; "));
    }
    Ok(found)
}

impl Journal {
    /// Goes on at this place, cutting a torn tail off; or starts anew behind a snapshot of `records`.
    pub(super) fn open(
        folder: &Path,
        disk: Arc<dyn Disk>,
        last: Option<Place>,
        records: &Records,
    ) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|error| failure("make", folder, &error))?;
        if let Some((number, good)) = last {
            let path = journal_path(folder, number);
            let file = OpenOptions::new().append(true).open(&path).map_err(|e| failure("open", &path, &e))?;
            let length = file.metadata().map_err(|error| failure("read", &path, &error))?.len();
            if length != good {
                file.set_len(good).map_err(|error| failure("cut", &path, &error))?;
                disk.sync(&file).map_err(|error| failure("sync", &path, &error))?;
            }
            let begun = Instant::now();
            return Ok(Self { folder: folder.into(), disk, number, file, length: good, begun, failed: None });
        }
        let (journals, snapshots) = numbers(folder).map_err(|error| failure("read", folder, &error))?;
        let number = journals.last().max(snapshots.last()).copied().unwrap_or(0) + 1;
        if !journals.is_empty() || !snapshots.is_empty() || !records.is_empty() {
            write_snapshot(folder, &*disk, number, records)?;
        }
        let file = create(folder, &*disk, number)?;
        Ok(Self { folder: folder.into(), disk, number, file, length: 0, begun: Instant::now(), failed: None })
    }

    /// Appends the batches and makes them durable. After a failed fsync it never says yes again.
    pub(super) fn append(&mut self, batches: &[Batch]) -> Result<(), StoreError> {
        if let Some(reason) = &self.failed {
            return Err(StoreError::Failed(reason.clone()));
        }
        let mut bytes = Vec::new();
        for batch in batches {
            frame::encode(batch, &mut bytes);
        }
        let path = journal_path(&self.folder, self.number);
        if let Err(error) = self.disk.write(&mut self.file, &bytes) {
            // What was written in part is cut off, so that the next write starts at a frame.
            if is_full(&error) && self.file.set_len(self.length).is_ok() {
                return Err(StoreError::Full(format!("write {}: {error}", path.display())));
            }
            return Err(self.fail(failure("write", &path, &error)));
        }
        if let Err(error) = self.disk.sync(&self.file) {
            // What is refused must not be there after a restart, which would read it from a page that never got out.
            if let Err(error) = self.file.set_len(self.length) {
                tracing::error!(path = %path.display(), %error, "a refused write stays in the journal");
            }
            return Err(self.fail(StoreError::Failed(format!("sync {}: {error}", path.display()))));
        }
        if self.length == 0 {
            self.begun = Instant::now();
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Whether it is time for a snapshot.
    pub(super) fn is_due(&self) -> bool {
        self.length >= LONGEST || (self.length > 0 && self.begun.elapsed() >= OLDEST)
    }

    /// Bytes since the last snapshot.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes all records down, begins a new journal and drops what is no longer needed.
    pub(super) fn snapshot(&mut self, records: &Records) -> Result<(), StoreError> {
        let next = self.number + 1;
        write_snapshot(&self.folder, &*self.disk, next, records)?;
        self.file = create(&self.folder, &*self.disk, next)?;
        let keep = self.number;
        (self.number, self.length, self.begun) = (next, 0, Instant::now());
        let Ok((journals, snapshots)) = numbers(&self.folder) else { return Ok(()) };
        // Older files are only clutter: a failure to remove them is no failure.
        let old = journals.into_iter().map(|n| (n, journal_path(&self.folder, n)));
        let old = old.chain(snapshots.into_iter().map(|n| (n, snapshot_path(&self.folder, n))));
        for (_, path) in old.filter(|(number, _)| *number < keep) {
            if let Err(error) = fs::remove_file(&path) {
                tracing::debug!(path = %path.display(), %error, "an old journal stays");
            }
        }
        Ok(())
    }

    fn fail(&mut self, error: StoreError) -> StoreError {
        self.failed = Some(error.to_string());
        match error {
            StoreError::Failed(_) => error,
            other => StoreError::Failed(other.to_string()),
        }
    }
}

fn failure(what: &str, path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{what} {}: {error}", path.display());
    if is_full(error) { StoreError::Full(text) } else { StoreError::Failed(text) }
}

fn create(folder: &Path, disk: &dyn Disk, number: u64) -> Result<File, StoreError> {
    let path = journal_path(folder, number);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|file| file.set_len(0).map(|()| file))
        .and_then(|file| disk.sync(&file).map(|()| file))
        .and_then(|file| disk.sync_folder(folder).map(|()| file));
    file.map_err(|error| failure("create", &path, &error))
}

fn write_snapshot(folder: &Path, disk: &dyn Disk, number: u64, records: &Records) -> Result<(), StoreError> {
    let path = snapshot_path(folder, number);
    let part = folder.join("snapshot.part");
    let write = || -> io::Result<()> {
        let mut file = File::create(&part)?;
        let mut bytes = Vec::new();
        let mut batch = Batch::default();
        let mut size = 0;
        for (key, value) in records {
            size += key.len() + value.len();
            batch.ops.push(Op::Put(key.clone(), value.clone()));
            if size >= SNAPSHOT_FRAME {
                bytes.clear();
                frame::encode(&batch, &mut bytes);
                disk.write(&mut file, &bytes)?;
                batch.ops.clear();
                size = 0;
            }
        }
        bytes.clear();
        frame::encode(&batch, &mut bytes);
        let end = Op::Put("end".into(), records.len().to_string().into_bytes());
        frame::encode(&Batch { commit: 0, ops: vec![end] }, &mut bytes);
        disk.write(&mut file, &bytes)?;
        disk.sync(&file)?;
        fs::rename(&part, &path)?;
        disk.sync_folder(folder)
    };
    write().map_err(|error| {
        if let Err(error) = fs::remove_file(&part) {
            tracing::debug!(%error, "an unfinished snapshot stays");
        }
        failure("write", &path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::disk::{SystemDisk, faulty::FaultyDisk},
        *,
    };
    use std::sync::atomic::Ordering;

    fn batch(commit: u64) -> Batch {
        Batch { commit, ops: vec![Op::Put(format!("d/{commit:04}"), vec![b'x'; 100])] }
    }

    fn journal(folder: &Path) -> Journal {
        let found = recover(folder).unwrap();
        Journal::open(folder, Arc::new(SystemDisk), found.last, &found.records).unwrap()
    }

    #[test]
    fn what_was_appended_is_recovered_through_snapshots_and_a_torn_tail() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal_ = journal(dir.path());
        for commit in 1..=10 {
            journal_.append(&[batch(commit)]).unwrap();
            if commit % 3 == 0 {
                let records = recover(dir.path()).unwrap().records;
                journal_.snapshot(&records).unwrap();
            }
        }
        let path = journal_path(dir.path(), journal_.number);
        drop(journal_);
        let mut bytes = fs::read(&path).unwrap();
        bytes.extend_from_slice(b"WJ1\nhalf a fra");
        fs::write(&path, bytes).unwrap();
        let found = recover(dir.path()).unwrap();
        assert_eq!((found.records.len(), found.damage.as_deref()), (10, None));
        let mut journal_ = journal(dir.path());
        journal_.append(&[batch(11)]).unwrap();
        assert_eq!(recover(dir.path()).unwrap().records.len(), 11);
    }

    #[test]
    fn a_damaged_snapshot_is_replaced_by_the_pair_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal_ = journal(dir.path());
        for commit in 1..=9 {
            journal_.append(&[batch(commit)]).unwrap();
            if commit % 3 == 0 {
                let records = recover(dir.path()).unwrap().records;
                journal_.snapshot(&records).unwrap();
            }
        }
        let path = snapshot_path(dir.path(), journal_.number);
        let mut bytes = fs::read(&path).unwrap();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        let found = recover(dir.path()).unwrap();
        assert_eq!((found.records.len(), found.damage), (9, None));
    }

    #[test]
    fn a_full_disk_refuses_whole_and_recovers_when_there_is_room() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::new(io::ErrorKind::StorageFull));
        let found = recover(dir.path()).unwrap();
        let mut journal_ = Journal::open(dir.path(), disk.clone(), found.last, &found.records).unwrap();
        journal_.append(&[batch(1)]).unwrap();
        disk.writes.store(0, Ordering::SeqCst);
        assert!(matches!(journal_.append(&[batch(2)]), Err(StoreError::Full(_))));
        disk.writes.store(-1, Ordering::SeqCst);
        journal_.append(&[batch(3)]).unwrap();
        let found = recover(dir.path()).unwrap();
        assert_eq!(found.records.into_keys().collect::<Vec<_>>(), ["d/0001", "d/0003"]);
    }

    #[test]
    fn after_a_failed_fsync_nothing_is_acknowledged_even_if_the_next_would_succeed() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::new(io::ErrorKind::Other));
        let found = recover(dir.path()).unwrap();
        let mut journal_ = Journal::open(dir.path(), disk.clone(), found.last, &found.records).unwrap();
        disk.syncs.store(0, Ordering::SeqCst);
        assert!(matches!(journal_.append(&[batch(1)]), Err(StoreError::Failed(_))));
        disk.syncs.store(-1, Ordering::SeqCst);
        assert!(matches!(journal_.append(&[batch(2)]), Err(StoreError::Failed(_))));
    }
}

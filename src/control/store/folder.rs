//! The state folder: its lock, its format, and how a journal and a tree that disagree are made one.

use super::{
    Batch, MemoryStore, Op, Records, SledStore, Store, StoreError,
    disk::{Disk, is_full},
    journal::{self, Journal, Recovered},
};
use crate::record::{self, Meta, keys};
use serde::Serialize;
use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _},
    path::Path,
    sync::Arc,
};

/// The folder's format.
const FORMAT: u32 = 1;
/// Set-aside trees kept.
const QUARANTINED: usize = 3;

/// Something a person should know about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// Which: `StoreFailed`, `StoreFull`, `StoreReadOnly`, `StoreRebuilt`, `StoreDamaged`, `SourceMissing`,
    /// `FilesLeftOut`, `ResourcesRefused`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// What happened and what to do.
    pub message: String,
}

impl Condition {
    /// A condition that holds from now on.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, since: record::now(), message: message.into() }
    }
}

/// An opened store with all it holds.
pub struct Opened {
    pub(crate) store: Box<dyn Store>,
    pub(super) journal: Option<Journal>,
    pub(super) read_only: Option<String>,
    /// Held as long as the store is open.
    pub(super) lock: Option<File>,
    /// All records.
    pub records: Records,
    /// What was met while opening.
    pub conditions: Vec<Condition>,
}

impl Opened {
    /// A store that keeps nothing.
    pub fn in_memory() -> Self {
        let store = Box::new(MemoryStore::default());
        let (records, conditions) = (Records::new(), Vec::new());
        Self { store, journal: None, read_only: None, lock: None, records, conditions }
    }

    /// Whether writes are refused, and why.
    pub fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }
}

/// The counters in a set of records.
pub(super) fn meta(records: &Records) -> Meta {
    records.get(keys::META).and_then(|bytes| record::read(bytes).ok()).unwrap_or_default()
}

fn unwritable(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unwritable { path: path.display().to_string(), reason: error.to_string() }
}

/// Takes the folder for this process; an I/O error means that it cannot be written.
pub(super) fn lock(path: &Path) -> Result<Result<File, io::Error>, StoreError> {
    let opened =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join("lock"));
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let read = file.read_to_string(&mut pid);
            let pid = read.ok().and_then(|_| pid.trim().parse().ok());
            return Err(StoreError::InUse { path: path.display().to_string(), pid });
        }
        Err(TryLockError::Error(error)) => return Ok(Err(error)),
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| io::Write::write_all(&mut file, std::process::id().to_string().as_bytes()));
    Ok(written.map(|()| file))
}

/// Refuses a folder that a newer program wrote.
pub(super) fn check_format(path: &Path) -> Result<bool, StoreError> {
    let Ok(text) = fs::read_to_string(path.join("format")) else { return Ok(false) };
    match text.trim().strip_prefix("weir state ").and_then(|found| found.parse::<u32>().ok()) {
        Some(found) if found > FORMAT => {
            Err(StoreError::Newer { path: path.display().to_string(), found, known: FORMAT })
        }
        // A cut format file says nothing; the records have versions of their own.
        found => Ok(found.is_some()),
    }
}

/// Refuses a record that a newer program wrote.
fn check_record(path: &Path, value: &[u8]) -> Result<(), StoreError> {
    let newer = |found| StoreError::Newer { path: path.display().to_string(), found, known: record::MAJOR };
    record::newer(value).map_or(Ok(()), |found| Err(newer(found)))
}

/// Refuses records that a newer program wrote.
pub(super) fn check_records(path: &Path, records: &Records) -> Result<(), StoreError> {
    records.values().try_for_each(|value| check_record(path, value))
}

/// Shows that the disk takes and keeps bytes.
fn probe(path: &Path, disk: &dyn Disk, has_format: bool) -> io::Result<()> {
    let probe = path.join("probe");
    let mut file = File::create(&probe)?;
    let written = disk.write(&mut file, &[0; 4096]).and_then(|()| disk.sync(&file));
    fs::remove_file(&probe)?;
    written?;
    if !has_format {
        let mut file = File::create(path.join("format"))?;
        disk.write(&mut file, format!("weir state {FORMAT}\n").as_bytes())?;
        disk.sync(&file)?;
        disk.sync_folder(path)?;
    }
    Ok(())
}

/// Opens a state folder. On a disk that cannot be written the last set is given, read-only.
pub fn open(path: &Path, disk: &Arc<dyn Disk>) -> Result<Opened, StoreError> {
    let made = fs::create_dir_all(path);
    let has_format = check_format(path)?;
    let locked = match made {
        Ok(()) => lock(path)?,
        Err(error) => Err(error),
    };
    let (lock, obstacle) = match locked {
        Ok(file) => (Some(file), probe(path, &**disk, has_format).err()),
        Err(error) => (None, Some(error)),
    };
    let journals = path.join("journal");
    if let Some(error) = &obstacle
        && !journals.is_dir()
    {
        return Err(unwritable(path, error));
    }
    let found = journal::recover(&journals)?;
    check_records(path, &found.records)?;
    if let Some(error) = obstacle {
        return Ok(read_only(path, lock, found, &error));
    }
    let error = match reconcile(path, disk, found) {
        Ok(opened) => return Ok(Opened { lock, ..opened }),
        // The disk filled up or failed since the probe: the last set still runs.
        Err(StoreError::Full(reason)) => io::Error::new(io::ErrorKind::StorageFull, reason),
        Err(StoreError::Failed(reason)) => io::Error::other(reason),
        Err(error) => return Err(error),
    };
    Ok(read_only(path, lock, journal::recover(&journals)?, &error))
}

fn read_only(path: &Path, lock: Option<File>, found: Recovered, error: &io::Error) -> Opened {
    let why = if is_full(error) { "the disk is full" } else { "it cannot be written" };
    let reason = format!("state folder {}: {why}: {error}", path.display());
    let message =
        format!("{reason}; the last set runs, changes are refused until it can be written and weir restarts");
    let mut conditions = vec![Condition::new("StoreReadOnly", message)];
    conditions.extend(found.damage.map(|damage| Condition::new("StoreDamaged", damage)));
    let store = Box::new(MemoryStore::with(found.records.clone()));
    Opened { store, journal: None, read_only: Some(reason), lock, records: found.records, conditions }
}

/// What the tree and the journal do not have in common.
enum Gap {
    /// The tree has more: all its records.
    Tree(Records),
    /// The journal has the last word: what the tree needs, and how many records it has.
    Journal(Vec<Op>, usize),
}

/// Refuses a record of the tree that is damaged, or that a newer program wrote.
fn verify(path: &Path, key: &str, value: &[u8]) -> Result<(), StoreError> {
    record::unseal(value)
        .map_err(|error| StoreError::Corrupt { path: key.to_owned(), reason: error.to_string() })?;
    check_record(path, value)
}

/// Compares the tree with the journal's records, which are verified already.
fn gap(path: &Path, sled: &SledStore, found: &Recovered) -> Result<Gap, StoreError> {
    let (ours, theirs) = (meta(&found.records).commit, meta(&sled.scan(keys::META)?).commit);
    if theirs > ours || (found.damage.is_some() && theirs >= ours && theirs > 0) {
        let mut records = Records::new();
        sled.each("", |key, value| {
            verify(path, key, &value)?;
            records.insert(key.to_owned(), value);
            Ok(())
        })?;
        return Ok(Gap::Tree(records));
    }
    let (mut ops, mut stored) = (Vec::new(), 0);
    let put = |(key, value): (&String, &Vec<u8>)| Op::Put(key.clone(), value.clone());
    // Both are in order.
    let mut wanted = found.records.iter().peekable();
    sled.each("", |key, value| {
        stored += 1;
        ops.extend(std::iter::from_fn(|| wanted.next_if(|(ours, _)| ours.as_str() < key)).map(put));
        match wanted.next_if(|(ours, _)| *ours == key) {
            Some((_, ours)) if *ours == value => return Ok(()),
            Some(ours) => ops.push(put(ours)),
            None => ops.push(Op::Delete(key.to_owned())),
        }
        verify(path, key, &value)
    })?;
    ops.extend(wanted.map(put));
    Ok(Gap::Journal(ops, stored))
}

/// Brings journal and tree to the same state: the journal's, unless it is the journal that lost something.
fn reconcile(path: &Path, disk: &Arc<dyn Disk>, found: Recovered) -> Result<Opened, StoreError> {
    let folder = path.join("sled");
    let mut conditions = Vec::new();
    let existed = folder.is_dir();
    let opened = SledStore::open(&folder, Arc::clone(disk)).and_then(|sled| {
        let gap = gap(path, &sled, &found)?;
        Ok((sled, gap))
    });
    let (mut sled, gap) = match opened {
        Ok((sled, gap)) => (Some(sled), gap),
        Err(error @ StoreError::Newer { .. }) => return Err(error),
        Err(error) => {
            tracing::error!(%error, "the sled tree does not open; it is set aside and rebuilt from the journal");
            let place = set_aside(path, &folder);
            conditions.push(Condition::new(
                "StoreRebuilt",
                format!("the sled tree was damaged ({error}); it was set aside {place} and rebuilt from the journal"),
            ));
            let ops = found.records.iter().map(|(key, value)| Op::Put(key.clone(), value.clone())).collect();
            (SledStore::open(&folder, Arc::clone(disk)).ok(), Gap::Journal(ops, 0))
        }
    };
    let ours = meta(&found.records).commit;
    let (behind, records, ops) = match gap {
        Gap::Tree(records) => (true, records, Vec::new()),
        Gap::Journal(ops, stored) => {
            if existed && stored == 0 && !ops.is_empty() && conditions.is_empty() && found.damage.is_none() {
                let message = "the sled tree was empty and was rebuilt from the journal";
                conditions.push(Condition::new("StoreRebuilt", message));
            }
            (false, found.records, ops)
        }
    };
    let lost = || {
        let theirs = meta(&records).commit;
        (behind && !(found.empty && ours == 0))
            .then(|| format!("it ends at commit {ours}, the tree at {theirs}"))
    };
    let anew = behind || found.damage.is_some();
    if found.damage.is_some() {
        keep_copy(path);
    }
    if let Some(damage) = found.damage.or_else(lost) {
        let from = if behind {
            "nothing is missing: the tree had it all"
        } else {
            "what it could not say may be missing"
        };
        conditions
            .push(Condition::new("StoreDamaged", format!("the journal was damaged ({damage}); {from}")));
    }
    let goes_on = found.last.filter(|_| !anew);
    let journal = Journal::open(&path.join("journal"), Arc::clone(disk), goes_on, &records)?;
    if let Some(tree) = sled.as_mut().filter(|_| !ops.is_empty())
        && let Err(error) = tree.apply(vec![Batch { commit: 0, ops }])
    {
        conditions.push(Condition::new("StoreDamaged", format!("the sled tree cannot be written: {error}")));
        sled = None;
    }
    let store: Box<dyn Store> = match sled {
        Some(sled) => Box::new(sled),
        // The journal alone is durable; the tree gets its next chance at the next start.
        None => Box::new(MemoryStore::with(records.clone())),
    };
    for condition in &conditions {
        tracing::warn!(condition = condition.kind, "{}", condition.message);
    }
    Ok(Opened { store, journal: Some(journal), read_only: None, lock: None, records, conditions })
}

/// Moves a bad tree away, keeping the newest few; says where it went.
fn set_aside(path: &Path, folder: &Path) -> String {
    let place = path.join("quarantine");
    let target = place.join(format!("sled-{}", record::now()));
    let moved = fs::create_dir_all(&place).and_then(|()| fs::rename(folder, &target));
    prune(&place);
    match moved {
        Ok(()) => format!("as {}", target.display()),
        Err(error) => format!("in vain ({error})"),
    }
}

/// Keeps the damaged journals for a person to look at.
fn keep_copy(path: &Path) {
    let place = path.join("quarantine");
    let target = place.join(format!("journal-{}", record::now()));
    let copied = fs::create_dir_all(&target).and_then(|()| copy_folder(&path.join("journal"), &target));
    prune(&place);
    if let Err(error) = copied {
        tracing::warn!(%error, "the damaged journal could not be copied aside");
    }
}

/// Copies the files of a folder, and those of its folders.
pub(crate) fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn prune(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let mut old: Vec<_> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    let age = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.rsplit('-').next().and_then(|time| time.parse::<u64>().ok()).unwrap_or(0)
    };
    old.sort_by_key(|path| std::cmp::Reverse(age(path)));
    for path in old.into_iter().skip(QUARANTINED) {
        if let Err(error) = fs::remove_dir_all(&path) {
            tracing::debug!(path = %path.display(), %error, "an old quarantine stays");
        }
    }
}

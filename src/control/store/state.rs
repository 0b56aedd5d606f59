//! Work on a state folder at rest: look it over, carry it elsewhere.

use super::{
    Batch, Op, Records, SledStore, Store as _, StoreError,
    disk::{Disk, SystemDisk},
    folder, journal,
};
use crate::record::{self, keys};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{
    collections::BTreeMap,
    fs, io,
    io::{BufRead, Write},
    path::Path,
    sync::Arc,
};

/// What a look over a state folder found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// Records by the kind of their keys, such as `d/stream`.
    pub records: BTreeMap<String, usize>,
    /// The last commit.
    pub commit: u64,
    /// The last revision.
    pub revision: u64,
    /// Bytes of all files in the folder.
    pub bytes: u64,
    /// What is wrong, one sentence each; empty when all is well.
    pub problems: Vec<String>,
}

fn corrupt(path: &Path, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Corrupt { path: path.display().to_string(), reason: reason.to_string() }
}

fn size_of(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        bytes += if entry.file_type()?.is_dir() { size_of(&entry.path())? } else { entry.metadata()?.len() };
    }
    Ok(bytes)
}

/// Looks a folder over without changing what it holds. It must not be in use.
pub fn check(path: &Path) -> Result<Report, StoreError> {
    if !path.is_dir() {
        return Err(corrupt(path, &"there is no such folder"));
    }
    folder::check_format(path)?;
    let _lock = folder::lock(path)?;
    let mut report =
        Report { bytes: size_of(path).map_err(|error| corrupt(path, &error))?, ..Report::default() };
    let found = journal::recover(&path.join("journal"))?;
    folder::check_records(path, &found.records)?;
    report.problems.extend(found.damage.iter().map(|damage| format!("journal: {damage}")));
    let meta = folder::meta(&found.records);
    (report.commit, report.revision) = (meta.commit, meta.revision);
    for (key, value) in &found.records {
        let kind: Vec<&str> = key.split('/').take(if key.starts_with("d/") { 2 } else { 1 }).collect();
        *report.records.entry(kind.join("/")).or_default() += 1;
        if let Err(error) = record::unseal(value) {
            report.problems.push(format!("record {key}: {error}"));
        }
    }
    // sled writes when it opens: it is opened as a copy.
    let copy = path.join(format!(".check-{}", std::process::id()));
    let looked =
        folder::copy_folder(&path.join("sled"), &copy).map_err(|error| corrupt(&path.join("sled"), &error));
    let looked =
        looked.and_then(|()| SledStore::open(&copy, Arc::new(SystemDisk))).and_then(|sled| sled.scan(""));
    match looked {
        Ok(stored) => compare(&found.records, &stored, &mut report.problems),
        Err(error) => {
            report.problems.push(format!("sled tree: {error}; the next start rebuilds it from the journal"));
        }
    }
    if let Err(error) = fs::remove_dir_all(&copy)
        && error.kind() != io::ErrorKind::NotFound
    {
        report.problems.push(format!("{} could not be removed: {error}", copy.display()));
    }
    Ok(report)
}

fn compare(journal: &Records, tree: &Records, problems: &mut Vec<String>) {
    if journal == tree {
        return;
    }
    let (ours, theirs) = (folder::meta(journal).commit, folder::meta(tree).commit);
    if ours == theirs {
        let differing = journal.iter().filter(|(key, value)| tree.get(*key) != Some(value)).count();
        problems
            .push(format!("sled tree: {differing} records differ from the journal; the next start mends it"));
    } else {
        problems.push(format!(
            "sled tree: it is at commit {theirs}, the journal at {ours}; the next start brings both to the later"
        ));
    }
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    key: String,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Trailer {
    records: usize,
    checksum: String,
}

/// Writes all records as lines of JSON, and a checksum as the last.
pub fn export(path: &Path, out: &mut dyn Write) -> Result<usize, StoreError> {
    if !path.is_dir() {
        return Err(corrupt(path, &"there is no such folder"));
    }
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let opened = folder::open(path, &disk)?;
    let failed = |error: io::Error| StoreError::Failed(format!("write the export: {error}"));
    let mut checksum = String::new();
    for (key, value) in &opened.records {
        let body = record::unseal(value).map_err(|error| corrupt(path, &format!("record {key}: {error}")))?;
        let record =
            serde_json::from_slice(body).map_err(|error| corrupt(path, &format!("record {key}: {error}")))?;
        let line = serde_json::to_string(&Line { key: key.clone(), record })
            .map_err(|error| corrupt(path, &error))?;
        checksum = record::fingerprint(format!("{checksum}{line}").as_bytes());
        writeln!(out, "{line}").map_err(failed)?;
    }
    let trailer = Trailer { records: opened.records.len(), checksum };
    let trailer = serde_json::to_string(&trailer).map_err(|error| corrupt(path, &error))?;
    writeln!(out, "{trailer}").map_err(failed)?;
    out.flush().map_err(failed)?;
    Ok(opened.records.len())
}

/// Reads an export into a folder that holds nothing yet.
pub fn import(path: &Path, input: &mut dyn BufRead) -> Result<usize, StoreError> {
    let bad = |reason: String| corrupt(Path::new("the import"), &reason);
    let mut records = Records::new();
    let (mut checksum, mut trailer) = (String::new(), None);
    for (number, line) in input.lines().enumerate() {
        let line = line.map_err(|error| bad(error.to_string()))?;
        if trailer.is_some() {
            return Err(bad(format!("line {}: there is more after the checksum", number + 1)));
        }
        if let Ok(Line { key, record }) = serde_json::from_str::<Line<'_>>(&line) {
            records.insert(key, record::seal(record).map_err(|error| bad(error.to_string()))?);
            checksum = record::fingerprint(format!("{checksum}{line}").as_bytes());
        } else {
            let last = serde_json::from_str::<Trailer>(&line);
            trailer = Some(last.map_err(|error| bad(format!("line {}: {error}", number + 1)))?);
        }
    }
    match trailer {
        Some(trailer) if trailer.records == records.len() && trailer.checksum == checksum => {}
        Some(_) => return Err(bad("its checksum does not fit: it was changed or lost lines".into())),
        None => return Err(bad("it is cut: the last line with the checksum is missing".into())),
    }
    folder::check_records(path, &records)?;
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let mut opened = folder::open(path, &disk)?;
    if opened.records.keys().any(|key| key != keys::META) {
        return Err(corrupt(path, &"it already holds records; import into an empty folder"));
    }
    let count = records.len();
    let ops = records.into_iter().map(|(key, value)| Op::Put(key, value)).collect();
    let batch = vec![Batch { commit: 0, ops }];
    match &mut opened.journal {
        Some(journal) => journal.append(&batch)?,
        None => return Err(StoreError::ReadOnly(path.display().to_string())),
    }
    opened.store.apply(batch)?;
    Ok(count)
}

/// Appends a record to the journal as another program would.
#[cfg(test)]
pub(crate) fn tests_append(path: &Path, key: &str, value: Vec<u8>) {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let mut opened = folder::open(path, &disk).unwrap();
    let batch = [Batch { commit: u64::MAX, ops: vec![Op::Put(key.to_owned(), value)] }];
    opened.journal.as_mut().unwrap().append(&batch).unwrap();
}

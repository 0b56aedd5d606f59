//! Durable storage: a journal that is the last word, a sled tree beside it, and a thread that commits to both.

mod behind;
pub mod committer;
pub mod disk;
pub mod folder;
mod frame;
mod journal;
mod memory;
mod prune;
mod sled;
mod staged;
pub mod state;

pub use memory::MemoryStore;
pub use sled::SledStore;

use crate::record::RecordError;
use std::collections::BTreeMap;

/// Why the store refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folder cannot be made or written.
    #[error(
        "state folder {path} cannot be written: {reason}; make it writable, or choose another with --state"
    )]
    Unwritable {
        /// The folder.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// Another process has it open.
    #[error("state folder {path} is in use by {}; stop it, or choose another folder with --state",
        pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The folder.
        path: String,
        /// The other process, when known.
        pid: Option<u32>,
    },
    /// A newer program wrote it.
    #[error(
        "state folder {path} was written by a newer version (format {found}, this program knows {known}); start that version, or choose another folder with --state"
    )]
    Newer {
        /// The folder.
        path: String,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// It cannot be read.
    #[error("{path} is damaged: {reason}")]
    Corrupt {
        /// The file or folder.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// It was opened read-only.
    #[error("the store is read-only: {0}")]
    ReadOnly(String),
    /// A write or fsync failed: nothing is acknowledged until the program starts again.
    #[error("the store failed and acknowledges nothing until a restart: {0}")]
    Failed(String),
    /// There was no room; tried again with the next write.
    #[error("the disk of the state folder is full: {0}")]
    Full(String),
}

impl From<RecordError> for StoreError {
    fn from(error: RecordError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// One change of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets it.
    Put(String, Vec<u8>),
    /// Removes it.
    Delete(String),
}

/// Changes that hold together or not at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch {
    /// The number of the commit.
    pub commit: u64,
    /// What it changes, in order.
    pub ops: Vec<Op>,
}

/// All records by key.
pub type Records = BTreeMap<String, Vec<u8>>;

/// Applies a batch to records in memory.
pub(crate) fn apply_to(records: &mut Records, batch: Batch) {
    for op in batch.ops {
        match op {
            Op::Put(key, value) => {
                records.insert(key, value);
            }
            Op::Delete(key) => {
                records.remove(&key);
            }
        }
    }
}

/// An ordered map of sealed records.
pub trait Store: Send {
    /// Applies the batches, in order, as one.
    fn apply(&mut self, batches: Vec<Batch>) -> Result<(), StoreError>;

    /// One record.
    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The records whose keys start with `prefix`.
    fn scan(&self, prefix: &str) -> Result<Records, StoreError>;
}

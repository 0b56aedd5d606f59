//! The store that keeps nothing: for `--state none`, and what the others are tested against.

use super::{Batch, Records, Store, StoreError, apply_to};
use std::ops::Bound;

/// Records in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Records,
}

impl MemoryStore {
    /// One that starts with these.
    pub fn with(records: Records) -> Self {
        Self { records }
    }
}

impl Store for MemoryStore {
    fn apply(&mut self, batches: Vec<Batch>) -> Result<(), StoreError> {
        for batch in batches {
            apply_to(&mut self.records, batch);
        }
        Ok(())
    }

    fn get(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.records.get(key).cloned())
    }

    fn scan(&self, prefix: &str) -> Result<Records, StoreError> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let found = self.records.range::<str, _>(from).take_while(|(key, _)| key.starts_with(prefix));
        Ok(found.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

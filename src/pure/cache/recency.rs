//! Keys in the order of their last use.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Keys with values in the order of their last use.
pub(crate) struct Recency<V> {
    entries: HashMap<Arc<str>, (u64, V)>,
    /// Time of use to key.
    uses: BTreeMap<u64, Arc<str>>,
    clock: u64,
}

impl<V> Default for Recency<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), uses: BTreeMap::new(), clock: 0 }
    }
}

impl<V> Recency<V> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The value, used now.
    pub(crate) fn touch(&mut self, key: &str) -> Option<&V> {
        let (used, value) = self.entries.get_mut(key)?;
        let key = self.uses.remove(used)?;
        self.clock += 1;
        *used = self.clock;
        self.uses.insert(self.clock, key);
        Some(value)
    }

    /// Puts a value, used now.
    pub(crate) fn put(&mut self, key: Arc<str>, value: V) {
        self.clock += 1;
        if let Some((used, _)) = self.entries.insert(Arc::clone(&key), (self.clock, value)) {
            self.uses.remove(&used);
        }
        self.uses.insert(self.clock, key);
    }

    pub(crate) fn remove(&mut self, key: &str) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.uses.remove(&used);
        Some(value)
    }

    /// Removes the key not used for longest.
    pub(crate) fn pop_oldest(&mut self) -> Option<(Arc<str>, V)> {
        let (_, key) = self.uses.pop_first()?;
        let (_, value) = self.entries.remove(&key)?;
        Some((key, value))
    }
}

//! Metadata of a message: keys to values, shared until changed.

use std::sync::Arc;

use crate::text::Text;
use crate::value::Value;

/// Metadata. Empty metadata costs no allocation; cloning shares.
#[derive(Clone, Debug, Default)]
pub struct Metadata(Option<Arc<Vec<(Text, Value)>>>);

impl Metadata {
    fn entries(&self) -> &[(Text, Value)] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries().binary_search_by(|entry| entry.0.as_bytes().cmp(key))
    }

    /// A copy of its own, whose count is not that of all messages of a source: threads would contend for it.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self(self.0.as_deref().map(|entries| Arc::new(entries.clone())))
    }

    /// Whether it is a copy of the other that neither has changed.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let at = self.find(key.as_bytes()).ok()?;
        self.entries().get(at).map(|entry| &entry.1)
    }

    /// Sets a key.
    pub fn set(&mut self, key: impl Into<Text>, value: Value) {
        let key = key.into();
        let found = self.find(key.as_bytes());
        let entries = Arc::make_mut(self.0.get_or_insert_default());
        match found {
            Ok(at) => {
                if let Some(entry) = entries.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => entries.insert(at, (key, value)),
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.find(key.as_bytes()).ok()?;
        let entries = Arc::make_mut(self.0.as_mut()?);
        let (_, value) = entries.remove(at);
        if entries.is_empty() {
            self.0 = None;
        }
        Some(value)
    }

    /// Keys and values in byte order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Text, &Value)> {
        self.entries().iter().map(|(key, value)| (key, value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Removes all keys.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Metadata {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(entries: I) -> Self {
        let mut metadata = Self::default();
        for (key, value) in entries {
            metadata.set(key, value);
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_independent_once_changed() {
        let mut first: Metadata = [("b", Value::Int(1)), ("a", Value::Int(2))].into_iter().collect();
        let second = first.clone();
        assert!(first.is_same(&second) && !first.is_same(&first.apart()));
        first.set("b", Value::Null);
        assert!(!first.is_same(&second));
        first.remove("a");
        assert_eq!(second.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(second.get("b").map(Value::to_json), Some("1".to_owned()));
        first.remove("b");
        assert!(first.is_empty() && second.len() == 2);
    }
}

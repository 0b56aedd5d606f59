//! The adaptive replacement cache: recently and frequently used keys compete for room by what was missed.

use super::Evicting;
use crate::cache::recency::Recency;
use bytes::Bytes;
use std::sync::Arc;

pub(super) struct Adaptive {
    cap: usize,
    /// How much of `cap` keys used once may take.
    target: usize,
    once: Recency<Bytes>,
    often: Recency<Bytes>,
    dropped_once: Recency<()>,
    dropped_often: Recency<()>,
}

impl Adaptive {
    pub(super) fn new(cap: usize) -> Self {
        Self {
            cap,
            target: 0,
            once: Recency::default(),
            often: Recency::default(),
            dropped_once: Recency::default(),
            dropped_often: Recency::default(),
        }
    }

    /// Drops one value and remembers its key.
    fn make_room(&mut self, wanted_often: bool) {
        let once = self.once.len();
        if once > 0 && (once > self.target || (once == self.target && wanted_often)) {
            if let Some((key, _)) = self.once.pop_oldest() {
                self.dropped_once.put(key, ());
            }
        } else if let Some((key, _)) = self.often.pop_oldest() {
            self.dropped_often.put(key, ());
        }
    }

    fn is_full(&self) -> bool {
        self.once.len() + self.often.len() >= self.cap
    }
}

impl Evicting for Adaptive {
    fn get(&mut self, key: &str) -> Option<Bytes> {
        if let Some(value) = self.once.remove(key) {
            self.often.put(key.into(), value.clone());
            return Some(value);
        }
        self.often.touch(key).cloned()
    }

    fn contains(&self, key: &str) -> bool {
        self.once.contains(key) || self.often.contains(key)
    }

    fn put(&mut self, key: Arc<str>, value: Bytes) {
        if self.once.remove(&key).is_some() || self.often.contains(&key) {
            return self.often.put(key, value);
        }
        let missed_once = self.dropped_once.contains(&key);
        if missed_once || self.dropped_often.contains(&key) {
            let (once, often) = (self.dropped_once.len(), self.dropped_often.len());
            if missed_once {
                self.target = (self.target + (often / once.max(1)).max(1)).min(self.cap);
            } else {
                self.target = self.target.saturating_sub((once / often.max(1)).max(1));
            }
            if self.is_full() {
                self.make_room(!missed_once);
            }
            self.dropped_once.remove(&key);
            self.dropped_often.remove(&key);
            return self.often.put(key, value);
        }
        if self.is_full() {
            self.make_room(false);
        }
        if self.dropped_once.len() > self.cap - self.target {
            self.dropped_once.pop_oldest();
        }
        if self.dropped_often.len() > self.target {
            self.dropped_often.pop_oldest();
        }
        self.once.put(key, value);
    }

    fn remove(&mut self, key: &str) {
        self.once.remove(key);
        self.often.remove(key);
        self.dropped_once.remove(key);
        self.dropped_often.remove(key);
    }
}

//! Two queues: keys used once do not push out those used again.

use super::Evicting;
use crate::cache::recency::Recency;
use bytes::Bytes;
use std::sync::Arc;

pub(super) struct TwoQueues {
    cap: usize,
    recent_cap: usize,
    ghost_cap: usize,
    recent: Recency<Bytes>,
    frequent: Recency<Bytes>,
    /// Keys dropped from `recent`, which come back as frequent.
    ghosts: Recency<()>,
}

impl TwoQueues {
    /// The ratios are shares of `cap`, 0 to 1.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a number of keys, cut to a whole one"
    )]
    pub(super) fn new(cap: usize, recent: f64, ghost: f64) -> Self {
        let share = |ratio: f64| (cap as f64 * ratio) as usize;
        Self {
            cap,
            recent_cap: share(recent),
            ghost_cap: share(ghost),
            recent: Recency::default(),
            frequent: Recency::default(),
            ghosts: Recency::default(),
        }
    }

    fn make_room(&mut self, was_ghost: bool) {
        let recent = self.recent.len();
        if recent + self.frequent.len() < self.cap {
            return;
        }
        if recent > 0 && (recent > self.recent_cap || (recent == self.recent_cap && !was_ghost)) {
            if let Some((key, _)) = self.recent.pop_oldest() {
                self.ghosts.put(key, ());
                if self.ghosts.len() > self.ghost_cap {
                    self.ghosts.pop_oldest();
                }
            }
        } else if self.frequent.pop_oldest().is_none() {
            self.recent.pop_oldest();
        }
    }
}

impl Evicting for TwoQueues {
    fn get(&mut self, key: &str) -> Option<Bytes> {
        if let Some(value) = self.recent.remove(key) {
            self.frequent.put(key.into(), value.clone());
            return Some(value);
        }
        self.frequent.touch(key).cloned()
    }

    fn contains(&self, key: &str) -> bool {
        self.recent.contains(key) || self.frequent.contains(key)
    }

    fn put(&mut self, key: Arc<str>, value: Bytes) {
        if self.frequent.contains(&key) || self.recent.remove(&key).is_some() {
            return self.frequent.put(key, value);
        }
        if self.ghosts.contains(&key) {
            self.make_room(true);
            self.ghosts.remove(&key);
            return self.frequent.put(key, value);
        }
        self.make_room(false);
        self.recent.put(key, value);
    }

    fn remove(&mut self, key: &str) {
        self.recent.remove(key);
        self.frequent.remove(key);
        self.ghosts.remove(key);
    }
}

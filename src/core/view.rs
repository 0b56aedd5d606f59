//! What can be seen of a stream from outside, and of parts of it that come and go while it runs.

use crate::{checkpoint::Checkpoint, kind::Kind, metrics::Metrics, status::Connection};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Things of one stream, in order. Those of a part are among them for as long as the part lives.
#[derive(Debug)]
pub struct Gathered<T>(Mutex<Vec<Member<T>>>);

#[derive(Debug)]
enum Member<T> {
    One(Arc<T>),
    Part(Weak<Gathered<T>>),
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> Gathered<T> {
    fn members(&self) -> MutexGuard<'_, Vec<Member<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one.
    pub fn push(&self, one: Arc<T>) {
        self.members().push(Member::One(one));
    }

    /// Adds all of a part, now and later.
    pub fn join(&self, part: &Arc<Self>) {
        let mut members = self.members();
        members.retain(|member| !matches!(member, Member::Part(part) if part.strong_count() == 0));
        members.push(Member::Part(Arc::downgrade(part)));
    }

    /// Has these in place of what there was.
    pub fn replace(&self, all: Vec<Arc<T>>) {
        *self.members() = all.into_iter().map(Member::One).collect();
    }

    /// All there are.
    pub fn all(&self) -> Vec<Arc<T>> {
        let mut all = Vec::new();
        for member in &*self.members() {
            match member {
                Member::One(one) => all.push(Arc::clone(one)),
                Member::Part(part) => all.extend(part.upgrade().map(|part| part.all()).unwrap_or_default()),
            }
        }
        all
    }

    /// The number of things and parts that were added.
    pub fn len(&self) -> usize {
        self.members().len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }
}

/// The connections of a stream's inputs, or of its outputs.
pub type Connections = Gathered<Connection>;
/// Checkpoints by component path.
pub type Checkpoints = Gathered<(String, Checkpoint)>;
/// The shared resources that components use, by kind and label.
pub type Uses = Gathered<(Kind, String)>;

/// What can be seen of a stream from outside.
#[derive(Clone, Default)]
pub struct View {
    /// The connections of its inputs, in the order of the config.
    pub inputs: Arc<Connections>,
    /// The connections of its outputs, in the order of the config.
    pub outputs: Arc<Connections>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Checkpoints by component path.
    pub checkpoints: Arc<Checkpoints>,
    /// The shared resources that it uses.
    pub uses: Arc<Uses>,
}

impl View {
    /// The connections of its inputs, and then those of its outputs.
    pub fn connections(&self) -> Vec<Arc<Connection>> {
        let mut all = self.inputs.all();
        all.extend(self.outputs.all());
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_seen_as_long_as_it_lives() {
        let (whole, part) = (Gathered::default(), Arc::new(Gathered::default()));
        whole.push(Arc::new("a"));
        whole.join(&part);
        part.push(Arc::new("b"));
        whole.push(Arc::new("c"));
        assert_eq!(whole.all(), ["a", "b", "c"].map(Arc::new));
        part.replace(vec![Arc::new("d")]);
        assert_eq!(whole.all(), ["a", "d", "c"].map(Arc::new));
        drop(part);
        assert_eq!(whole.all(), ["a", "c"].map(Arc::new));
    }
}

//! Checkpoints: how far an input's source is acknowledged, kept across restarts.

use std::sync::{Arc, Mutex, PoisonError};

/// One component's checkpoint: an opaque text. Without a store it is only remembered here.
///
/// The component puts its newest state whenever it likes; the committer takes the changed ones about once a
/// second, syncs the stream's outputs, and only then writes them down.
#[derive(Debug, Clone, Default)]
pub struct Checkpoint(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    text: Option<Arc<str>>,
    changed: bool,
}

impl Checkpoint {
    /// A checkpoint as it was stored.
    pub fn stored(text: Option<Arc<str>>) -> Self {
        Self(Arc::new(Mutex::new(State { text, changed: false })))
    }

    /// The newest state.
    pub fn get(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).text.clone()
    }

    /// Replaces the state.
    pub fn put(&self, text: impl Into<Arc<str>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            State { text: Some(text.into()), changed: true };
    }

    /// The state, if it changed since this was last asked.
    pub fn take_changed(&self) -> Option<Arc<str>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut state.changed) { state.text.clone() } else { None }
    }
}

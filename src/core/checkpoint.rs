//! Checkpoints: how far an input's source is acknowledged, kept across restarts.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Counts the changes that nobody has asked for yet, of all checkpoints of this process.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// How often there was something new to ask for: while this stays, no checkpoint need be asked.
pub fn changes() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

/// One component's checkpoint: an opaque text. Without a store nobody asks for it.
///
/// The component says that its state has changed whenever it likes; the committer has the changed ones written
/// about once a second, syncs the stream's outputs, and only then stores them.
#[derive(Clone, Default)]
pub struct Checkpoint(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    stored: Option<Arc<str>>,
    write: Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>,
    changed: bool,
}

impl Checkpoint {
    /// A checkpoint as it was stored.
    pub fn stored(text: Option<Arc<str>>) -> Self {
        Self(Arc::new(Mutex::new(State { stored: text, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was stored before this start.
    pub fn get(&self) -> Option<Arc<str>> {
        self.state().stored.clone()
    }

    /// From now on `write` gives the newest state; it must not hold this checkpoint itself.
    pub fn written_by(&self, write: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.state().write = Some(Arc::new(write));
    }

    /// The state has changed.
    pub fn touch(&self) {
        if !std::mem::replace(&mut self.state().changed, true) {
            CHANGES.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// The newest state, if it changed since this was last asked.
    pub fn take_changed(&self) -> Option<Arc<str>> {
        let write = {
            let mut state = self.state();
            if !std::mem::take(&mut state.changed) {
                return None;
            }
            state.write.clone()?
        };
        // Not under the lock: whoever writes has one of its own, under which it says that something changed.
        write().map(Arc::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_written_once() {
        let checkpoint = Checkpoint::stored(Some("before".into()));
        checkpoint.written_by(|| Some("now".into()));
        assert_eq!(checkpoint.take_changed(), None);
        checkpoint.touch();
        checkpoint.touch();
        assert_eq!(checkpoint.take_changed().as_deref(), Some("now"));
        assert_eq!(checkpoint.take_changed(), None);
        assert_eq!(checkpoint.get().as_deref(), Some("before"));
    }
}

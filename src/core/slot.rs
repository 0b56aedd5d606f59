//! Slots: shared resources that may be replaced while they are used.

use std::sync::{Arc, PoisonError, RwLock};

/// The place of a resource. A user takes the current version for each use, so a message keeps the version that
/// it entered with.
pub struct Slot<T: ?Sized>(Arc<RwLock<Option<Arc<T>>>>);

impl<T: ?Sized> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::new(RwLock::new(None)))
    }
}

impl<T: ?Sized> Slot<T> {
    /// A slot that holds `current`.
    pub fn new(current: Arc<T>) -> Self {
        Self(Arc::new(RwLock::new(Some(current))))
    }

    /// The version to use now; `None` after its removal.
    pub fn get(&self) -> Option<Arc<T>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts another version in, or takes it away; gives back the old one.
    pub fn put(&self, next: Option<Arc<T>>) -> Option<Arc<T>> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), next)
    }
}

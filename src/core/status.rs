//! Whether a component is connected: what `/ready` and a stream's status show.

use crate::component::Component;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// The connection of one input or output leaf.
#[derive(Debug)]
pub struct Connection {
    /// Whose connection it is.
    pub component: Arc<Component>,
    connected: AtomicBool,
    error: Mutex<Option<String>>,
}

impl Connection {
    /// Not connected yet.
    pub fn new(component: Arc<Component>) -> Self {
        Self { component, connected: AtomicBool::new(false), error: Mutex::new(None) }
    }

    /// Whether it is connected now.
    pub fn is_up(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The last error while it is not connected.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It is connected now.
    pub fn up(&self) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.connected.store(true, Ordering::Release);
    }

    /// It is not connected, for this reason.
    pub fn down(&self, reason: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.connected.store(false, Ordering::Release);
    }
}

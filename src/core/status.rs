//! Whether a component is connected: what `/ready` and a stream's status show.

use crate::component::Component;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// The connection of one input or output leaf.
#[derive(Debug)]
pub struct Connection {
    /// Whose connection it is.
    pub component: Arc<Component>,
    connected: AtomicBool,
    error: Mutex<Option<String>>,
    /// When it last came or went, in milliseconds since 1970; zero before the first attempt.
    since: AtomicU64,
    failures: AtomicU32,
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Connection {
    /// Not connected yet.
    pub fn new(component: Arc<Component>) -> Self {
        let (since, failures) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { component, connected: AtomicBool::new(false), error: Mutex::new(None), since, failures }
    }

    /// Whether it is connected now.
    pub fn is_up(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// The last error while it is not connected.
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Since when it is or is not connected, in milliseconds since 1970; zero before the first attempt.
    pub fn since(&self) -> u64 {
        self.since.load(Ordering::Acquire)
    }

    /// Failures since it was last connected.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// It is connected now.
    pub fn up(&self) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.failures.store(0, Ordering::Relaxed);
        if !self.connected.swap(true, Ordering::AcqRel) {
            self.since.store(now(), Ordering::Release);
        }
    }

    /// It is not connected, for this reason.
    pub fn down(&self, reason: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.connected.swap(false, Ordering::AcqRel) || self.since() == 0 {
            self.since.store(now(), Ordering::Release);
        }
    }
}

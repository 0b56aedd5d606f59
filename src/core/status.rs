//! Whether a component is connected: what `/ready` and a stream's status show.

use crate::component::Component;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Keeps account of what was read and not yet delivered.
pub trait Account: Send + Sync {
    /// For how long the oldest of it has waited.
    fn oldest(&self) -> Option<Duration>;
}

/// Counts what becomes of all connections of this process.
static CHANGES: AtomicU64 = AtomicU64::new(0);

/// How often a connection was made, came, went or was given up: while this stays, none need be looked at.
pub fn changes() -> u64 {
    CHANGES.load(Ordering::Acquire)
}

fn changed() {
    CHANGES.fetch_add(1, Ordering::AcqRel);
}

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
    account: OnceLock<Weak<dyn Account>>,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Connection {
    /// Not connected yet.
    pub fn new(component: Arc<Component>) -> Self {
        let (since, failures) = (AtomicU64::new(0), AtomicU32::new(0));
        let (connected, error, account) = (AtomicBool::new(false), Mutex::new(None), OnceLock::new());
        changed();
        Self { component, connected, error, since, failures, account }
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

    /// Lets an account be asked for what waits; the first one stays.
    pub fn set_account(&self, account: Weak<dyn Account>) {
        self.account.get_or_init(|| account);
    }

    /// For how long the oldest message that was read waits for its delivery.
    pub fn oldest(&self) -> Option<Duration> {
        self.account.get()?.upgrade()?.oldest()
    }

    /// It is connected now.
    pub fn up(&self) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.failures.store(0, Ordering::Relaxed);
        if !self.connected.swap(true, Ordering::AcqRel) {
            self.since.store(now(), Ordering::Release);
            changed();
        }
    }

    /// It is not connected, for this reason.
    pub fn down(&self, reason: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        self.failures.fetch_add(1, Ordering::Relaxed);
        if self.connected.swap(false, Ordering::AcqRel) || self.since() == 0 {
            self.since.store(now(), Ordering::Release);
            changed();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        changed();
    }
}

//! Where a stream is, for the API.

use crate::{
    record::{Desired, Key},
    runtime::Link,
};
use serde::Serialize;
use std::sync::Arc;

/// Where a stream or resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum Phase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Being built or started.
    Starting,
    /// Running.
    Running,
    /// Running, but an input or output is not connected.
    Degraded,
    /// Failed; starts again after a wait.
    BackingOff,
    /// Stopped on request, its position kept.
    Paused,
    /// Being stopped.
    Stopping,
    /// Its input ended.
    Completed,
    /// Failed for good.
    Failed,
    /// It cannot be built.
    Invalid,
}

/// The last failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// What was said.
    pub message: String,
    /// How often in a row.
    pub count: u32,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Why, when it is not healthy.
    pub reason: Option<String>,
    /// The generation it should be.
    pub desired_generation: u64,
    /// The generation that runs.
    pub running_generation: Option<u64>,
    /// Starts after failures of this run.
    pub restarts: u32,
    /// When it starts again, in milliseconds since 1970.
    pub next_retry: Option<u64>,
    /// The last failure.
    pub last_error: Option<LastError>,
    /// Whether it runs: the output has not closed.
    pub active: bool,
    /// How long it runs or ran, in milliseconds.
    pub uptime: u64,
}

/// A key with its record and where it is.
#[derive(Debug, Clone)]
pub struct View {
    /// Its key.
    pub key: Key,
    /// What it should be; `None` while it is being removed.
    pub desired: Option<Arc<Desired>>,
    /// Where it is.
    pub status: Status,
    /// Its connections; empty when it does not run.
    pub links: Vec<Link>,
}

//! What the reconciler needs of an engine: to build a spec, to start what was built, and to stop what runs.

use crate::{
    record::{Desired, Key},
    status::LastError,
};
use async_trait::async_trait;
use serde::Serialize;
use std::{any::Any, collections::HashMap, fmt, sync::Arc, time::Duration};

/// Why a spec cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BuildFailure {
    /// The reason, with the component's path where there is one.
    pub message: String,
}

impl BuildFailure {
    /// A failure with this reason.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// Builds specs. It reads local files and references, and opens nothing.
pub trait Builder: Send + Sync + 'static {
    /// Builds a stream or a resource from its record; called on a thread that may block.
    fn build(&self, desired: &Desired) -> Result<Box<dyn Prepared>, BuildFailure>;

    /// What changed so far in everything that was built; without it, all runs are asked all the time.
    fn changes(&self) -> Option<Changes> {
        None
    }
}

/// Counts changes of which nobody is told: while a count stays as it was, no run need be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Of connections.
    pub connections: u64,
    /// Of checkpoints.
    pub checkpoints: u64,
    /// Of what goes wrong.
    pub faults: u64,
}

/// How a run ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The input ended and everything was delivered.
    Completed,
    /// It failed.
    Failed(String),
    /// It was stopped.
    Stopped,
}

/// Told once when a run ends; later calls are ignored, and so are those of a run that was replaced.
#[derive(Clone)]
pub struct EndSignal(Arc<dyn Fn(Ended) + Send + Sync>);

impl EndSignal {
    /// A signal that calls `tell`.
    pub fn new(tell: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    /// Tells how the run ended; cheap, from any thread.
    pub fn end(&self, ended: Ended) {
        (self.0)(ended);
    }
}

impl fmt::Debug for EndSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndSignal")
    }
}

/// What a start is given.
#[derive(Debug)]
pub struct Start {
    /// What starts.
    pub key: Key,
    /// The generation of the spec: owns routes and slots together with the key.
    pub generation: u64,
    /// The run's number.
    pub run: u64,
    /// Stored checkpoints by component path.
    pub checkpoints: HashMap<String, Arc<str>>,
    /// To be told when the run ends by itself.
    pub end: EndSignal,
}

/// Something built and not yet started. Dropping it must be enough to undo it.
#[async_trait]
pub trait Prepared: Send + 'static {
    /// The resources that it will use.
    fn uses(&self) -> Vec<Key> {
        Vec::new()
    }

    /// Starts it: tasks are spawned, connecting goes on behind. A resource takes its slot over here. Quick.
    async fn start(self: Box<Self>, start: Start) -> Result<Box<dyn Running>, String>;
}

/// One input's or output's connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The component's path.
    pub path: String,
    /// Its label, may be empty.
    pub label: String,
    /// Whether it is connected.
    pub connected: bool,
    /// The last error while it is not.
    pub error: Option<String>,
    /// Since when it is or is not, in milliseconds since 1970; zero before the first attempt.
    pub since: u64,
    /// Failures since it was last connected.
    pub failures: u32,
    /// Whether it came to its end while the rest of its stream goes on.
    pub over: bool,
}

/// What a stream promised to keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The longest that it goes without sending a message.
    pub output_every: Duration,
    /// Whether it is started again when it does.
    pub restart: bool,
}

/// What is counted of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counters {
    /// Messages that its inputs gave.
    pub received: u64,
    /// Messages that its outputs took.
    pub sent: u64,
    /// Errors of its processors and outputs.
    pub errors: u64,
    /// Messages that its outputs refused for good.
    pub rejected: u64,
}

/// A running stream or resource. `Any` lets the server reach its own type through `Service::running`.
#[async_trait]
pub trait Running: Any + Send + Sync {
    /// The connections as they are now.
    fn links(&self) -> Vec<Link> {
        Vec::new()
    }

    /// The connections that are down now: asked of all streams at once.
    fn down(&self) -> Vec<Link> {
        self.links().into_iter().filter(|link| !link.connected).collect()
    }

    /// The resources that it uses now.
    fn uses(&self) -> Vec<Key> {
        Vec::new()
    }

    /// What is counted of it.
    fn counters(&self) -> Counters {
        Counters::default()
    }

    /// What went wrong in it last, while it went on.
    fn fault(&self) -> Option<LastError> {
        None
    }

    /// What it promised to keep up.
    fn expect(&self) -> Option<Expect> {
        None
    }

    /// For how long the oldest message that it read waits for its delivery.
    fn oldest(&self) -> Option<Duration> {
        None
    }

    /// Checkpoints that changed since this was last asked: `(component path, text)`. Cheap: asked every second.
    fn take_checkpoints(&self) -> Vec<(String, Arc<str>)> {
        Vec::new()
    }

    /// Makes everything that the outputs have acknowledged durable. Also called after the end of a run, before its
    /// completion is remembered.
    async fn sync(&self) -> Result<(), String> {
        Ok(())
    }

    /// Stops: the input softly, then drains, for at most `timeout`, then by force. Returns when all is gone and
    /// its slots and routes, if still its own, are cleared. After the end of a run it returns at once. It may be
    /// called more than once, also at the same time.
    async fn stop(&self, timeout: Duration);
}

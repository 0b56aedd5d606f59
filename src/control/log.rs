//! Log lines of the control plane: each says which stream or resource it is about, and each transition is one line.

use crate::{
    record::{Key, Kind},
    status::{Phase, Status},
};
use tracing::Level;

/// A line about one key: its level, the key, then what `tracing` takes.
macro_rules! say {
    ($level:ident, $key:expr, $($rest:tt)+) => {
        tracing::$level!(
            stream = $crate::log::stream($key),
            resource = $crate::log::resource($key),
            $($rest)+
        )
    };
}
pub(crate) use say;

/// The id of a stream.
pub(crate) fn stream(key: &Key) -> Option<&str> {
    (key.kind == Kind::Stream).then_some(&*key.id)
}

/// A resource as events and dependents name it.
pub(crate) fn resource(key: &Key) -> Option<String> {
    (key.kind != Kind::Stream).then(|| key.name())
}

/// What a transition is worth: an operator sees what nobody asked for, and only who looks closely sees the starts and
/// stops of ten thousand streams.
fn worth(before: Phase, status: &Status) -> (Level, &'static str) {
    match (before, status.phase) {
        (_, Phase::Quarantined) => (Level::ERROR, "quarantined; resume or a new spec lets it run"),
        (_, Phase::Failed) => (Level::ERROR, "failed for good; restart or a new spec runs it again"),
        (_, Phase::BackingOff) => (Level::WARN, "failed; it starts again"),
        (_, Phase::Invalid) => (Level::WARN, "cannot be built"),
        (_, Phase::Degraded) => (Level::WARN, "runs, but not as it should"),
        (_, Phase::Stalled) => (Level::WARN, "stalled"),
        (_, Phase::RolledBack) => (Level::WARN, "runs as it did before the generation that failed"),
        // It was told when it happened, before this process.
        (Phase::Pending, Phase::Completed) => (Level::DEBUG, "completed before"),
        (_, Phase::Completed) => (Level::INFO, "completed; PUT runs it again"),
        (Phase::Degraded, Phase::Running) => (Level::INFO, "runs as it should again"),
        (Phase::Stalled, Phase::Running) => (Level::INFO, "sends again"),
        (Phase::OnProbation, Phase::Running) => (Level::INFO, "passed its probation"),
        (Phase::Starting, Phase::Running) if status.restarts > 0 => (Level::INFO, "runs again"),
        _ => (Level::DEBUG, "transition"),
    }
}

/// Tells of a key that came from one phase into that of its status.
pub(crate) fn transition(key: &Key, before: Phase, status: &Status, generation: u64, revision: Option<u64>) {
    let (level, text) = worth(before, status);
    let (phase, reason) = (status.phase, status.reason.as_deref());
    let failures = status.last_error.as_ref().filter(|_| phase == Phase::BackingOff).map(|error| error.count);
    macro_rules! at {
        ($level:ident) => {
            say!($level, key, generation, revision, ?phase, reason, failures, "{text}")
        };
    }
    match level {
        Level::ERROR => at!(error),
        Level::WARN => at!(warn),
        Level::INFO => at!(info),
        _ => at!(debug),
    }
}

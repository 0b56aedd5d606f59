//! What streams and resources are made of may panic or hang: whatever it does, the reconciler goes on.

use crate::{
    log::say,
    record::Key,
    runtime::{BuildFailure, Prepared, Running},
};
use futures_util::FutureExt as _;
use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

/// How long a sync of outputs may take before its checkpoints wait for the next one.
const SYNC_WITHIN: Duration = Duration::from_secs(10);

/// A text of what was thrown.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_else(|| "without a text".into()))
}

/// Builds, turning a panic into a failure.
pub(crate) fn build_guarded(
    build: impl FnOnce() -> Result<Box<dyn Prepared>, BuildFailure>,
) -> Result<Box<dyn Prepared>, BuildFailure> {
    catch_unwind(AssertUnwindSafe(build)).unwrap_or_else(|panic| Err(BuildFailure::new(panic_text(&*panic))))
}

/// Stops, whatever the run does.
pub(crate) async fn stop_guarded(key: &Key, running: &dyn Running, timeout: Duration) {
    // The run forces itself after `timeout`; the margin is for one that does not even manage that.
    let limit = timeout.saturating_add(Duration::from_secs(10));
    let stopped = AssertUnwindSafe(tokio::time::timeout(limit, running.stop(timeout))).catch_unwind().await;
    match stopped {
        Ok(Ok(())) => {}
        Ok(Err(_elapsed)) => say!(error, key, "a stop did not end in time; what it holds may stay"),
        Err(panic) => say!(error, key, error = panic_text(&*panic), "a stop panicked"),
    }
}

/// Syncs outputs, whatever the run does.
pub(crate) async fn sync_guarded(running: &dyn Running) -> Result<(), String> {
    match AssertUnwindSafe(tokio::time::timeout(SYNC_WITHIN, running.sync())).catch_unwind().await {
        Ok(Ok(synced)) => synced,
        Ok(Err(_elapsed)) => Err("it took too long".into()),
        Err(panic) => Err(panic_text(&*panic)),
    }
}

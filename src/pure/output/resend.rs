//! An output that batches can be sent to from where nobody may wait: out of an acknowledgement.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use weir_core::{frame::Frame, output::Output};

/// New frames wait while so many batches are to be sent again.
const LIMIT: usize = 64;

/// A child output with a queue of batches that are due later.
pub(super) struct Resend {
    pub(super) output: Arc<dyn Output>,
    hard_stop: CancellationToken,
    queue: Mutex<Queue>,
    taken: Notify,
    /// Nothing else will come that could fill up a batch.
    flushed: AtomicBool,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Instant, Frame)>,
    /// Whether a task takes from the queue.
    served: bool,
}

impl Resend {
    pub(super) fn new(output: Arc<dyn Output>, hard_stop: CancellationToken) -> Arc<Self> {
        let flushed = AtomicBool::new(false);
        Arc::new(Self { output, hard_stop, queue: Mutex::default(), taken: Notify::new(), flushed })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether sending again makes sense: false once everything is to end.
    pub(super) fn is_open(&self) -> bool {
        !self.hard_stop.is_cancelled() && Handle::try_current().is_ok()
    }

    /// Sends later. Only while [`is_open`](Self::is_open).
    pub(super) fn push(self: &Arc<Self>, wait: Duration, frame: Frame) {
        let mut queue = self.lock();
        queue.waiting.push_back((Instant::now() + wait, frame));
        if !std::mem::replace(&mut queue.served, true) {
            let resend = Arc::clone(self);
            tokio::spawn(async move { resend.serve().await });
        }
    }

    async fn serve(&self) {
        loop {
            let next = {
                let mut queue = self.lock();
                let next = queue.waiting.pop_front();
                queue.served = next.is_some();
                next
            };
            let Some((due, frame)) = next else { break };
            tokio::select! {
                biased;
                () = self.hard_stop.cancelled() => continue,
                () = sleep_until(due) => {}
            }
            self.taken.notify_waiters();
            self.output.send(frame).await;
            if self.flushed.load(Ordering::Acquire) {
                self.output.flush().await;
            }
        }
        self.taken.notify_waiters();
    }

    /// Sends now, after waiting until not too much is to be sent again.
    pub(super) async fn send(&self, frame: Frame) {
        self.flushed.store(false, Ordering::Release);
        loop {
            let taken = self.taken.notified();
            tokio::pin!(taken);
            taken.as_mut().enable();
            if self.lock().waiting.len() < LIMIT {
                break;
            }
            tokio::select! {
                () = self.hard_stop.cancelled() => return,
                () = taken => {}
            }
        }
        self.output.send(frame).await;
    }

    /// Sends on what was gathered, and from now on what is sent again, too.
    pub(super) async fn flush(&self) {
        self.flushed.store(true, Ordering::Release);
        self.output.flush().await;
    }
}

/// How long to wait before an attempt: 500 ms, growing by half up to 3 s.
pub(super) fn wait(attempt: u32) -> Duration {
    let growth = 1.5_f64.powi(i32::try_from(attempt.min(8)).unwrap_or(8));
    Duration::from_millis(500).mul_f64(growth).min(Duration::from_secs(3))
}

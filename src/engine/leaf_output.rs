//! A writer made into an output: it connects, limits what is in flight, repeats what a lost connection cut off,
//! and settles batches.

use crate::{families::output as counter, taps::Taps};
use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{sync::Semaphore, time::Instant};
use weir_core::{
    ack::WriteError,
    backoff::Backoff,
    context::Environment,
    error::Error,
    frame::Frame,
    log::Log,
    metrics::Series,
    output::{Output, Writer},
    refuse::failed_messages,
    status::Connection,
    trace::{self, Span},
};

/// A leaf output.
pub(crate) struct LeafOutput {
    leaf: Arc<Leaf>,
    permits: Arc<Semaphore>,
    max_in_flight: u32,
}

struct Leaf {
    writer: Box<dyn Writer>,
    environment: Environment,
    connection: Arc<Connection>,
    series: Arc<Series>,
    taps: Option<Arc<Taps>>,
    connected: AtomicBool,
    /// Held while connecting, so that one attempt is made at a time.
    connecting: tokio::sync::Mutex<Backoff>,
}

impl LeafOutput {
    pub(crate) fn new(
        writer: Box<dyn Writer>,
        max_in_flight: usize,
        environment: Environment,
        connection: Arc<Connection>,
        series: Arc<Series>,
        taps: Option<Arc<Taps>>,
    ) -> Self {
        let max_in_flight = max_in_flight.clamp(1, 1 << 16);
        let leaf = Leaf {
            writer,
            environment,
            connection,
            series,
            taps,
            connected: AtomicBool::new(false),
            connecting: tokio::sync::Mutex::new(Backoff::output()),
        };
        Self {
            leaf: Arc::new(leaf),
            permits: Arc::new(Semaphore::new(max_in_flight)),
            max_in_flight: u32::try_from(max_in_flight).unwrap_or(1),
        }
    }
}

#[async_trait]
impl Output for LeafOutput {
    async fn connect(&self) {
        self.leaf.ready().await;
    }

    async fn send(&self, frame: Frame) {
        let leaf = &self.leaf;
        if let Some(taps) = &leaf.taps {
            taps.pass(&leaf.connection.component.path, frame.messages());
        }
        if leaf.refuses(&frame) {
            let counted = |count| leaf.series.add(counter::REJECTED, count);
            let rest = failed_messages(frame, "rejected due to failed processing", counted);
            for frame in rest {
                self.take(frame).await;
            }
            return;
        }
        self.take(frame).await;
    }

    fn takes_content(&self) -> bool {
        self.leaf.writer.takes_content()
    }

    async fn sync(&self) -> Result<(), Error> {
        self.leaf.writer.sync().await
    }

    async fn close(&self) {
        let hard = &self.leaf.environment.hard_stop;
        tokio::select! {
            biased;
            () = hard.cancelled() => {}
            _ = self.permits.acquire_many(self.max_in_flight) => {}
        }
        self.leaf.writer.close().await;
        self.leaf.connection.down(Some("stream terminated".into()));
    }
}

impl LeafOutput {
    async fn take(&self, frame: Frame) {
        let leaf = &self.leaf;
        if self.max_in_flight == 1 {
            let Ok(_permit) = self.permits.acquire().await else { return };
            if leaf.writer.takes_frames() {
                return leaf.deliver(frame).await;
            }
            for single in frame.into_singles() {
                leaf.deliver(single).await;
            }
            return;
        }
        for single in frame.into_singles() {
            let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return };
            let leaf = Arc::clone(leaf);
            tokio::spawn(async move {
                leaf.deliver(single).await;
                drop(permit);
            });
        }
    }
}

impl Leaf {
    /// Waits until connected; false when told to stop.
    async fn ready(&self) -> bool {
        if self.connected.load(Ordering::Acquire) {
            return true;
        }
        let mut backoff = self.connecting.lock().await;
        let hard = &self.environment.hard_stop;
        while !self.connected.load(Ordering::Acquire) {
            let attempt = tokio::select! {
                biased;
                () = hard.cancelled() => return false,
                attempt = self.writer.connect() => attempt,
            };
            let name = &self.connection.component.name;
            let reason = match attempt {
                Ok(()) => {
                    backoff.reset();
                    self.series.add(counter::UP, 1);
                    self.connection.up();
                    self.connected.store(true, Ordering::Release);
                    self.log().info(format_args!("Output type {name} is now active"));
                    return true;
                }
                Err(Error::Closed) => return false,
                Err(reason) => reason,
            };
            self.log().error(format_args!("Failed to connect to {name}: {reason}"));
            self.series.add(counter::FAILED, 1);
            self.series.fault(&reason.to_string(), 1);
            self.connection.down(Some(reason.to_string()));
            let wait = if let Error::BackOff(wait, _) = reason { wait } else { backoff.wait() };
            tokio::select! {
                () = hard.cancelled() => return false,
                () = tokio::time::sleep(wait) => {}
            }
        }
        true
    }

    /// For its log lines, which are few.
    fn log(&self) -> Log {
        Log::of(&self.connection.component, &self.environment)
    }

    fn lost(&self) {
        if self.connected.swap(false, Ordering::AcqRel) {
            self.series.add(counter::LOST, 1);
            self.connection.down(None);
        }
    }

    /// Writes a frame, again and again while the connection is lost, and settles it.
    async fn deliver(&self, frame: Frame) {
        loop {
            if !self.ready().await {
                return frame.fail(&Error::Closed);
            }
            let began = Instant::now();
            let spans = self.spans(&frame);
            let written = self.writer.write(frame.messages()).await;
            drop(spans);
            match written {
                Err(WriteError { error: Error::NotConnected, .. }) => self.lost(),
                Ok(()) => {
                    self.series.add(counter::SENT, frame.messages().len() as u64);
                    self.series.add(counter::BATCH_SENT, frame.len() as u64);
                    self.series.time(began.elapsed());
                    return frame.deliver();
                }
                Err(reason) => {
                    self.series.add(counter::ERROR, 1);
                    self.series.fault(&reason.error.to_string(), 1);
                    let name = &self.connection.component.name;
                    self.log().error(format_args!("Failed to send message to {name}: {}", reason.error));
                    return frame.settle(Err(reason));
                }
            }
        }
    }

    /// Spans of the writing, where it is traced.
    fn spans(&self, frame: &Frame) -> Vec<Span> {
        if self.environment.tracer.is_none() {
            return Vec::new();
        }
        trace::parts(frame.messages(), &format!("output_{}", self.connection.component.name))
    }

    /// Whether strict error handling has something to refuse.
    fn refuses(&self, frame: &Frame) -> bool {
        self.environment.strict
            && !self.writer.takes_failed()
            && frame.messages().iter().any(|message| message.error().is_some())
    }
}

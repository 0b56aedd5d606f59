//! A buffer with its counters.

use crate::families::buffer as counter;
use async_trait::async_trait;
use std::sync::Arc;
use tokio::time::Instant;
use weir_core::{
    ack::{Failure, Origin},
    buffer::Buffer,
    frame::Frame,
    input::Next,
    metrics::Series,
    trace::{self, Tracer},
};

/// Counts what a buffer takes and gives, and how long each batch is out.
pub(crate) struct CountedBuffer {
    buffer: Box<dyn Buffer>,
    series: Arc<Series>,
    tracer: Option<Arc<Tracer>>,
    name: &'static str,
}

impl CountedBuffer {
    pub(crate) fn new(
        buffer: Box<dyn Buffer>,
        series: Arc<Series>,
        tracer: Option<Arc<Tracer>>,
        name: &'static str,
    ) -> Self {
        Self { buffer, series, tracer, name }
    }

    fn count(&self, frame: &Frame, messages: usize, batches: usize) {
        self.series.add(messages, frame.messages().len() as u64);
        self.series.add(batches, frame.len() as u64);
    }
}

#[async_trait]
impl Buffer for CountedBuffer {
    async fn push(&self, mut frame: Frame) {
        if self.tracer.is_some() {
            frame.messages_mut().iter_mut().for_each(|message| trace::part(message, self.name));
        }
        self.count(&frame, counter::RECEIVED, counter::BATCH_RECEIVED);
        self.buffer.push(frame).await;
    }

    async fn finish(&self) {
        self.buffer.finish().await;
    }

    async fn pop(&self) -> Next {
        let frame = match self.buffer.pop().await {
            Next::Frame(frame) => frame,
            next => return next,
        };
        self.count(&frame, counter::SENT, counter::BATCH_SENT);
        let (mut messages, marks, origin) = frame.into_parts();
        // What was stored elsewhere has lost its span.
        if let Some(tracer) = &self.tracer {
            tracer.begin(&mut messages, self.name, None);
        }
        let timed = Timed { origin, series: Arc::clone(&self.series), given: Instant::now() };
        Next::Frame(Frame::from_parts(messages, marks, Arc::new(timed)))
    }
}

/// The origin of a frame that was given out, timed.
struct Timed {
    origin: Arc<dyn Origin>,
    series: Arc<Series>,
    given: Instant,
}

impl Origin for Timed {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        self.series.time(self.given.elapsed());
        self.origin.settle(slot, outcome);
    }
}

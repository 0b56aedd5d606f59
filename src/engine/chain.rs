//! Processors one after the other, each counted, with strict error handling where it is asked for.

use crate::{families::processor as counter, marks::Turn, taps::Taps};
use async_trait::async_trait;
use std::{any::Any, mem, sync::Arc};
use tokio::time::Instant;
use weir_bloblang::Message;
use weir_core::{
    component::Component,
    error::Error,
    frame::Frame,
    metrics::Series,
    processor::{Batches, Processor},
};

/// One processor and what is counted of it.
pub(crate) struct Step {
    pub(crate) processor: Arc<dyn Processor>,
    pub(crate) component: Arc<Component>,
    /// `None` for the processors that the reference does not count.
    pub(crate) series: Option<Arc<Series>>,
}

/// Processors that run one after the other.
pub(crate) struct Chain {
    steps: Vec<Step>,
    strict: bool,
    immediate: bool,
    /// Whoever looks on is shown what comes out of each step.
    taps: Arc<Taps>,
}

impl Chain {
    pub(crate) fn new(steps: Vec<Step>, strict: bool, taps: &Arc<Taps>) -> Self {
        let immediate = steps.iter().all(|step| step.processor.immediate());
        Self { steps, strict, immediate, taps: Arc::clone(taps) }
    }

    pub(crate) fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whose turn it was, for the report of a panic.
    pub(crate) fn component(&self, step: usize) -> Option<&Component> {
        self.steps.get(step).map(|step| &*step.component)
    }

    /// Puts the whole frame through the leading processors that allow it; gives the number of the first that
    /// does not. `at` always tells whose turn it is.
    pub(crate) fn run_frame(&self, frame: &mut Frame, at: &Turn) -> usize {
        for (number, step) in self.steps.iter().enumerate() {
            if !step.processor.immediate() {
                return number;
            }
            at.set(number);
            let began = step.begin(frame.messages().len(), frame.len());
            let strict = self.strict;
            frame.rewrite(|batch, out| {
                if strict && is_failed(batch) {
                    return out.extend(batch.iter_mut().map(mem::take));
                }
                step.processor.rewrite(batch, out);
            });
            step.end(began, frame.len(), frame.messages());
            self.taps.pass(&step.component.path, frame.messages());
            if frame.is_empty() {
                return self.steps.len();
            }
        }
        self.steps.len()
    }

    /// Puts one logical batch through the processors from `first` on.
    pub(crate) async fn run_batch(
        &self,
        batch: Vec<Message>,
        first: usize,
        at: &Turn,
    ) -> Result<Batches, Error> {
        let mut batches = Batches::from_buf([batch]);
        for (number, step) in self.steps.iter().enumerate().skip(first) {
            at.set(number);
            let mut next = Batches::new();
            for batch in batches {
                if self.strict && is_failed(&batch) {
                    next.push(batch);
                    continue;
                }
                let began = step.begin(batch.len(), 1);
                let made = step.processor.process(batch).await?;
                made.iter().for_each(|batch| self.taps.pass(&step.component.path, batch));
                match made.as_slice() {
                    [one] => step.end(began, 1, one),
                    many => step.end(began, many.len(), many.iter().flatten()),
                }
                // A million batches are not copied without need.
                if next.is_empty() {
                    next = made;
                } else {
                    next.extend(made);
                }
            }
            batches = next;
            if batches.is_empty() {
                break;
            }
        }
        Ok(batches)
    }
}

impl Step {
    fn begin(&self, messages: usize, batches: usize) -> Option<Instant> {
        let series = self.series.as_ref()?;
        series.add(counter::RECEIVED, messages as u64);
        series.add(counter::BATCH_RECEIVED, batches as u64);
        Some(Instant::now())
    }

    fn end<'a>(
        &self,
        began: Option<Instant>,
        batches: usize,
        messages: impl IntoIterator<Item = &'a Message>,
    ) {
        let (Some(series), Some(began)) = (&self.series, began) else { return };
        let (mut sent, mut failed, mut last) = (0, 0, None);
        for message in messages {
            sent += 1;
            if let Some(error) = message.error().filter(|error| self.component.path.ends_with(&error.path)) {
                failed += 1;
                last = Some(error);
            }
        }
        series.add(counter::SENT, sent);
        series.add(counter::BATCH_SENT, batches as u64);
        if let Some(error) = last {
            series.add(counter::ERROR, failed);
            series.fault(&error.text, failed);
        }
        series.time(began.elapsed());
    }
}

/// The reference looks only at the first message of a batch.
fn is_failed(batch: &[Message]) -> bool {
    batch.first().is_some_and(|message| message.error().is_some())
}

#[async_trait]
impl Processor for Chain {
    fn immediate(&self) -> bool {
        self.immediate
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let Some((last, before)) = self.steps.split_last() else {
            return out.extend(batch.iter_mut().map(mem::take));
        };
        let run = |step: &Step, batch: &mut [Message], out: &mut Vec<Message>| {
            if self.strict && is_failed(batch) {
                return out.extend(batch.iter_mut().map(mem::take));
            }
            let from = out.len();
            let began = step.begin(batch.len(), 1);
            step.processor.rewrite(batch, out);
            let made = out.get(from..).unwrap_or_default();
            step.end(began, usize::from(!made.is_empty()), made);
            self.taps.pass(&step.component.path, made);
        };
        if before.is_empty() {
            return run(last, batch, out);
        }
        let mut current: Vec<Message> = batch.iter_mut().map(mem::take).collect();
        for step in before {
            let mut next = Vec::with_capacity(current.len());
            run(step, &mut current, &mut next);
            current = next;
            if current.is_empty() {
                return;
            }
        }
        run(last, &mut current, out);
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        self.run_batch(batch, 0, &Turn::new(false)).await
    }

    fn inside(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        match self.steps.as_slice() {
            [only] => Arc::clone(&only.processor).inside(),
            _ => None,
        }
    }

    async fn close(&self) {
        for step in &self.steps {
            step.processor.close().await;
        }
    }
}

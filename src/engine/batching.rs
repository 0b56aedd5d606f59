//! Batch policies before an output or behind an input.

use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use weir_core::{
    ack::{Failure, Owed},
    batch::{Batcher, Policy, Trigger},
    error::Error,
    frame::Frame,
    input::{Input, Next},
    metrics::Series,
    output::Output,
};

/// Counts the batch and puts it through the policy's processors, whose results make one batch.
async fn finish(policy: &Policy, series: &Series, trigger: Option<Trigger>, batch: Frame) -> Option<Frame> {
    if let Some(trigger) = trigger {
        series.add(trigger as usize, 1);
    }
    let Some(processors) = &policy.processors else { return Some(batch) };
    let (messages, marks, origin) = batch.into_parts();
    let owed = Owed::new(origin, marks.first()?.slot);
    match processors.process(messages).await {
        Ok(batches) => {
            let joined: Vec<_> = batches.into_iter().flatten().collect();
            owed.pass(weir_core::processor::one(joined)).next()
        }
        Err(error) => {
            owed.settle(Err(Failure::all(error)));
            None
        }
    }
}

/// An output with a batch policy before it.
pub(crate) struct BatchedOutput(Arc<Gathering>);

struct Gathering {
    output: Arc<dyn Output>,
    policy: Policy,
    batcher: Mutex<Batcher>,
    series: Arc<Series>,
    /// Whether somebody waits for the period.
    timed: AtomicBool,
}

impl BatchedOutput {
    pub(crate) fn new(output: Arc<dyn Output>, policy: Policy, series: Arc<Series>) -> Self {
        let batcher = Mutex::new(Batcher::new(policy.clone(), Instant::now()));
        Self(Arc::new(Gathering { output, policy, batcher, series, timed: AtomicBool::new(false) }))
    }
}

impl Gathering {
    async fn add(self: &Arc<Self>, single: Frame) {
        let mut batcher = self.batcher.lock().await;
        if let Some(trigger) = batcher.add(single) {
            let batch = batcher.flush(Instant::now());
            drop(batcher);
            return self.pass(Some(trigger), batch).await;
        }
        if batcher.due().is_some() && !self.timed.swap(true, Ordering::AcqRel) {
            let gathering = Arc::clone(self);
            tokio::spawn(async move { gathering.wait().await });
        }
    }

    /// Flushes when the period ends, until there is nothing left to wait for.
    async fn wait(&self) {
        loop {
            let due = self.batcher.lock().await.due();
            sleep_until(due.unwrap_or_else(Instant::now)).await;
            let mut batcher = self.batcher.lock().await;
            if batcher.is_empty() {
                self.timed.store(false, Ordering::Release);
                return;
            }
            if batcher.due().is_some_and(|due| due <= Instant::now()) {
                let batch = batcher.flush(Instant::now());
                drop(batcher);
                self.pass(Some(Trigger::Period), batch).await;
            }
        }
    }

    async fn pass(&self, trigger: Option<Trigger>, batch: Option<Frame>) {
        let Some(batch) = batch else { return };
        if let Some(batch) = finish(&self.policy, &self.series, trigger, batch).await {
            self.output.send(batch).await;
        }
    }
}

#[async_trait]
impl Output for BatchedOutput {
    async fn connect(&self) {
        self.0.output.connect().await;
    }

    async fn send(&self, frame: Frame) {
        for single in frame.into_singles() {
            self.0.add(single).await;
        }
    }

    async fn flush(&self) {
        let batch = self.0.batcher.lock().await.flush(Instant::now());
        self.0.pass(None, batch).await;
        self.0.output.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.0.output.sync().await
    }

    async fn close(&self) {
        self.flush().await;
        self.0.output.close().await;
    }
}

/// An input with a batch policy behind it.
pub(crate) struct BatchedInput {
    input: Box<dyn Input>,
    policy: Policy,
    batcher: Batcher,
    series: Arc<Series>,
    waiting: std::collections::VecDeque<Frame>,
    /// Given once what was gathered is gone.
    last: Option<Next>,
}

impl BatchedInput {
    pub(crate) fn new(input: Box<dyn Input>, policy: Policy, series: Arc<Series>) -> Self {
        let batcher = Batcher::new(policy.clone(), Instant::now());
        Self { input, policy, batcher, series, waiting: std::collections::VecDeque::new(), last: None }
    }
}

#[async_trait]
impl Input for BatchedInput {
    async fn next(&mut self) -> Next {
        loop {
            let mut flush = None;
            while let Some(single) = self.waiting.pop_front() {
                if let Some(trigger) = self.batcher.add(single) {
                    flush = Some(Some(trigger));
                    break;
                }
            }
            if flush.is_none() && self.last.is_some() {
                flush = (!self.batcher.is_empty()).then_some(None);
                if let (None, Some(last)) = (&flush, self.last.take()) {
                    return last;
                }
            }
            if let Some(trigger) = flush {
                if let Some(batch) = self.batcher.flush(Instant::now())
                    && let Some(batch) = finish(&self.policy, &self.series, trigger, batch).await
                {
                    return Next::Frame(batch);
                }
                continue;
            }
            let due = if self.batcher.is_empty() { None } else { self.batcher.due() };
            let next = tokio::select! {
                biased;
                next = self.input.next() => Some(next),
                () = async { match due { Some(due) => sleep_until(due).await, None => std::future::pending().await } } => None,
            };
            match next {
                Some(Next::Frame(frame)) => self.waiting.extend(frame.into_singles()),
                Some(last) => self.last = Some(last),
                None => {
                    if let Some(batch) = self.batcher.flush(Instant::now())
                        && let Some(batch) =
                            finish(&self.policy, &self.series, Some(Trigger::Period), batch).await
                    {
                        return Next::Frame(batch);
                    }
                }
            }
        }
    }

    fn replays(&self) -> bool {
        self.input.replays()
    }

    async fn close(&mut self) {
        self.input.close().await;
    }
}

//! Inputs and outputs with processors of their own: one thread, whatever the pipeline has.

use crate::{chain::Chain, marks::Turn};
use async_trait::async_trait;
use std::sync::Arc;
use weir_core::{
    ack::{Failure, Owed, Shares},
    error::Error,
    frame::{Frame, Singles},
    input::{Input, Next},
    output::Output,
    processor::Processor,
};

/// A frame on its way through a chain, given out batch by batch where a processor may wait.
pub(crate) struct Passage {
    first: usize,
    /// A frame that went through whole.
    whole: Option<Frame>,
    ready: Shares,
    waiting: Option<Singles>,
}

impl Passage {
    /// Puts the whole frame through the leading processors that allow it.
    pub(crate) fn new(chain: &Chain, mut frame: Frame, at: &Turn) -> Self {
        let first = chain.run_frame(&mut frame, at);
        if first < chain.len() {
            return Self {
                first,
                whole: None,
                ready: Shares::default(),
                waiting: Some(frame.into_singles()),
            };
        }
        let whole = (!frame.is_empty()).then_some(frame);
        Self { first, whole, ready: Shares::default(), waiting: None }
    }

    /// What goes on next.
    pub(crate) async fn next(&mut self, chain: &Chain, at: &Turn) -> Option<Frame> {
        loop {
            if let Some(frame) = self.whole.take().or_else(|| self.ready.next()) {
                return Some(frame);
            }
            let (messages, marks, origin) = self.waiting.as_mut()?.next()?.into_parts();
            let owed = Owed::new(origin, marks.first()?.slot);
            match chain.run_batch(messages, self.first, at).await {
                Ok(batches) => self.ready = owed.pass(batches),
                Err(error) => owed.settle(Err(Failure::all(error))),
            }
        }
    }
}

/// An input whose frames pass a chain.
pub(crate) struct ProcessedInput {
    input: Box<dyn Input>,
    chain: Arc<Chain>,
    at: Turn,
    passage: Option<Passage>,
}

impl ProcessedInput {
    pub(crate) fn new(input: Box<dyn Input>, chain: Chain) -> Self {
        Self { input, chain: Arc::new(chain), at: Turn::new(false), passage: None }
    }
}

#[async_trait]
impl Input for ProcessedInput {
    async fn next(&mut self) -> Next {
        loop {
            if let Some(passage) = &mut self.passage {
                if let Some(frame) = passage.next(&self.chain, &self.at).await {
                    return Next::Frame(frame);
                }
                self.passage = None;
            }
            match self.input.next().await {
                Next::Frame(frame) => self.passage = Some(Passage::new(&self.chain, frame, &self.at)),
                other => return other,
            }
        }
    }

    fn replays(&self) -> bool {
        self.input.replays()
    }

    async fn close(&mut self) {
        self.input.close().await;
        Processor::close(&*self.chain).await;
    }
}

/// An output that is given what passed a chain.
pub(crate) struct ProcessedOutput {
    pub(crate) chain: Arc<Chain>,
    pub(crate) output: Arc<dyn Output>,
}

#[async_trait]
impl Output for ProcessedOutput {
    async fn connect(&self) {
        self.output.connect().await;
    }

    async fn send(&self, frame: Frame) {
        let at = Turn::new(false);
        let mut passage = Passage::new(&self.chain, frame, &at);
        while let Some(frame) = passage.next(&self.chain, &at).await {
            self.output.send(frame).await;
        }
    }

    async fn flush(&self) {
        self.output.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.output.sync().await
    }

    async fn close(&self) {
        self.output.close().await;
        Processor::close(&*self.chain).await;
    }
}

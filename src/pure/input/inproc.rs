//! `inproc`: batches from an `inproc` output of the same process, acks included.

use async_trait::async_trait;
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Notify;
use weir_core::{
    ack::{Failure, Origin},
    context::Environment,
    field::Field,
    frame::Frame,
    input::{Input, InputComponent, Next},
    pipe::PipeReceiver,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "inproc",
    summary: "Reads what an `inproc` output of the same name writes, in this or another stream of the process.",
    description: "Inputs of one name share the messages between them. It never ends by itself. A stream that reads \
                  what it writes may wait for itself forever once its queues are full.",
    status: Status::Stable,
    body: Body::Single(Field::string("", "The name that both ends agree on.").default("''")),
    examples: &[Example { title: "The other end", config: "audit" }],
    build: |node, context| {
        Ok(InputComponent::Node(Box::new(Inproc {
            name: node.read()?,
            environment: context.environment().clone(),
            pipe: None,
            under_way: Arc::default(),
            flushed: false,
        })))
    },
};

struct Inproc {
    name: String,
    environment: Environment,
    /// The pipe that is read, with its number.
    pipe: Option<(u64, PipeReceiver)>,
    under_way: Arc<UnderWay>,
    flushed: bool,
}

/// Counts the batches that were given and have no outcome yet.
#[derive(Default)]
struct UnderWay {
    batches: AtomicUsize,
    settled: Notify,
}

/// Passes outcomes on to the stream that the batches came from.
struct Counted {
    origin: Arc<dyn Origin>,
    under_way: Arc<UnderWay>,
}

impl Origin for Counted {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        self.origin.settle(slot, outcome);
        if self.under_way.batches.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.under_way.settled.notify_one();
        }
    }
}

impl Inproc {
    fn counted(&mut self, frame: Frame) -> Frame {
        self.flushed = false;
        self.under_way.batches.fetch_add(frame.len(), Ordering::AcqRel);
        let (messages, marks, origin) = frame.into_parts();
        let under_way = Arc::clone(&self.under_way);
        Frame::from_parts(messages, marks, Arc::new(Counted { origin, under_way }))
    }
}

#[async_trait]
impl Input for Inproc {
    async fn next(&mut self) -> Next {
        let Environment { soft_stop, hard_stop, pipes, .. } = self.environment.clone();
        while !soft_stop.is_cancelled() && !hard_stop.is_cancelled() {
            let (number, received) = match &self.pipe {
                None => (None, None),
                Some((number, pipe)) => (Some(*number), Some(pipe)),
            };
            let receive = async {
                match received {
                    Some(pipe) => pipe.lock().await.recv().await,
                    None => std::future::pending().await,
                }
            };
            // A finished pipe is left for its successor; a replaced one is read until nothing is left in it.
            tokio::select! {
                biased;
                () = soft_stop.cancelled() => {}
                () = hard_stop.cancelled() => {}
                next = receive => match next {
                    Some(Next::Frame(frame)) => return Next::Frame(self.counted(frame)),
                    Some(Next::Flush) => return Next::Flush,
                    Some(Next::End) | None => self.pipe = Some(tokio::select! {
                        () = soft_stop.cancelled() => continue,
                        () = hard_stop.cancelled() => continue,
                        found = pipes.find(&self.name, number) => found,
                    }),
                },
                found = pipes.find(&self.name, number) => self.pipe = Some(found),
            }
        }
        loop {
            let settled = self.under_way.settled.notified();
            if hard_stop.is_cancelled() || self.under_way.batches.load(Ordering::Acquire) == 0 {
                return Next::End;
            }
            if !std::mem::replace(&mut self.flushed, true) {
                return Next::Flush;
            }
            tokio::select! {
                () = hard_stop.cancelled() => {}
                () = settled => {}
            }
        }
    }
}

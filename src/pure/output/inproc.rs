//! `inproc`: batches to an `inproc` input of the same process, acks included.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use weir_core::{
    field::Field,
    frame::Frame,
    input::Next,
    output::{Output, OutputComponent},
    pipe::{PipeSender, Pipes},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "inproc",
    summary: "Writes to the `inproc` inputs of the same name, in this or another stream of the process.",
    description: "A message is delivered when the stream that read it has delivered it. Only one output has a name: \
                  of several, the last to start. A stream that reads what it writes may wait for itself forever once \
                  its queues are full.",
    status: Status::Stable,
    body: Body::Single(Field::string("", "The name that both ends agree on.").default("''")),
    examples: &[Example { title: "The other end", config: "audit" }],
    build: |node, context| {
        let environment = context.environment();
        Ok(OutputComponent::Node(Arc::new(Inproc {
            name: node.read()?,
            pipes: Arc::clone(&environment.pipes),
            hard_stop: environment.hard_stop.clone(),
            pipe: Mutex::default(),
        })))
    },
};

struct Inproc {
    name: String,
    pipes: Arc<Pipes>,
    hard_stop: CancellationToken,
    pipe: Mutex<Option<(u64, PipeSender)>>,
}

impl Inproc {
    fn sender(&self) -> PipeSender {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        pipe.get_or_insert_with(|| self.pipes.open(&self.name)).1.clone()
    }

    /// What cannot be handed over fails back as it is dropped.
    async fn pass(&self, next: Next) {
        let sender = self.sender();
        tokio::select! {
            biased;
            () = self.hard_stop.cancelled() => {}
            // An error says that another output took the name.
            _ = sender.send(next) => {}
        }
    }
}

#[async_trait]
impl Output for Inproc {
    async fn connect(&self) {
        drop(self.sender());
    }

    async fn send(&self, frame: Frame) {
        self.pass(Next::Frame(frame)).await;
    }

    async fn flush(&self) {
        self.pass(Next::Flush).await;
    }

    async fn close(&self) {
        let pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((number, _)) = pipe {
            self.pipes.remove(&self.name, number);
        }
    }
}

//! `none`: no buffer. Streams leave it out; built all the same, it hands each frame on.

use async_trait::async_trait;
use std::sync::{Mutex as SyncMutex, PoisonError};
use tokio::sync::{Mutex, mpsc};
use weir_core::{
    buffer::Buffer,
    frame::Frame,
    input::Next,
    registry::BufferSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "none",
    summary: "Hands messages straight from the input to the pipeline.",
    description: "Their outcome reaches the input, so that nothing acknowledged can be lost.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "No buffer", config: "{}" }],
    build: |_, _| Ok(Box::new(Passing::new())),
};

struct Passing {
    /// Gone once finished.
    sender: SyncMutex<Option<mpsc::Sender<Frame>>>,
    receiver: Mutex<mpsc::Receiver<Frame>>,
}

impl Passing {
    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(1);
        Self { sender: SyncMutex::new(Some(sender)), receiver: Mutex::new(receiver) }
    }
}

#[async_trait]
impl Buffer for Passing {
    async fn push(&self, frame: Frame) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(sender) = sender {
            // Nobody takes frames only when the stream is torn down; the frame then fails back to its input.
            drop(sender.send(frame).await);
        }
    }

    async fn finish(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn pop(&self) -> Next {
        self.receiver.lock().await.recv().await.map_or(Next::End, Next::Frame)
    }
}

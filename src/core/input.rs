//! Inputs: leaves that read ([`Reader`]), which the engine makes into nodes that give frames ([`Input`]).

use crate::{ack::Failure, error::Error, frame::Frame};
use async_trait::async_trait;
use std::sync::Arc;
use weir_bloblang::Message;

/// What an input component is built to.
pub enum InputComponent {
    /// A leaf: the engine adds connecting, replay of what was nacked, metrics and processors.
    Reader(Box<dyn Reader>),
    /// Put together from other inputs, which already have all that.
    Node(Box<dyn Input>),
    /// Put together from inputs that come and go, so that it is not known whether it is connected.
    Changing(Box<dyn Input>),
}

/// A source of messages.
#[async_trait]
pub trait Reader: Send {
    /// Opens the source. Called again, with back-off, after an error, and after [`Error::NotConnected`].
    async fn connect(&mut self) -> Result<(), Error>;

    /// Waits for at least one batch and adds as many as are ready. Must be cancel-safe: when the future is
    /// dropped, nothing that was read may be lost.
    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error>;

    /// Whether nacked batches are read again by the engine (`auto_replay_nacks`). Otherwise the source is told.
    fn replays(&self) -> bool {
        true
    }

    /// Whether messages are sent to it, so that there is no connection of its own to count.
    fn is_served(&self) -> bool {
        false
    }

    /// Whom to tell how far the source is acknowledged.
    fn progress(&self) -> Option<Arc<dyn Progress>> {
        None
    }

    /// Frees the source. Called once, at the end.
    async fn close(&mut self) {}
}

/// Learns the highest contiguous point up to which everything was delivered.
pub trait Progress: Send + Sync {
    /// Everything read up to and with `position` (see [`Reading::position`]) has been delivered.
    fn acknowledged(&self, position: u64);
}

/// Told the outcome of one batch, once.
pub type OnOutcome = Box<dyn FnOnce(Result<(), Failure>) + Send>;

/// What one call of [`Reader::read`] gives: logical batches in order.
#[derive(Default)]
pub struct Reading {
    /// All messages, batch after batch.
    pub messages: Vec<Message>,
    /// Index after the last message of each batch.
    pub ends: Vec<u32>,
    /// The reader's own count of where the source stands after these; must grow.
    pub position: u64,
    /// One for each batch that must hear its outcome; empty, or as long as `ends`.
    pub outcomes: Vec<OnOutcome>,
}

impl Reading {
    /// Adds a batch of one message.
    pub fn push(&mut self, message: Message) {
        self.messages.push(message);
        self.end_batch();
    }

    /// Adds all batches of another.
    pub fn append(&mut self, mut other: Self) {
        let before = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        self.messages.append(&mut other.messages);
        self.ends.extend(other.ends.into_iter().map(|end| before + end));
        self.outcomes.append(&mut other.outcomes);
    }

    /// Adds a batch of one message whose outcome is awaited.
    pub fn push_awaited(&mut self, message: Message, outcome: OnOutcome) {
        self.push(message);
        self.outcomes.push(outcome);
    }

    /// Makes one batch of the messages added since the last end; nothing if there are none.
    pub fn end_batch(&mut self) {
        let end = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        if self.ends.last().copied().unwrap_or(0) < end {
            self.ends.push(end);
        }
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

/// What an input gives.
pub enum Next {
    /// Batches.
    Frame(Frame),
    /// Everything there is was given, and its outcome is awaited: what was gathered on the way is to go on now.
    Flush,
    /// The source has ended or was stopped, and every batch is settled.
    End,
}

/// An assembled input: gives frames until it ends.
#[async_trait]
pub trait Input: Send {
    /// What comes next. Cancel-safe: a batch that is dropped within fails back to where it came from.
    async fn next(&mut self) -> Next;

    /// Whether it gives again what failed; otherwise its source is told and it is gone.
    fn replays(&self) -> bool {
        true
    }

    /// Frees the source. Called once, after [`Next::End`] or when the stream is torn down.
    async fn close(&mut self) {}
}

//! Outputs: leaves that write ([`Writer`]), which the engine makes into nodes that take frames ([`Output`]).

use crate::{ack::WriteError, error::Error, frame::Frame};
use async_trait::async_trait;
use std::sync::Arc;
use weir_bloblang::Message;

/// What an output component is built to.
pub enum OutputComponent {
    /// A leaf: the engine adds connecting, `max_in_flight`, acks, metrics, batching and processors.
    Writer {
        /// The leaf.
        writer: Box<dyn Writer>,
        /// How many logical batches may be in [`Writer::write`] at once; at least 1.
        max_in_flight: usize,
    },
    /// Put together from other outputs, which already have all that.
    Node(Arc<dyn Output>),
    /// Put together from outputs that come and go: it is connected if they are, and without any it is not.
    Changing(Arc<dyn Output>),
}

/// A target of messages.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Opens the target. Called again, with back-off, after an error, and after [`Error::NotConnected`].
    async fn connect(&self) -> Result<(), Error>;

    /// Writes one logical batch.
    async fn write(&self, batch: &[Message]) -> Result<(), WriteError>;

    /// Whether it takes all batches of a frame in one [`write`](Self::write), in order. Only together with a
    /// `max_in_flight` of 1.
    fn takes_frames(&self) -> bool {
        false
    }

    /// Whether it looks at nothing of messages but their content: values are then written out before.
    fn takes_content(&self) -> bool {
        false
    }

    /// Whether it delivers messages that strict error handling would refuse.
    fn takes_failed(&self) -> bool {
        false
    }

    /// Makes what was written survive a power cut, as far as the target can.
    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Frees the target, at the end of its stream.
    async fn close(&self) {}
}

/// An assembled output.
#[async_trait]
pub trait Output: Send + Sync {
    /// Keeps trying until connected or told to stop. Sending does not depend on it.
    async fn connect(&self);

    /// Takes a frame, waiting for room. Its batches are settled now or later.
    async fn send(&self, frame: Frame);

    /// As [`Writer::takes_content`].
    fn takes_content(&self) -> bool {
        false
    }

    /// Sends on what was gathered: see [`Next::Flush`](crate::input::Next::Flush).
    async fn flush(&self) {}

    /// Makes what was delivered survive a power cut, as far as the targets can.
    async fn sync(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Waits until everything taken is settled, then frees the targets.
    async fn close(&self);
}

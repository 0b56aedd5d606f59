//! Buffers: what stands between input and pipeline.

use crate::{frame::Frame, input::Next};
use async_trait::async_trait;

/// Takes frames in and gives them out later. What it acknowledges early is lost with the process.
#[async_trait]
pub trait Buffer: Send + Sync {
    /// Takes a frame, waiting for room.
    async fn push(&self, frame: Frame);

    /// No frame will be pushed any more: give out what is left, then end.
    async fn finish(&self);

    /// What comes next; the end when finished and empty and everything given out is settled. Cancel-safe.
    async fn pop(&self) -> Next;
}

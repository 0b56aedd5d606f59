//! Processors: what happens to messages between input and output.

use crate::error::Error;
use async_trait::async_trait;
use smallvec::SmallVec;
use std::{any::Any, sync::Arc};
use weir_bloblang::Message;

/// The logical batches that one batch became: none (all dropped), mostly one, or several.
pub type Batches = SmallVec<[Vec<Message>; 1]>;

/// One step of a pipeline. Its only instance is shared by all workers of the stream.
///
/// A failed message is flagged ([`Component::fail`](crate::component::Component::fail)) and goes on.
#[async_trait]
pub trait Processor: Send + Sync {
    /// Whether [`rewrite`](Self::rewrite) may be used: it never waits, does nothing outside its messages and
    /// makes one batch of one. Whole frames then pass without being cut.
    fn immediate(&self) -> bool {
        false
    }

    /// Takes the messages of one batch and appends to `out` what goes on. Only called when
    /// [`immediate`](Self::immediate); the default passes everything on.
    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        out.extend(batch.iter_mut().map(std::mem::take));
    }

    /// Works one logical batch. An error fails the batch back to its input.
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let mut out = Vec::with_capacity(batch.len());
        self.rewrite(&mut batch, &mut out);
        Ok(one(out))
    }

    /// What is shown to other components of the same crate, such as a `branch` to a `workflow`.
    fn inside(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Frees what it holds, at the end of its stream.
    async fn close(&self) {}
}

/// The batch, or nothing if it is empty.
pub fn one(batch: Vec<Message>) -> Batches {
    if batch.is_empty() { Batches::new() } else { Batches::from_buf([batch]) }
}

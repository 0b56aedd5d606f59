//! Answers that travel back to the input that asked (`sync_response`).

use crate::trace;
use std::sync::{Arc, Mutex, PoisonError};
use weir_bloblang::{Attachment, Message};

/// The answers collected for one request. An input puts it into its messages' context.
#[derive(Debug, Default)]
pub struct Responses(Mutex<Vec<Vec<Message>>>);

impl Attachment for Responses {}

impl Responses {
    /// Attaches a new, empty store to each of these messages.
    pub fn attach(messages: &mut [Message]) -> Arc<Self> {
        let store = Arc::new(Self::default());
        for message in messages {
            message.set_context(Some(Arc::clone(&store) as _));
        }
        store
    }

    /// Adds a batch to the store of its first message; false when there is none.
    pub fn add(batch: &[Message]) -> bool {
        let attached = batch.first().and_then(Message::context).and_then(trace::beneath);
        let Some(store) = attached.and_then(|attached| attached.downcast_ref::<Self>()) else { return false };
        let mut copies = batch.to_vec();
        copies.iter_mut().for_each(|copy| copy.set_context(None));
        store.0.lock().unwrap_or_else(PoisonError::into_inner).push(copies);
        true
    }

    /// Takes what was collected.
    pub fn take(&self) -> Vec<Vec<Message>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

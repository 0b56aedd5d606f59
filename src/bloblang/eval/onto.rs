//! Evaluations that build upon a message other than the one they read.

use super::Cx;
use crate::message::Message;

impl Cx<'_> {
    /// What is built begins as this message's value and metadata.
    pub(crate) fn onto(mut self, message: &Message) -> Self {
        if let Ok(value) = message.value() {
            self.root = Some(value.clone());
        }
        self.metadata = Some(message.metadata().clone());
        self
    }
}

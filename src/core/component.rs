//! The identity of a component: what errors, log lines and metrics call it.

use std::sync::Arc;
use weir_bloblang::{Message, MessageError};

/// Name, label and path of one component of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Component {
    /// The type's name, such as `mapping`.
    pub name: String,
    /// The user's label; may be empty.
    pub label: String,
    /// The place in the config, such as `root.pipeline.processors.0`.
    pub path: String,
}

impl Component {
    /// Flags the message as failed here.
    pub fn fail(&self, message: &mut Message, text: impl Into<String>) {
        message.set_error(Some(Arc::new(MessageError {
            text: text.into(),
            name: self.name.clone(),
            label: self.label.clone(),
            path: self.path.strip_prefix("root.").unwrap_or(&self.path).to_owned(),
        })));
    }

    /// How construction errors call it: `<no label> path root.input` or `label path …`.
    pub fn described(&self) -> String {
        let label = if self.label.is_empty() { "<no label>" } else { &self.label };
        format!("{label} path {}", self.path)
    }
}

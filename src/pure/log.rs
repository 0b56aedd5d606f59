//! Log lines of a component, which say whose they are.

use std::{fmt::Display, sync::Arc};
use weir_core::{component::Component, context::BuildContext};

/// Writes log lines in the name of one component.
pub(crate) struct Log {
    component: Arc<Component>,
    stream: Option<String>,
}

impl Log {
    /// Of the component being built.
    pub(crate) fn new(context: &dyn BuildContext) -> Self {
        let stream = Some(context.environment().stream.clone()).filter(|stream| !stream.is_empty());
        Self { component: Arc::clone(context.component()), stream }
    }

    /// Whose lines they are.
    pub(crate) fn component(&self) -> &Component {
        &self.component
    }

    /// The stream it belongs to; none outside streams mode.
    pub(crate) fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// Something that the user should know of.
    pub(crate) fn error(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::error!(label, path, stream = self.stream(), "{text}");
    }

    /// Something for those who look closely.
    pub(crate) fn debug(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::debug!(label, path, stream = self.stream(), "{text}");
    }
}

//! Log lines of a component, which say whose they are.

use crate::{
    component::Component,
    context::{BuildContext, Environment},
};
use std::{fmt::Display, sync::Arc};

/// Writes log lines in the name of one component.
#[derive(Default, Clone)]
pub struct Log {
    component: Arc<Component>,
    stream: Option<String>,
}

impl Log {
    /// Of the component being built.
    pub fn new(context: &dyn BuildContext) -> Self {
        Self::of(context.component(), context.environment())
    }

    /// Of a component that lives in this environment.
    pub fn of(component: &Arc<Component>, environment: &Environment) -> Self {
        let stream = Some(environment.stream.clone()).filter(|stream| !stream.is_empty());
        Self { component: Arc::clone(component), stream }
    }

    /// Whose lines they are.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// The stream it belongs to; none outside streams mode.
    pub fn stream(&self) -> Option<&str> {
        self.stream.as_deref()
    }

    /// What ends the process.
    pub fn fatal(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::error!(fatal = true, label, path, stream = self.stream(), "{text}");
    }

    /// Something that the user should know of.
    pub fn error(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::error!(label, path, stream = self.stream(), "{text}");
    }

    /// Something that went wrong and is made good.
    pub fn warn(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::warn!(label, path, stream = self.stream(), "{text}");
    }

    /// Something that is good to know.
    pub fn info(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::info!(label, path, stream = self.stream(), "{text}");
    }

    /// Something of a chosen level.
    pub fn at(&self, level: tracing::Level, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        match level {
            tracing::Level::TRACE => tracing::trace!(label, path, stream = self.stream(), "{text}"),
            tracing::Level::DEBUG => self.debug(text),
            tracing::Level::INFO => self.info(text),
            tracing::Level::WARN => self.warn(text),
            tracing::Level::ERROR => self.error(text),
        }
    }

    /// Something for those who look closely.
    pub fn debug(&self, text: impl Display) {
        let Component { label, path, .. } = &*self.component;
        tracing::debug!(label, path, stream = self.stream(), "{text}");
    }
}

//! A processor whose messages are each in a span of its own while it works them.

use async_trait::async_trait;
use std::{any::Any, sync::Arc};
use weir_bloblang::Message;
use weir_core::{
    component::Component,
    error::Error,
    processor::{Batches, Processor},
    trace,
};

/// A processor under a tracer. It takes no frames, so that each batch is timed by itself.
pub(crate) struct Traced {
    pub(crate) processor: Arc<dyn Processor>,
    pub(crate) component: Arc<Component>,
}

#[async_trait]
impl Processor for Traced {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let first = batch.first().and_then(Message::context).cloned();
        batch.iter_mut().for_each(|message| trace::enter(message, &self.component.name));
        let mut made = self.processor.process(batch).await?;
        for message in made.iter_mut().flatten() {
            let failed = message.error().filter(|error| self.component.path.ends_with(&error.path));
            if let (Some(error), Some(span)) = (failed, trace::of(message)) {
                span.fail(error.text.as_str());
            }
            // What was made anew belongs to the first message.
            match message.context() {
                Some(_) => trace::leave(message),
                None => message.set_context(first.clone()),
            }
        }
        Ok(made)
    }

    fn inside(self: Arc<Self>) -> Option<Arc<dyn Any + Send + Sync>> {
        Arc::clone(&self.processor).inside()
    }

    async fn close(&self) {
        self.processor.close().await;
    }
}

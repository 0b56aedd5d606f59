//! `resource`: passes messages to a shared output.

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use weir_core::{
    error::Error,
    field::Field,
    frame::Frame,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    slot::Slot,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "resource",
    summary: "Writes to an output of the section `output_resources`, named by its label.",
    description: "",
    status: Status::Stable,
    body: Body::Single(Field::string("", "Label of the resource.").default("''")),
    examples: &[Example { title: "A shared output", config: "orders" }],
    build: |node, context| {
        let label: String = node.read()?;
        let slot = context.output_resource(&label)?;
        let hard_stop = context.environment().hard_stop.clone();
        Ok(OutputComponent::Node(Arc::new(Resource { slot, hard_stop })))
    },
};

struct Resource {
    slot: Slot<dyn Output>,
    hard_stop: CancellationToken,
}

#[async_trait]
impl Output for Resource {
    async fn connect(&self) {
        if let Some(output) = self.slot.get() {
            output.connect().await;
        }
    }

    async fn send(&self, frame: Frame) {
        loop {
            if let Some(output) = self.slot.get() {
                return output.send(frame).await;
            }
            // It was removed; it may come back.
            tokio::select! {
                () = self.hard_stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn flush(&self) {
        if let Some(output) = self.slot.get() {
            output.flush().await;
        }
    }

    async fn sync(&self) -> Result<(), Error> {
        match self.slot.get() {
            Some(output) => output.sync().await,
            None => Ok(()),
        }
    }

    /// The resource outlives its users, who were told the outcomes by their inputs' ends.
    async fn close(&self) {}
}

//! `resource`: a processor resource by its label.

use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "resource",
    summary: "Runs a processor resource.",
    description: "One instance is shared by all who name it. A batch keeps the version of the resource that it began with.",
    status: Status::Stable,
    body: Body::Single(Field::string("", "The resource's label.").default("''")),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let label: String = node.read()?;
        let slot = context.processor_resource(&label)?;
        Ok(Box::new(Resource { label, slot }))
    },
};

struct Resource {
    label: String,
    slot: Slot<dyn Processor>,
}

#[async_trait]
impl Processor for Resource {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        if let Some(processor) = self.slot.get() {
            return processor.process(batch).await;
        }
        for message in &mut batch {
            super::flag(message, format!("processor resource '{}' was not found", self.label));
        }
        Ok(one(batch))
    }
}

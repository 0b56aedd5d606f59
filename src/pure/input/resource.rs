//! `resource`: messages of a shared input.

use weir_core::{
    field::Field,
    input::InputComponent,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "resource",
    summary: "Reads from an input of the section `input_resources`, named by its label.",
    description: "Wherever a resource is used more than once, each message goes to one of its users.",
    status: Status::Stable,
    body: Body::Single(Field::string("", "Label of the resource.").default("''")),
    examples: &[Example { title: "A shared input", config: "orders" }],
    build: |node, context| {
        let label: String = node.read()?;
        Ok(InputComponent::Node(context.input_resource(&label)?))
    },
};

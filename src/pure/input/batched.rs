//! `batched`: gathers the messages of an input into batches.

use serde::Deserialize;
use weir_core::{
    build_error::BuildError,
    field::Field,
    input::InputComponent,
    node::Node,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "batched",
    summary: "Gathers the messages of an input into larger batches.",
    description: "",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::input("child", "The input to read from."),
        Field::batching("policy", "When a batch is complete."),
    ]),
    examples: &[Example {
        title: "Ten at a time",
        config: "child: { generate: { mapping: 'root = 1' } }\npolicy: { count: 10, period: 1s }",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let child = config.child.ok_or_else(|| BuildError::new("an input is required").at("child"))?;
        Ok(InputComponent::Node(context.input("batched.child", &child)?))
    },
};

#[derive(Deserialize)]
struct Config {
    child: Option<Node>,
    #[expect(dead_code, reason = "the engine gathers behind this input")]
    policy: Option<Node>,
}

//! `bloblang`: the old name of `mapping`.

use super::mapping;
use weir_core::{
    field::Field,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "bloblang",
    summary: "Makes a new message of each message by a Bloblang mapping.",
    description: "This is `mapping` under its old name.",
    status: Status::Stable,
    body: Body::Single(Field::mapping("", "The mapping.").default("''")),
    examples: &[Example { title: "One field", config: "'root.name = this.user.name'" }],
    build: mapping::build,
};

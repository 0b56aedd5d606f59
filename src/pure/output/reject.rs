//! `reject`: delivers nothing and says why.

use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    error::Error,
    expression::Interpolated,
    field::Field,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "reject",
    summary: "Refuses every batch, with an error that is made of its first message.",
    description: "What becomes of a refused message is up to its input, or to a `fallback` or `retry` around this \
                  output. Most inputs send it again and again.",
    status: Status::Stable,
    // The reference does not lint what is in the text, so the field is not called interpolated here.
    body: Body::Single(
        Field::string("", "The text of the error; may hold `${! }` expressions.").default("''"),
    ),
    examples: &[Example { title: "Refuse with the reason", config: "\"cannot be stored: ${! error() }\"" }],
    build: |node, _| {
        if node.as_str().is_none_or(str::is_empty) {
            let text = "an error message must be provided in order to provide context for the rejection";
            return Err(BuildError::new(text));
        }
        let writer = Box::new(Reject { message: node.read()? });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

struct Reject {
    message: Interpolated,
}

#[async_trait]
impl Writer for Reject {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let text = self
            .message
            .resolve_string(batch, 0)
            .unwrap_or_else(|error| format!("reject message interpolation error: {error}"));
        Err(Error::Failed(text).into())
    }

    fn takes_failed(&self) -> bool {
        true
    }
}

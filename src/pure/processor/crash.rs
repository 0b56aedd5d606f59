//! `crash`: ends the process.

use crate::log::Log;
use async_trait::async_trait;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    expression::Interpolated,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "crash",
    summary: "Ends the process at the first message that reaches it.",
    description: "The process exits with the code 1 after a log line. Among several streams of one server only its own stream \
                  fails.",
    status: Status::Beta,
    body: Body::Single(Field::string("", "What the log line says.").interpolated()),
    examples: &[Example { title: "No way on", config: "'cannot go on after ${! content() }'" }],
    build: |node, context| Ok(Box::new(Crash { text: node.read()?, log: Log::new(context) })),
};

struct Crash {
    text: Interpolated,
    log: Log,
}

#[async_trait]
impl Processor for Crash {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        if batch.is_empty() {
            return Ok(one(batch));
        }
        let text = match self.text.resolve_string(&batch, 0) {
            Ok(text) => text,
            Err(error) => format!("failed to interpolate the crash message: {error}"),
        };
        if self.log.stream().is_some() {
            self.log.error(&text);
            std::panic::resume_unwind(Box::new(text));
        }
        self.log.fatal(&text);
        std::process::exit(1)
    }
}

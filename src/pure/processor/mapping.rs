//! `mapping`: makes a new message of each message.

use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use std::{panic, sync::Arc};
use weir_bloblang::{Fault, Mapped, Message};
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    expression::Mapping,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "mapping",
    summary: "Makes a new message of each message by a Bloblang mapping.",
    description: "The mapping sees the whole batch as it came, whatever was made of the messages before. A message that \
                  is not assigned to `root` keeps its content, one that is `deleted()` is dropped, and one whose \
                  mapping fails goes on unchanged and flagged as failed.",
    status: Status::Stable,
    body: Body::Single(Field::mapping("", "The mapping.")),
    examples: &[
        Example {
            title: "Some fields",
            config: "|\n  root.id = this.id\n  root.name = this.user.name.uppercase()\n",
        },
        Example { title: "A filter", config: "'root = if this.type == \"noise\" { deleted() }'" },
    ],
    build,
};

/// Builds a mapping; also under its old name.
pub(super) fn build(node: &Node, context: &mut dyn BuildContext) -> Result<Box<dyn Processor>, BuildError> {
    Ok(Box::new(Mapper(Arc::new(Inner { program: node.read()?, log: Log::new(context) }))))
}

struct Mapper(Arc<Inner>);

struct Inner {
    program: Mapping,
    log: Log,
}

/// Says on the message and in the log that its mapping failed.
#[cold]
pub(super) fn fail(log: &Log, message: &mut Message, error: &Fault) {
    let text = error.to_string();
    log.error(&text);
    log.component().fail(message, text);
}

impl Inner {
    fn rewrite(&self, batch: &[Message], out: &mut Vec<Message>) {
        out.reserve(batch.len());
        with_scratch(|scratch| {
            for (index, message) in batch.iter().enumerate() {
                match self.program.map(batch, index, scratch) {
                    Ok(Mapped::Message(made)) => out.push(made),
                    Ok(Mapped::Dropped) => {}
                    Err(error) => {
                        let mut failed = message.clone();
                        fail(&self.log, &mut failed, &error);
                        out.push(failed);
                    }
                }
            }
        });
    }
}

#[async_trait]
impl Processor for Mapper {
    fn immediate(&self) -> bool {
        is_immediate(&self.0.program)
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        self.0.rewrite(batch, out);
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let inner = Arc::clone(&self.0);
        let work = move || {
            let mut out = Vec::new();
            inner.rewrite(&batch, &mut out);
            out
        };
        Ok(one(run(&self.0.program, work).await?))
    }
}

/// Whether a mapping may work a whole frame at once.
pub(super) fn is_immediate(program: &Mapping) -> bool {
    program.is_pure() && !program.blocks()
}

/// Runs `work` of a mapping, which must not hold up the runtime's thread if the mapping blocks.
pub(super) async fn run<T: Send + 'static>(
    program: &Mapping,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    if !program.blocks() {
        return Ok(work());
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(out) => Ok(out),
        Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
        Err(_) => Err(Error::Closed),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn the_batch_is_seen_as_it_came() {
        let config = "mapping: 'root = content() + \" \" + content().from(0)'";
        assert_eq!(shown(&run(config, &["a", "b"]).await), [["a a", "b a"]]);
    }

    #[tokio::test]
    async fn a_failed_message_goes_on_unchanged() {
        let config = "mapping: 'root = if content() == \"b\" { throw(\"no\") } else if content() == \"c\" { deleted() } else { \"ok\" }'";
        let out = run(config, &["a", "b", "c"]).await;
        assert_eq!(shown(&out), [["ok", "b"]]);
        assert!(out[0][0].error().is_none());
        let error = out[0][1].error().unwrap();
        assert_eq!((error.text.as_str(), error.name.as_str()), ("failed assignment (line 1): no", "mapping"));
        assert_eq!(error.path, "pipeline.processors.0");
    }
}

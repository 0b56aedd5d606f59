//! `try_catch`: runs processors, and others on the messages that failed.

use super::{
    children,
    r#try::{is_failed, until_failed},
};
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::{Message, Object, Text, Value};
use weir_core::{
    error::Error,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "try_catch",
    summary: "Runs processors on each message, and on those that failed other processors that mend them.",
    description: "A message that failed skips the rest of `processors`. Its failure becomes the metadata `error_metadata`, an \
                  object with `what`, and where known the `name`, `label` and `path` of what failed; then it goes through \
                  `catch` as a message without failure, so that this works with strict error handling too.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::processors("processors", "What each message goes through until it fails.").default("[]"),
        Field::processors("catch", "What each message that failed goes through.").default("[]"),
        Field::string("error_metadata", "The metadata that tells the failure.").default("error"),
    ]),
    examples: &[Example {
        title: "A fallback value",
        config: "processors: [ { mapping: 'root = this.a.number()' } ]\ncatch: [ { mapping: 'root = @error.what' } ]",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let processors = node.get("processors").map(|node| children(context, "try_catch.processors", node));
        let catch = config.catch.unwrap_or_default();
        Ok(Box::new(TryCatch {
            processors: processors.transpose()?.unwrap_or_default(),
            catch: context.processors("try_catch.catch", &catch)?,
            error_metadata: Text::from(config.error_metadata.as_str()),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    #[expect(dead_code, reason = "built one by one from the node")]
    processors: Option<Vec<Node>>,
    catch: Option<Vec<Node>>,
    error_metadata: String,
}

struct TryCatch {
    processors: Vec<Arc<dyn Processor>>,
    catch: Arc<dyn Processor>,
    error_metadata: Text,
}

impl TryCatch {
    /// Makes the failure of a message metadata.
    fn catch(&self, message: &mut Message) {
        let Some(error) = message.error().cloned() else { return };
        let mut told = Object::new();
        told.insert("what", Value::from(error.text.as_str()));
        if !error.name.is_empty() {
            told.insert("name", Value::from(error.name.as_str()));
            told.insert("label", Value::from(error.label.as_str()));
            told.insert("path", Value::from(error.path.as_str()));
        }
        message.set_error(None);
        message.metadata_mut().set(self.error_metadata.clone(), Value::object(told));
    }
}

#[async_trait]
impl Processor for TryCatch {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let batches = until_failed(&self.processors, batch).await?;
        let mut out = Vec::with_capacity(batches.len());
        for mut batch in batches {
            if is_failed(&batch) {
                batch.iter_mut().for_each(|message| self.catch(message));
                out.extend(self.catch.process(batch).await?.into_iter().flatten());
            } else {
                out.append(&mut batch);
            }
        }
        Ok(one(out))
    }

    async fn close(&self) {
        for child in &self.processors {
            child.close().await;
        }
        self.catch.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn failures_become_metadata() {
        let config = "try_catch: { processors: [ { mapping: 'root = if content() == \"b\" { throw(\"bad\") }' }, { mapping: 'root = \"ok\"' } ], \
                      catch: [ { mapping: 'root = [ @error.what, @error.name ]' } ] }";
        let out = run(config, &["a", "b"]).await;
        assert_eq!(shown(&out), [["ok", "[\"failed assignment (line 1): bad\",\"mapping\"]"]]);
        assert!(out[0][1].error().is_none());
    }
}

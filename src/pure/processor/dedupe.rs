//! `dedupe`: drops messages whose key was seen before.

use super::flag;
use crate::log::Log;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    error::Error,
    expression::Interpolated,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "dedupe",
    summary: "Drops messages whose key a cache already holds.",
    description: "The key is stored before the message is delivered: a message that an output then refuses is dropped as \
                  seen when it is read again. Wrap the output in `retry`, or delivery is not guaranteed. A message whose \
                  key cannot be told is dropped.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("cache", "The label of the cache resource."),
        Field::string("key", "The key of a message.").interpolated(),
        Field::bool(
            "drop_on_err",
            "Drop a message also when the cache fails; otherwise it is flagged as failed.",
        )
        .default("true"),
    ]),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let Config { cache, key, drop_on_err } = node.read()?;
        if node.get("key").and_then(Node::as_str).is_some_and(str::is_empty) {
            return Err(BuildError::new("dedupe key must not be empty"));
        }
        let slot = context.cache(&cache)?;
        Ok(Box::new(Dedupe { slot, label: cache, key, drop_on_err, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    cache: String,
    key: Interpolated,
    drop_on_err: bool,
}

struct Dedupe {
    label: String,
    slot: Slot<dyn Cache>,
    key: Interpolated,
    drop_on_err: bool,
    log: Log,
}

impl Dedupe {
    /// Whether a message goes on, or why that cannot be told.
    async fn is_new(&self, key: &str) -> Result<bool, String> {
        let missing = || format!("cache resource '{}' was not found", self.label);
        let cache = self.slot.get().ok_or_else(missing)?;
        match cache.add(key, Bytes::from_static(b"t"), None).await {
            Ok(()) => Ok(true),
            Err(CacheError::Exists) => Ok(false),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[async_trait]
impl Processor for Dedupe {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let keys: Vec<_> = (0..batch.len()).map(|index| self.key.resolve_string(&batch, index)).collect();
        let mut out = Vec::with_capacity(batch.len());
        for (mut message, key) in batch.into_iter().zip(keys) {
            let key = match key {
                Ok(key) => key,
                Err(error) => {
                    self.log.error(format_args!("Key interpolation error: {error}"));
                    continue;
                }
            };
            match self.is_new(&key).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => {
                    self.log.error(format_args!("Cache error: {error}"));
                    if self.drop_on_err {
                        continue;
                    }
                    flag(&mut message, error);
                }
            }
            out.push(message);
        }
        Ok(one(out))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn the_first_of_a_key_goes_on() {
        let config = "dedupe: { cache: memory, key: '${! this.uppercase() }' }";
        let out = run(config, &["\"a\"", "\"b\"", "1", "\"A\""]).await;
        assert_eq!(shown(&out), [["\"a\"", "\"b\""]]);
        let error = try_build("dedupe: { cache: memory, key: '' }").err().unwrap();
        assert!(error.to_string().ends_with("dedupe key must not be empty"));
    }
}

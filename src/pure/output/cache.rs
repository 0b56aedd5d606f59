//! `cache`: stores each message in a cache resource.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    cache::Cache,
    duration,
    error::Error,
    expression::Interpolated,
    field::Field,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "cache",
    summary: "Stores each message in a cache resource.",
    description: "Of the messages of a batch that have the same key, the last one is stored.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("target", "The label of the cache resource."),
        Field::string("key", "The key of a message.")
            .interpolated()
            .default("'${!count(\"items\")}-${!timestamp_unix_nano()}'"),
        Field::string("ttl", "How long the value lives, such as `60s`, in caches that know lifetimes.")
            .interpolated()
            .optional()
            .advanced(),
        Field::int("max_in_flight", "How many batches are stored at once.").default("64"),
    ]),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.target.is_empty() {
            return Err(BuildError::new("cache name must be specified"));
        }
        let cache = context.cache(&config.target)?;
        let max_in_flight = usize::try_from(config.max_in_flight).unwrap_or(0).max(1);
        let writer = Box::new(CacheOutput { label: config.target, key: config.key, ttl: config.ttl, cache });
        Ok(OutputComponent::Writer { writer, max_in_flight })
    },
};

#[derive(Deserialize)]
struct Config {
    target: String,
    key: Interpolated,
    ttl: Option<Interpolated>,
    max_in_flight: i64,
}

struct CacheOutput {
    label: String,
    key: Interpolated,
    ttl: Option<Interpolated>,
    cache: Slot<dyn Cache>,
}

impl CacheOutput {
    /// Key, value and lifetime of one message.
    fn item(&self, batch: &[Message], index: usize) -> Result<(String, (Bytes, Option<Duration>)), Error> {
        let resolve = |field: &Interpolated, name: &str| {
            let text = field.resolve_string(batch, index);
            text.map_err(|error| Error::Failed(format!("{name} interpolation error: {error}")))
        };
        let ttl = match &self.ttl {
            None => None,
            Some(ttl) => match resolve(ttl, "ttl")? {
                text if text.is_empty() => None,
                text => Some(
                    duration::parse(&text)
                        .map_err(|error| Error::Failed(format!("failed to parse ttl string: {error}")))?,
                ),
            },
        };
        let content = batch.get(index).map(|message| message.content().clone()).unwrap_or_default();
        Ok((resolve(&self.key, "key")?, (content, ttl)))
    }
}

#[async_trait]
impl Writer for CacheOutput {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let items: Result<BTreeMap<_, _>, _> =
            (0..batch.len()).map(|index| self.item(batch, index)).collect();
        let missing = || Error::Failed(format!("cache resource '{}' was not found", self.label));
        let cache = self.cache.get().ok_or_else(missing)?;
        for (key, (value, ttl)) in items? {
            let stored = cache.set(&key, value, ttl).await;
            stored.map_err(|error| Error::Failed(error.to_string()))?;
        }
        Ok(())
    }
}

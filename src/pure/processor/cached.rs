//! `cached`: keeps what processors made of a message, and uses it again for the same key.

use super::{archive, flag, unarchive};
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    duration,
    error::Error,
    expression::{Interpolated, Mapping},
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "cached",
    summary: "Keeps in a cache what processors made of a message, and uses it again for messages of the same key.",
    description: "Only contents are kept: what comes from the cache has the metadata of the message that asked. Results that \
                  failed are kept too, without their failure, unless `skip_on: errored()`. The cache's values have a form \
                  of their own: it must hold no others under these keys.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("cache", "The label of the cache resource."),
        Field::mapping("skip_on", "A query asked of the results, whose `true` keeps them out of the cache.")
            .optional(),
        Field::string("key", "The key of a message.").interpolated(),
        Field::string("ttl", "How long a result lives, such as `60s`, in caches that know lifetimes.")
            .interpolated()
            .optional(),
        Field::processors("processors", "What a message goes through whose key is not in the cache."),
    ]),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let Config { cache, skip_on, key, ttl, processors } = node.read()?;
        let unknown = |_| BuildError::new(format!("cache named {cache} not found"));
        Ok(Box::new(Cached {
            slot: context.cache(&cache).map_err(unknown)?,
            label: cache,
            skip_on,
            key,
            ttl,
            children: context.processors("cached.processors", &processors.unwrap_or_default())?,
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    cache: String,
    skip_on: Option<Mapping>,
    key: Interpolated,
    ttl: Option<Interpolated>,
    processors: Option<Vec<Node>>,
}

struct Cached {
    label: String,
    slot: Slot<dyn Cache>,
    skip_on: Option<Mapping>,
    key: Interpolated,
    ttl: Option<Interpolated>,
    children: Arc<dyn Processor>,
    log: Log,
}

/// Why a message has no result.
enum Failed {
    /// It is flagged with this.
    Message(String),
    /// Its batch goes back.
    Batch(Error),
}

/// The version of the form in which results are kept; before it nothing else ever stood.
const VERSION: u32 = 1;

/// The contents kept in a cache.
fn parse(value: &Bytes) -> Result<Vec<Bytes>, String> {
    let Some((version, _)) = value.split_first_chunk::<4>() else {
        return Err(
            "failed to extract serialization format version: message is too small to extract number".into()
        );
    };
    match u32::from_be_bytes(*version) {
        VERSION => unarchive::binary(&value.slice(4..)),
        other => Err(format!("invalid format version: {other}")),
    }
}

impl Cached {
    async fn work(&self, batch: &[Message], index: usize) -> Result<Vec<Message>, Failed> {
        let missing = || Failed::Message(format!("cache resource '{}' was not found", self.label));
        let (key, ttl) = self.key_and_ttl(batch, index).map_err(Failed::Message)?;
        let Some(message) = batch.get(index) else { return Ok(Vec::new()) };
        let cache = self.slot.get().ok_or_else(missing)?;
        match cache.get(&key).await {
            Ok(value) => {
                let parts = parse(&value).map_err(|error| {
                    Failed::Message(format!(
                        "failed to parse cached result, this indicates the data was not set by this processor: {error}"
                    ))
                })?;
                return Ok(parts.into_iter().map(|content| unarchive::part(message, content)).collect());
            }
            Err(CacheError::NotFound) => {}
            Err(error) => return Err(Failed::Message(error.to_string())),
        }
        let made = match self.children.process(vec![message.clone()]).await {
            Ok(made) => made,
            Err(Error::Closed) => return Err(Failed::Batch(Error::Closed)),
            Err(error) => return Err(Failed::Message(error.to_string())),
        };
        let skip = made.iter().any(|batch| self.skips(batch));
        let made: Vec<Message> = made.into_iter().flatten().collect();
        if !skip {
            self.keep(&*cache, &key, &made, ttl).await;
        }
        Ok(made)
    }

    fn key_and_ttl(&self, batch: &[Message], index: usize) -> Result<(String, Option<Duration>), String> {
        let key = self.key.resolve_string(batch, index);
        let key = key.map_err(|error| format!("failed to interpolate key expression: {error}"))?;
        let Some(ttl) = &self.ttl else { return Ok((key, None)) };
        let ttl = ttl.resolve_string(batch, index);
        let ttl = ttl.map_err(|error| format!("failed to interpolate ttl expression: {error}"))?;
        let (negative, ttl) = duration::parse_signed(&ttl)
            .map_err(|error| format!("failed to parse ttl expression: {error}"))?;
        Ok((key, Some(if negative { Duration::ZERO } else { ttl })))
    }

    /// Whether this result is to be kept out of the cache; also when that cannot be told.
    fn skips(&self, batch: &[Message]) -> bool {
        let Some(skip_on) = &self.skip_on else { return false };
        with_scratch(|scratch| skip_on.check(batch, 0, scratch)).unwrap_or_else(|error| {
            self.log.error(format_args!("skip_on check failed: {error}, the result is not cached"));
            true
        })
    }

    async fn keep(&self, cache: &dyn Cache, key: &str, made: &[Message], ttl: Option<Duration>) {
        let kept = match archive::binary(made) {
            Ok(parts) => {
                let mut value = VERSION.to_be_bytes().to_vec();
                value.extend_from_slice(&parts);
                cache.set(key, value.into(), ttl).await.map_err(|error| error.to_string())
            }
            Err(error) => Err(error),
        };
        if let Err(error) = kept {
            self.log.error(format_args!("Failed to cache the result: {error}"));
        }
    }
}

#[async_trait]
impl Processor for Cached {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut out = Vec::with_capacity(batch.len());
        for (index, message) in batch.iter().enumerate() {
            match self.work(&batch, index).await {
                Ok(mut made) => out.append(&mut made),
                Err(Failed::Batch(error)) => return Err(error),
                Err(Failed::Message(text)) => {
                    self.log.debug(format_args!("Processor failed: {text}"));
                    let mut message = message.clone();
                    flag(&mut message, text);
                    out.push(message);
                }
            }
        }
        Ok(one(out))
    }

    async fn close(&self) {
        self.children.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn a_known_key_gets_the_kept_result() {
        let config = "cached: { cache: memory, key: '${! content().slice(0, 1) }', processors: [ \
                      { mapping: 'root = [ content().string(), 1 ]' }, { unarchive: { format: json_array } } ] }";
        let out = run(config, &["a1", "b1", "a2"]).await;
        assert_eq!(shown(&out), [["\"a1\"", "1", "\"b1\"", "1", "\"a1\"", "1"]]);
    }

    #[tokio::test]
    async fn foreign_values_fail_the_message() {
        let config = "processors: [ { cache: { resource: memory, operator: set, key: k, value: hello } }, \
                      { cached: { cache: memory, key: k, processors: [] } } ]";
        let out = run(config, &["a"]).await;
        let text = &out[0][0].error().unwrap().text;
        assert!(text.ends_with("not set by this processor: invalid format version: 1751477356"), "{text}");
    }
}

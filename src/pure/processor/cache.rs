//! `cache`: reads and writes a cache by messages.

use crate::log::Log;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::time::Duration;
use weir_bloblang::{Message, Value};
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    duration,
    error::Error,
    expression::Interpolated,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "cache",
    summary: "Reads or writes a cache resource for each message.",
    description: "`set` puts a value, `add` puts one unless the key is taken, and fails the message if it is. `get` makes \
                  the value the content of the message, and fails it if there is none. `delete` removes a key. \
                  `exists` makes the content `true` or `false`.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("resource", "The label of the cache resource."),
        Field::string("operator", "What to do.").options(&["set", "add", "get", "delete", "exists"]),
        Field::string("key", "The key.").interpolated(),
        Field::string("value", "The value, for `set` and `add`.").interpolated().optional(),
        Field::string("ttl", "How long the value lives, such as `60s`, in caches that know lifetimes. Empty: as the cache says.")
            .interpolated()
            .optional()
            .advanced(),
    ]),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.resource.is_empty() {
            return Err(BuildError::new("cache name must be specified"));
        }
        let operator = Operator::parse(&config.operator)?;
        let slot = context.cache(&config.resource)?;
        let Config { resource, key, value, ttl, .. } = config;
        Ok(Box::new(CacheProcessor { label: resource, operator, key, value, ttl, slot, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    resource: String,
    operator: String,
    key: Interpolated,
    value: Option<Interpolated>,
    ttl: Option<Interpolated>,
}

#[derive(Clone, Copy)]
enum Operator {
    Set,
    Add,
    Get,
    Delete,
    Exists,
}

impl Operator {
    fn parse(name: &str) -> Result<Self, BuildError> {
        Ok(match name {
            "set" => Self::Set,
            "add" => Self::Add,
            "get" => Self::Get,
            "delete" => Self::Delete,
            "exists" => Self::Exists,
            other => return Err(BuildError::new(format!("operator not recognised: {other}"))),
        })
    }
}

struct CacheProcessor {
    label: String,
    operator: Operator,
    key: Interpolated,
    value: Option<Interpolated>,
    ttl: Option<Interpolated>,
    slot: Slot<dyn Cache>,
    log: Log,
}

/// What becomes of the message.
enum Outcome {
    Unchanged,
    Content(Bytes),
    Found(bool),
}

impl CacheProcessor {
    async fn work(&self, batch: &[Message], index: usize) -> Result<Outcome, String> {
        let key = self
            .key
            .resolve_string(batch, index)
            .map_err(|error| format!("key interpolation error: {error}"))?;
        let value = match &self.value {
            Some(value) => {
                let value = value.resolve(batch, index);
                let value = value.map_err(|error| format!("value interpolation error: {error}"))?;
                Bytes::from(value)
            }
            None => Bytes::new(),
        };
        let ttl = self.ttl(batch, index)?;
        let cache =
            self.slot.get().ok_or_else(|| format!("cache resource '{}' was not found", self.label))?;
        let done = match self.operator {
            Operator::Set => cache.set(&key, value, ttl).await.map(|()| Outcome::Unchanged),
            Operator::Add => cache.add(&key, value, ttl).await.map(|()| Outcome::Unchanged),
            Operator::Get => cache.get(&key).await.map(Outcome::Content),
            Operator::Delete => cache.delete(&key).await.map(|()| Outcome::Unchanged),
            Operator::Exists => return Ok(Outcome::Found(cache.get(&key).await.is_ok())),
        };
        done.map_err(|error| match error {
            CacheError::Exists => format!("key already exists: {key}"),
            error => format!("operator failed for key '{key}': {error}"),
        })
    }

    fn ttl(&self, batch: &[Message], index: usize) -> Result<Option<Duration>, String> {
        let Some(ttl) = &self.ttl else { return Ok(None) };
        let text =
            ttl.resolve_string(batch, index).map_err(|error| format!("ttl interpolation error: {error}"))?;
        if text.is_empty() {
            return Ok(None);
        }
        let parsed =
            duration::parse_signed(&text).map_err(|error| format!("ttl must be a duration: {error}"))?;
        Ok(Some(if parsed.0 { Duration::ZERO } else { parsed.1 }))
    }
}

#[async_trait]
impl Processor for CacheProcessor {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        for index in 0..batch.len() {
            let outcome = self.work(&batch, index).await;
            let Some(message) = batch.get_mut(index) else { continue };
            match outcome {
                Ok(Outcome::Unchanged) => {}
                Ok(Outcome::Content(content)) => message.set_content(content),
                Ok(Outcome::Found(found)) => message.set_value(Value::Bool(found)),
                Err(text) => {
                    self.log.debug(format_args!("Processor failed: {text}"));
                    self.log.component().fail(message, text);
                }
            }
        }
        Ok(one(batch))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    fn step(operator: &str, more: &str) -> String {
        format!(
            "{{ cache: {{ resource: memory, operator: {operator}, key: '${{! content().slice(0, 1) }}'{more} }} }}"
        )
    }

    #[tokio::test]
    async fn operators() {
        // The test's context has a memory cache under this label.
        let all = [step("set", ", value: '${! content() }!'"), step("get", "")].join(", ");
        assert_eq!(shown(&run(&format!("processors: [ {all} ]"), &["ab", "cd"]).await), [["ab!", "cd!"]]);
        let all = [step("add", ", ttl: 1h"), step("delete", ""), step("exists", "")].join(", ");
        assert_eq!(shown(&run(&format!("processors: [ {all} ]"), &["ab"]).await), [["false"]]);
    }

    #[tokio::test]
    async fn failures() {
        let config = format!("processors: [ {}, {} ]", step("add", ""), step("add", ""));
        let out = run(&config, &["ab"]).await;
        let error = out[0][0].error().unwrap();
        assert_eq!((error.text.as_str(), error.name.as_str()), ("key already exists: a", "cache"));
        let out = run(&format!("processors: [ {} ]", step("get", "")), &["xy"]).await;
        assert_eq!(out[0][0].error().unwrap().text, "operator failed for key 'x': key does not exist");
        let out = run(&format!("processors: [ {} ]", step("set", ", ttl: soon")), &["ab"]).await;
        assert_eq!(
            out[0][0].error().unwrap().text,
            "ttl must be a duration: time: invalid duration \"soon\""
        );
    }
}

//! `ttlru`: a limited number of keys and values in the memory of this process, each for a time.

use super::recency::Recency;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    duration,
    field::Field,
    registry::CacheSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "ttlru",
    summary: "Keeps a limited number of values in memory for a time, those used most recently.",
    description: "Everything is lost when the process ends. All values live equally long, counted from their last write; the \
                  lifetime (`ttl`) that a writer asks for is ignored.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("cap", "How many keys it holds at most.").default("1024"),
        Field::duration("default_ttl", "How long a value lives.").default("5m0s"),
        Field::duration("ttl", "The old name of `default_ttl`.").optional().advanced(),
        Field::string("init_values", "Keys and values that are there from the start.").map().default("{}"),
        Field::bool("optimistic", "Accepted for old configs: `add` is always atomic here.")
            .default("false")
            .advanced(),
    ]),
    examples: &[Example { title: "The last minute", config: "default_ttl: 1m" }],
    build: |node, _| Ok(Box::new(Ttlru::new(node.read()?)?)),
};

#[derive(Deserialize)]
struct Config {
    cap: i64,
    default_ttl: String,
    ttl: Option<String>,
    init_values: BTreeMap<String, String>,
    #[expect(dead_code, reason = "accepted, but `add` is always atomic")]
    optimistic: bool,
}

struct Ttlru {
    cap: usize,
    ttl: Duration,
    values: Mutex<Recency<Item>>,
}

struct Item {
    value: Bytes,
    expires: Option<Instant>,
}

impl Ttlru {
    fn new(config: Config) -> Result<Self, BuildError> {
        let invalid = |what| BuildError::new(format!("invalid ttlru cache parameter {what}"));
        let cap = usize::try_from(config.cap).ok().filter(|cap| *cap > 0);
        let cap = cap.ok_or_else(|| invalid("capacity: must be bigger than 0"))?;
        let ttl = duration::parse(config.ttl.as_deref().unwrap_or(&config.default_ttl))
            .map_err(|error| BuildError::new(error).at("default_ttl"))?;
        if ttl.is_zero() {
            return Err(invalid("default_ttl: must be bigger than 0s"));
        }
        let cache = Self { cap, ttl, values: Mutex::default() };
        for (key, value) in config.init_values {
            cache.put(&mut cache.values(), &key, value.into());
        }
        Ok(cache)
    }

    fn values(&self) -> MutexGuard<'_, Recency<Item>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, values: &mut Recency<Item>, key: &str, value: Bytes) {
        values.put(key.into(), Item { value, expires: Instant::now().checked_add(self.ttl) });
        if values.len() > self.cap {
            values.pop_oldest();
        }
    }
}

/// The value under a key, which counts as a use; one whose time is up is removed.
fn live(values: &mut Recency<Item>, key: &str) -> Option<Bytes> {
    let item = values.touch(key)?;
    if item.expires.is_none_or(|expires| Instant::now() < expires) {
        return Some(item.value.clone());
    }
    values.remove(key);
    None
}

#[async_trait]
impl Cache for Ttlru {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        live(&mut self.values(), key).ok_or(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        self.put(&mut self.values(), key, value);
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let mut values = self.values();
        if live(&mut values, key).is_some() {
            return Err(CacheError::Exists);
        }
        self.put(&mut values, key, value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.values().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn values_end_by_time_and_by_number() {
        let init_values = [("a".to_owned(), "1".to_owned())].into();
        let config = Config { cap: 2, default_ttl: "1m".into(), ttl: None, init_values, optimistic: false };
        let cache = Ttlru::new(config).unwrap();
        assert_eq!(cache.add("a", Bytes::new(), None).await, Err(CacheError::Exists));
        cache.set("b", "2".into(), None).await.unwrap();
        assert_eq!(cache.get("a").await.unwrap(), "1");
        cache.set("c", "3".into(), None).await.unwrap();
        assert_eq!(cache.get("b").await, Err(CacheError::NotFound));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(cache.get("a").await, Err(CacheError::NotFound));
        assert_eq!(cache.add("c", "4".into(), None).await, Ok(()));
    }
}

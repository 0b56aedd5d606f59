//! `memory`: keys and values in the memory of this process, with lifetimes.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, RandomState},
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
    name: "memory",
    summary: "Keeps values in memory for a time.",
    description: "Everything is lost when the process ends. A value whose time is up is no longer found, but its key \
                  stays taken for `add` until the next compaction removes it. The number of keys is not limited: use \
                  `lru` where they come from outside.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::duration("default_ttl", "How long a value lives that is given no time of its own.").default("5m"),
        Field::duration(
            "compaction_interval",
            "The least time between two compactions, which happen when something is written. Empty: values live forever.",
        )
        .default("60s"),
        Field::string("init_values", "Keys and values that are there from the start, forever.").map().default("{}"),
        Field::int("shards", "Into how many independent parts the keys are spread, for many concurrent users.")
            .default("1")
            .advanced(),
    ]),
    examples: &[Example { title: "A lookup table", config: "init_values: { Nickelback: '1995', Spice Girls: '1994' }" }],
    build: |node, _| Ok(Box::new(Memory::new(node.read()?)?)),
};

#[derive(Deserialize)]
struct Config {
    default_ttl: String,
    compaction_interval: String,
    init_values: BTreeMap<String, String>,
    shards: i64,
}

/// More parts than this would only cost memory.
const MAX_SHARDS: i64 = 4096;

struct Memory {
    default_ttl: Duration,
    /// `None`: values live forever.
    compaction_interval: Option<Duration>,
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

struct Shard {
    items: HashMap<Box<str>, Item>,
    compacted: Instant,
}

struct Item {
    value: Bytes,
    /// `None`: never.
    expires: Option<Instant>,
}

impl Memory {
    fn new(config: Config) -> Result<Self, BuildError> {
        let parse = |name: &str, text: &str| {
            let failed =
                |reason| BuildError::new(format!("failed to parse '{name}' as a duration string: {reason}"));
            duration::parse(text).map_err(failed)
        };
        let default_ttl = parse("default_ttl", &config.default_ttl)?;
        let compaction_interval = match config.compaction_interval.as_str() {
            "" => None,
            text => Some(parse("compaction_interval", text)?).filter(|interval| !interval.is_zero()),
        };
        let shard = |_| Mutex::new(Shard { items: HashMap::new(), compacted: Instant::now() });
        let shards = (0..config.shards.clamp(1, MAX_SHARDS)).map(shard).collect();
        let memory = Self { default_ttl, compaction_interval, shards, hasher: RandomState::new() };
        for (key, value) in config.init_values {
            if let Some(mut shard) = memory.shard(&key) {
                shard.items.insert(key.into(), Item { value: value.into(), expires: None });
            }
        }
        Ok(memory)
    }

    fn shard(&self, key: &str) -> Option<MutexGuard<'_, Shard>> {
        let count = self.shards.len() as u64;
        let at = if count <= 1 { 0 } else { self.hasher.hash_one(key) % count };
        let shard = self.shards.get(usize::try_from(at).unwrap_or(0))?;
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn item(&self, value: Bytes, ttl: Option<Duration>) -> Item {
        Item { value, expires: Instant::now().checked_add(ttl.unwrap_or(self.default_ttl)) }
    }

    fn is_live(&self, item: &Item, now: Instant) -> bool {
        self.compaction_interval.is_none() || item.expires.is_none_or(|expires| expires >= now)
    }

    fn compact(&self, shard: &mut Shard) {
        let now = Instant::now();
        let Some(interval) = self.compaction_interval else { return };
        if now.duration_since(shard.compacted) >= interval {
            shard.items.retain(|_, item| self.is_live(item, now));
            shard.compacted = now;
        }
    }
}

#[async_trait]
impl Cache for Memory {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        let shard = self.shard(key).ok_or(CacheError::NotFound)?;
        let item = shard.items.get(key).filter(|item| self.is_live(item, Instant::now()));
        item.map(|item| item.value.clone()).ok_or(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let item = self.item(value, ttl);
        if let Some(mut shard) = self.shard(key) {
            self.compact(&mut shard);
            shard.items.insert(key.into(), item);
        }
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let item = self.item(value, ttl);
        if let Some(mut shard) = self.shard(key) {
            // Looked at before compacting: a key whose time is up is still taken, as in the reference.
            if shard.items.contains_key(key) {
                return Err(CacheError::Exists);
            }
            self.compact(&mut shard);
            shard.items.insert(key.into(), item);
        }
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        if let Some(mut shard) = self.shard(key) {
            self.compact(&mut shard);
            shard.items.remove(key);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(ttl: &str, interval: &str, shards: i64) -> Memory {
        let init_values = [("a".to_owned(), "one".to_owned())].into();
        Memory::new(Config {
            default_ttl: ttl.into(),
            compaction_interval: interval.into(),
            init_values,
            shards,
        })
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_value_is_gone_but_its_key_is_taken_until_compaction() {
        let cache = memory("20s", "60s", 3);
        assert_eq!(cache.add("k", "v".into(), None).await, Ok(()));
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(cache.get("k").await, Err(CacheError::NotFound));
        assert_eq!(cache.add("k", "w".into(), None).await, Err(CacheError::Exists));
        tokio::time::advance(Duration::from_secs(31)).await;
        assert_eq!(cache.delete("k").await, Ok(()));
        assert_eq!(cache.add("k", "w".into(), Some(Duration::from_secs(1))).await, Ok(()));
        assert_eq!(cache.get("a").await, Ok("one".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn without_compaction_values_live_forever() {
        let cache = memory("20s", "", 1);
        cache.set("k", "v".into(), None).await.unwrap();
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(cache.get("k").await, Ok("v".into()));
    }

    #[test]
    fn a_bad_duration_is_named() {
        let config = Config {
            default_ttl: "soon".into(),
            compaction_interval: "1s".into(),
            init_values: BTreeMap::new(),
            shards: 1,
        };
        let error = Memory::new(config).err().unwrap().to_string();
        assert_eq!(
            error,
            "failed to parse 'default_ttl' as a duration string: time: invalid duration \"soon\""
        );
    }
}

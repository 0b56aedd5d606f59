//! `lru`: a limited number of keys and values in the memory of this process.

mod adaptive;
mod two_queues;

use super::recency::Recency;
use adaptive::Adaptive;
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use two_queues::TwoQueues;
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    field::Field,
    registry::CacheSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "lru",
    summary: "Keeps a limited number of values in memory, those used most recently.",
    description: "Everything is lost when the process ends. Lifetimes (`ttl`) are ignored.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("cap", "How many keys it holds at most.").default("1000"),
        Field::string("init_values", "Keys and values that are there from the start.").map().default("{}"),
        Field::string(
            "algorithm",
            "What makes room: `standard` drops the key not used for longest; `arc` adapts to how often and how recently \
             keys were used; `two_queues` keeps keys used once apart from those used again.",
        )
        .options(&["arc", "standard", "two_queues"])
        .default("standard")
        .advanced(),
        Field::float("two_queues_recent_ratio", "The share of `cap` for keys used once, with `two_queues`.")
            .default("0.25")
            .optional()
            .advanced(),
        Field::float("two_queues_ghost_ratio", "How many dropped keys are remembered with `two_queues`, as a share of `cap`.")
            .default("0.5")
            .optional()
            .advanced(),
        Field::bool("optimistic", "Accepted for old configs: `add` is always atomic here.").default("false").advanced(),
    ]),
    examples: &[Example { title: "The last 1,024 keys", config: "cap: 1024" }],
    build: |node, _| Ok(Box::new(Lru::new(node.read()?)?)),
};

#[derive(Deserialize)]
struct Config {
    cap: i64,
    init_values: BTreeMap<String, String>,
    algorithm: String,
    two_queues_recent_ratio: Option<f64>,
    two_queues_ghost_ratio: Option<f64>,
    #[expect(dead_code, reason = "accepted, but `add` is always atomic")]
    optimistic: bool,
}

/// What decides which keys stay.
trait Evicting: Send {
    /// The value under a key, which counts as a use.
    fn get(&mut self, key: &str) -> Option<Bytes>;
    /// Whether there is a value, which does not count as a use.
    fn contains(&self, key: &str) -> bool;
    /// Puts a value, dropping another where room is needed.
    fn put(&mut self, key: Arc<str>, value: Bytes);
    /// Removes a key.
    fn remove(&mut self, key: &str);
}

/// The key not used for longest is dropped.
struct Standard {
    cap: usize,
    values: Recency<Bytes>,
}

impl Evicting for Standard {
    fn get(&mut self, key: &str) -> Option<Bytes> {
        self.values.touch(key).cloned()
    }

    fn contains(&self, key: &str) -> bool {
        self.values.contains(key)
    }

    fn put(&mut self, key: Arc<str>, value: Bytes) {
        self.values.put(key, value);
        if self.values.len() > self.cap {
            self.values.pop_oldest();
        }
    }

    fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }
}

struct Lru(Mutex<Box<dyn Evicting>>);

impl Lru {
    fn new(config: Config) -> Result<Self, BuildError> {
        let cap = usize::try_from(config.cap)
            .ok()
            .filter(|cap| *cap > 0)
            .ok_or_else(|| BuildError::new("invalid lru cache parameter capacity: must be bigger than 0"))?;
        let mut keys: Box<dyn Evicting> = match config.algorithm.as_str() {
            "standard" => Box::new(Standard { cap, values: Recency::default() }),
            "arc" => Box::new(Adaptive::new(cap)),
            "two_queues" => {
                let recent = config.two_queues_recent_ratio.unwrap_or(0.25);
                let ghost = config.two_queues_ghost_ratio.unwrap_or(0.5);
                for (name, ratio) in [("recent", recent), ("ghost", ghost)] {
                    if !(0.0..=1.0).contains(&ratio) {
                        return Err(BuildError::new(format!("invalid {name} ratio")));
                    }
                }
                Box::new(TwoQueues::new(cap, recent, ghost))
            }
            other => {
                return Err(BuildError::new(format!(
                    "algorithm {other:?} not supported. the supported values are \"standard\", \"arc\" and \"two_queues\""
                )));
            }
        };
        for (key, value) in config.init_values {
            keys.put(key.into(), value.into());
        }
        Ok(Self(Mutex::new(keys)))
    }

    fn keys(&self) -> MutexGuard<'_, Box<dyn Evicting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cache for Lru {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        self.keys().get(key).ok_or(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        self.keys().put(key.into(), value);
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        let mut keys = self.keys();
        if keys.contains(key) {
            return Err(CacheError::Exists);
        }
        keys.put(key.into(), value);
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.keys().remove(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lru(cap: i64, algorithm: &str) -> Result<Lru, BuildError> {
        Lru::new(Config {
            cap,
            init_values: BTreeMap::new(),
            algorithm: algorithm.into(),
            two_queues_recent_ratio: None,
            two_queues_ghost_ratio: None,
            optimistic: false,
        })
    }

    #[tokio::test]
    async fn what_was_used_again_stays() {
        for algorithm in ["standard", "arc"] {
            let cache = lru(2, algorithm).unwrap();
            cache.set("a", "1".into(), None).await.unwrap();
            cache.set("b", "2".into(), None).await.unwrap();
            cache.get("a").await.unwrap();
            cache.set("c", "3".into(), None).await.unwrap();
            assert_eq!(cache.get("a").await, Ok("1".into()), "{algorithm}");
            assert_eq!(cache.get("b").await, Err(CacheError::NotFound), "{algorithm}");
            assert_eq!(cache.add("c", "4".into(), None).await, Err(CacheError::Exists), "{algorithm}");
        }
    }

    #[tokio::test]
    async fn the_number_of_keys_is_limited() {
        for algorithm in ["standard", "arc", "two_queues"] {
            let cache = lru(10, algorithm).unwrap();
            for round in 0..3 {
                for number in 0..100 {
                    let key = (number * (round + 1) % 37).to_string();
                    cache.set(&key, key.clone().into(), None).await.unwrap();
                    assert_eq!(cache.get(&key).await, Ok(key.clone().into()), "{algorithm}");
                }
            }
            let keys = cache.keys();
            let left = (0..37).filter(|key| keys.contains(&key.to_string())).count();
            assert!((1..=10).contains(&left), "{algorithm} {left}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let error = |cap, algorithm| lru(cap, algorithm).err().unwrap().to_string();
        assert_eq!(error(0, "standard"), "invalid lru cache parameter capacity: must be bigger than 0");
        assert!(error(1, "fifo").starts_with("algorithm \"fifo\" not supported"));
    }
}

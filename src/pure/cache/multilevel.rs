//! `multilevel`: several caches, one before the other.

use crate::log::Log;
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use weir_core::{
    build_error::BuildError,
    cache::{Cache, CacheError},
    error::Error,
    field::Field,
    registry::CacheSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "multilevel",
    summary: "Reads several caches in order until one has the key, and writes to all of them.",
    description: "A value that only a later cache had is put into those before it. `add` asks the last cache, which decides, \
                  once none before it has the key.",
    status: Status::Stable,
    body: Body::List(Field::string("", "Labels of the caches, the fastest first; at least two.")),
    // Resources must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let labels: Vec<String> = node.read()?;
        if labels.len() < 2 {
            return Err(BuildError::new(format!(
                "expected at least two cache levels, found {}",
                labels.len()
            )));
        }
        let mut levels = Vec::with_capacity(labels.len());
        for label in labels {
            let slot = context.cache(&label)?;
            levels.push(Level { label, slot });
        }
        Ok(Box::new(Multilevel { levels, log: Log::new(context) }))
    },
};

struct Level {
    label: String,
    slot: Slot<dyn Cache>,
}

impl Level {
    fn cache(&self) -> Result<Arc<dyn Cache>, CacheError> {
        let missing = || format!("unable to access cache '{}': it does not exist", self.label);
        self.slot.get().ok_or_else(|| CacheError::Other(Error::Failed(missing())))
    }
}

struct Multilevel {
    levels: Vec<Level>,
    log: Log,
}

impl Multilevel {
    /// Puts a value into caches that missed it; that they fail hurts nobody.
    async fn pass_up(&self, levels: &[Level], key: &str, value: &Bytes) {
        for level in levels {
            let put = match level.cache() {
                Ok(cache) => cache.set(key, value.clone(), None).await,
                Err(error) => Err(error),
            };
            if let Err(error) = put {
                let label = &level.label;
                self.log
                    .error(format_args!("Unable to passively set key '{key}' for cache '{label}': {error}"));
            }
        }
    }
}

#[async_trait]
impl Cache for Multilevel {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        for (at, level) in self.levels.iter().enumerate() {
            match level.cache()?.get(key).await {
                Ok(value) => {
                    self.pass_up(self.levels.get(..at).unwrap_or_default(), key, &value).await;
                    return Ok(value);
                }
                Err(CacheError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Err(CacheError::NotFound)
    }

    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        for level in &self.levels {
            level.cache()?.set(key, value.clone(), ttl).await?;
        }
        Ok(())
    }

    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError> {
        let Some((last, before)) = self.levels.split_last() else { return Ok(()) };
        for level in before {
            match level.cache()?.get(key).await {
                Ok(_) => return Err(CacheError::Exists),
                Err(CacheError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        last.cache()?.add(key, value.clone(), ttl).await?;
        self.pass_up(before, key, &value).await;
        Ok(())
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        for level in &self.levels {
            match level.cache()?.delete(key).await {
                Ok(()) | Err(CacheError::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

//! `noop`: a cache that holds nothing.

use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;
use weir_core::{
    cache::{Cache, CacheError},
    registry::CacheSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "noop",
    summary: "Holds nothing: every write succeeds, no key is ever found.",
    description: "",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Nothing", config: "{}" }],
    build: |_, _| Ok(Box::new(Noop)),
};

struct Noop;

#[async_trait]
impl Cache for Noop {
    async fn get(&self, _: &str) -> Result<Bytes, CacheError> {
        Err(CacheError::NotFound)
    }

    async fn set(&self, _: &str, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        Ok(())
    }

    async fn add(&self, _: &str, _: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), CacheError> {
        Ok(())
    }
}

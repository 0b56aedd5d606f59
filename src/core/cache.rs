//! Caches: keys and values that components share.

use crate::error::Error;
use async_trait::async_trait;
use bytes::Bytes;
use std::time::Duration;

/// Why a cache did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CacheError {
    /// No value under this key.
    NotFound,
    /// `add` found a value under this key.
    Exists,
    /// Anything else.
    Other(Error),
}

impl std::fmt::Display for CacheError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotFound => f.write_str("key does not exist"),
            Self::Exists => f.write_str("key already exists"),
            Self::Other(error) => error.fmt(f),
        }
    }
}

/// A key-value store.
#[async_trait]
pub trait Cache: Send + Sync {
    /// The value under a key.
    async fn get(&self, key: &str) -> Result<Bytes, CacheError>;
    /// Puts a value, replacing what was there; `ttl` where the cache knows lifetimes.
    async fn set(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError>;
    /// Puts a value unless one is there.
    async fn add(&self, key: &str, value: Bytes, ttl: Option<Duration>) -> Result<(), CacheError>;
    /// Removes a key; it is no error if there is none.
    async fn delete(&self, key: &str) -> Result<(), CacheError>;
    /// Frees what it holds.
    async fn close(&self) {}
}

//! Rate limits: how often something may happen across the components that share one.

use crate::error::Error;
use async_trait::async_trait;
use std::time::Duration;

/// Bounds how often something may happen.
#[async_trait]
pub trait RateLimit: Send + Sync {
    /// Takes one permit: `None`, or how long to wait before asking again.
    async fn access(&self) -> Result<Option<Duration>, Error>;
}

//! `local`: at most `count` accesses every `interval`, shared by the components of this process.

use async_trait::async_trait;
use serde::Deserialize;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use weir_core::{
    build_error::BuildError,
    duration,
    error::Error,
    field::Field,
    rate_limit::RateLimit,
    registry::RateLimitSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: RateLimitSpec = RateLimitSpec {
    name: "local",
    summary: "Allows `count` accesses every `interval`.",
    description: "The intervals are fixed windows: accesses within one are not spread out.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("count", "How many accesses an interval allows.").default("1000"),
        Field::duration("interval", "How long an interval is.").default("1s"),
    ]),
    examples: &[Example { title: "Ten a second", config: "count: 10" }],
    build: |node, _| Ok(Box::new(Local::new(&node.read()?)?)),
};

#[derive(Deserialize)]
struct Config {
    count: i64,
    interval: String,
}

struct Local {
    count: u64,
    interval: Duration,
    window: Mutex<Window>,
}

struct Window {
    left: u64,
    began: Instant,
}

impl Local {
    fn new(config: &Config) -> Result<Self, BuildError> {
        let interval = duration::parse(&config.interval).ok().filter(|interval| !interval.is_zero());
        let interval = interval.ok_or_else(|| {
            let reason = duration::parse(&config.interval)
                .err()
                .unwrap_or_else(|| "it must be longer than zero".into());
            BuildError::new(format!("failed to parse 'interval' as a duration string: {reason}"))
        })?;
        let count = u64::try_from(config.count).ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| BuildError::new("count must be larger than zero"))?;
        Ok(Self { count, interval, window: Mutex::new(Window { left: count, began: Instant::now() }) })
    }
}

#[async_trait]
impl RateLimit for Local {
    async fn access(&self) -> Result<Option<Duration>, Error> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.left == 0 {
            let wait = self.interval.saturating_sub(window.began.elapsed());
            if !wait.is_zero() {
                return Ok(Some(wait));
            }
            *window = Window { left: self.count, began: Instant::now() };
        }
        window.left -= 1;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_new_window_opens_after_the_interval() {
        let limit = Local::new(&Config { count: 2, interval: "10s".into() }).unwrap();
        assert_eq!(limit.access().await, Ok(None));
        tokio::time::advance(Duration::from_secs(4)).await;
        assert_eq!(limit.access().await, Ok(None));
        assert_eq!(limit.access().await, Ok(Some(Duration::from_secs(6))));
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(limit.access().await, Ok(None));
        assert_eq!(limit.access().await, Ok(None));
        assert_eq!(limit.access().await, Ok(Some(Duration::from_secs(10))));
    }

    #[test]
    fn limits_that_would_block_forever_are_refused() {
        for (count, interval) in [(0, "1s"), (-1, "1s"), (1, "soon"), (1, "0s"), (1, "")] {
            assert!(Local::new(&Config { count, interval: interval.into() }).is_err(), "{count} {interval}");
        }
    }
}

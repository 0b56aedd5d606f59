//! Failed logins, counted by address: who fails often waits.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// Failures of one address within [`WINDOW`] that are borne.
const BORNE: u32 = 10;
/// How long failures count, from the first on.
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses remembered. Those beyond share one count.
const KEPT: usize = 1000;

/// When the first failure was, and how many there were.
type Count = (Instant, u32);

/// Who failed, and how often.
#[derive(Default)]
pub(super) struct Failures {
    counts: Mutex<HashMap<Option<IpAddr>, Count>>,
    /// Of all addresses, since the start.
    pub(super) total: AtomicU64,
}

impl Failures {
    fn all(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Count>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long this address must wait, if it must.
    pub(super) fn wait(&self, peer: Option<IpAddr>) -> Option<Duration> {
        let all = self.all();
        let known = if all.len() > KEPT { all.get(&peer).or_else(|| all.get(&None)) } else { all.get(&peer) };
        let (since, count) = known?;
        WINDOW.checked_sub(since.elapsed()).filter(|_| *count >= BORNE)
    }

    /// Counts a failure; whether it is the one that is too many.
    pub(super) fn add(&self, peer: Option<IpAddr>) -> bool {
        self.total.fetch_add(1, Ordering::Relaxed);
        let mut all = self.all();
        if all.len() >= KEPT && !all.contains_key(&peer) {
            all.retain(|_, (since, _)| since.elapsed() < WINDOW);
        }
        let peer = if all.len() >= KEPT && !all.contains_key(&peer) { None } else { peer };
        let (since, count) = all.entry(peer).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
        *count == BORNE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn who_fails_often_waits_and_nobody_else() {
        let failures = Failures::default();
        let said: Vec<bool> = (0..BORNE + 2).map(|_| failures.add(Some(address(1)))).collect();
        assert_eq!(said.iter().filter(|said| **said).count(), 1);
        assert!(failures.wait(Some(address(1))).is_some());
        assert!(failures.wait(Some(address(2))).is_none());
        tokio::time::advance(WINDOW + Duration::from_secs(1)).await;
        assert!(failures.wait(Some(address(1))).is_none());
        assert!(!failures.add(Some(address(1))), "the count begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded() {
        let failures = Failures::default();
        for number in 0..10 * u32::try_from(KEPT).unwrap() {
            failures.add(Some(address(number)));
        }
        assert!(failures.all().len() <= KEPT + 1);
        assert!(failures.wait(Some(address(u32::MAX))).is_some(), "those beyond share one count");
    }
}

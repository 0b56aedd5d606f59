//! How long to wait before trying again.

use rand::RngExt;
use std::time::Duration;

/// A growing, jittered wait. It keeps no clock: the caller waits.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    factor: f64,
    /// Share of the wait that is random, 0 to 1.
    jitter: f64,
    next: Duration,
}

impl Backoff {
    /// Starts at `first` and grows by `factor` up to `longest`.
    pub fn new(first: Duration, longest: Duration, factor: f64, jitter: f64) -> Self {
        Self { first, longest, factor, jitter, next: first }
    }

    /// Of an input that could not connect: 100 ms to 1 s.
    pub fn input() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(1), 1.5, 0.5)
    }

    /// Of an output that could not connect: 500 ms to 1 s.
    pub fn output() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(1), 1.5, 0.5)
    }

    /// The next wait.
    pub fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.mul_f64(self.factor).min(self.longest);
        if self.jitter == 0.0 {
            return wait;
        }
        wait.mul_f64(1.0 + self.jitter * (rand::rng().random::<f64>() * 2.0 - 1.0))
    }

    /// It worked: begin anew.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit_and_begins_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(200), 1.5, 0.0);
        let waits: Vec<_> = (0..4).map(|_| backoff.wait().as_millis()).collect();
        assert_eq!(waits, [100, 150, 200, 200]);
        backoff.reset();
        assert_eq!(backoff.wait().as_millis(), 100);
    }
}

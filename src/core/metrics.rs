//! Counters and timers of components.
//!
//! A component's counters are one array of atomics, made when it is built; its timer's histogram is made at the
//! first sample. What is never touched costs a few dozen bytes.

use crate::{component::Component, view::Gathered};
use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// One counter of a kind of component: name, and labels of its own.
pub type CounterName = (&'static str, &'static [(&'static str, &'static str)]);

/// The counters and the timer that a kind of component has.
#[derive(Debug)]
pub struct Family {
    /// The counters, in the order of their indexes.
    pub counters: &'static [CounterName],
    /// The timer; empty: none.
    pub timer: &'static str,
}

/// The counters of one component.
#[derive(Debug)]
pub struct Series {
    /// Whose they are.
    pub component: Arc<Component>,
    /// What they are called.
    pub family: &'static Family,
    counts: Box<[AtomicU64]>,
    timer: OnceLock<Box<Histogram>>,
}

impl Series {
    /// Adds to a counter of the family.
    pub fn add(&self, counter: usize, count: u64) {
        if let Some(cell) = self.counts.get(counter) {
            cell.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Adds a sample to the timer.
    pub fn time(&self, took: Duration) {
        self.timer.get_or_init(Box::default).add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    /// A counter's value.
    pub fn count(&self, counter: usize) -> u64 {
        self.counts.get(counter).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// The timer's samples, if there was any.
    pub fn timer(&self) -> Option<&Histogram> {
        self.timer.get().map(|histogram| &**histogram)
    }
}

/// All series of one stream, or of the shared resources.
#[derive(Debug, Default)]
pub struct Metrics(Arc<Gathered<Series>>);

impl Metrics {
    /// Makes the counters of a component.
    pub fn series(&self, component: &Arc<Component>, family: &'static Family) -> Arc<Series> {
        let counts = family.counters.iter().map(|_| AtomicU64::new(0)).collect();
        let series =
            Arc::new(Series { component: Arc::clone(component), family, counts, timer: OnceLock::new() });
        self.0.push(Arc::clone(&series));
        series
    }

    /// Every series, in the order of construction, those of parts last.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.0.all()
    }

    /// Adds all series of a part, for as long as it lives.
    pub fn join(&self, part: &Self) {
        self.0.join(&part.0);
    }
}

const SUB_BITS: u32 = 2;
const BUCKETS: usize = 64 << SUB_BITS;

/// A log-linear histogram of nanoseconds: four steps an octave, 2 KiB.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    fn add(&self, value: u64) {
        if let Some(cell) = self.buckets.get(bucket(value)) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The number of samples.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    /// The sum of all samples, nanoseconds.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The value below which the share `q` (0 to 1) of the samples lies, nanoseconds, to within a quarter.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share"
    )]
    pub fn quantile(&self, q: f64) -> u64 {
        let wanted = (self.count() as f64 * q).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, cell) in self.buckets.iter().enumerate() {
            seen += cell.load(Ordering::Relaxed);
            if seen >= wanted {
                return upper(index);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let octave = (value | (1 << SUB_BITS)).ilog2();
    let step = (value >> (octave - SUB_BITS)) & ((1 << SUB_BITS) - 1);
    (((octave - SUB_BITS + u32::from(value >= 1 << SUB_BITS)) as usize) << SUB_BITS)
        + usize::try_from(step).unwrap_or(0)
}

/// The largest value of a bucket.
fn upper(index: usize) -> u64 {
    let (octave, step) = (index >> SUB_BITS, (index & ((1 << SUB_BITS) - 1)) as u64);
    if octave == 0 {
        return step;
    }
    let width = u32::try_from(octave - 1).unwrap_or(63);
    (((1 << SUB_BITS) + step + 1) << width) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_a_quarter_wide() {
        let mut last = None;
        for value in (0..2000).chain([1 << 20, 1 << 40, u64::MAX >> 1]) {
            let index = bucket(value);
            assert!(last.is_none_or(|last| last <= index), "{value}");
            assert!(
                upper(index) >= value && upper(index) <= value + value / 4 + 1,
                "{value} {}",
                upper(index)
            );
            last = Some(index);
        }
    }

    #[test]
    fn quantiles_come_from_the_samples() {
        let histogram = Histogram::default();
        (1..=100).for_each(|n| histogram.add(n * 1000));
        assert_eq!(histogram.count(), 100);
        assert!((40_000..=63_000).contains(&histogram.quantile(0.5)), "{}", histogram.quantile(0.5));
    }
}

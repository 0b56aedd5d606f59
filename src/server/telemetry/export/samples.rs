//! What is counted, one value after the other, and what was added since the last time.

use crate::telemetry::{
    metrics::{Group, Value as Counted},
    renames::{Labels as Shown, Renames},
};
use std::collections::{BTreeMap, HashMap};
use weir_core::metrics::Histogram;

/// The labels of a sample.
pub(super) type Labels = BTreeMap<String, String>;

/// What one metric with one set of labels stands at.
pub(super) enum Value {
    Counter(f64),
    Gauge(f64),
    Timer(Timer),
}

/// The samples of a timer, nanoseconds.
#[derive(Default)]
pub(super) struct Timer {
    pub(super) count: u64,
    pub(super) sum: u64,
    /// By [`QUANTILES`].
    pub(super) quantiles: [u64; QUANTILES.len()],
    /// Upper bounds of samples, and how many there are up to each.
    pub(super) buckets: Vec<(u64, u64)>,
}

/// The quantiles of a timer.
pub(super) const QUANTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p75", 0.75), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999)];

impl Timer {
    fn of(histogram: &Histogram) -> Self {
        Self {
            count: histogram.count(),
            sum: histogram.sum(),
            quantiles: QUANTILES.map(|(_, q)| histogram.quantile(q)),
            buckets: histogram.buckets().collect(),
        }
    }
}

/// Everything by name and labels, named anew where the config says so; of what is then alike, counters are added up.
/// `zeros`: also what has counted nothing yet. Blocks for long where there are many streams.
pub(super) fn collect(
    groups: &[Group],
    renames: Option<&Renames>,
    zeros: bool,
) -> BTreeMap<(String, Labels), Value> {
    let mut all = BTreeMap::new();
    let mut add = |name: &str, labels: Shown<'_>, value: Value| {
        let Some((name, labels)) = Renames::apply(renames, name, labels) else { return };
        let labels = labels.into_iter().map(|(name, value)| (name.into_owned(), value.into_owned()));
        let key = (name.into_owned(), labels.collect::<Labels>());
        match (all.get_mut(&key), &value) {
            (Some(Value::Counter(known)), Value::Counter(more)) => *known += more,
            _ => drop(all.insert(key, value)),
        }
    };
    for group in groups {
        let mut show = |name: &str, labels: Shown<'_>, value: Counted<'_>| match value {
            Counted::Counter(count) => add(name, labels, Value::Counter(count)),
            Counted::Gauge(value) => add(name, labels, Value::Gauge(value)),
            Counted::Timer(None) => {}
            Counted::Timer(Some(timer)) => add(name, labels, Value::Timer(Timer::of(timer))),
        };
        group.each_series(zeros, &mut show);
        group.each_custom(&mut show);
    }
    all
}

/// Counts as they were the last time, to tell what was added since.
#[derive(Default)]
pub(super) struct Before {
    last: HashMap<String, f64>,
    now: HashMap<String, f64>,
}

impl Before {
    /// What was added to a count; one that has begun anew is counted from 0.
    pub(super) fn added(&mut self, key: String, count: f64) -> f64 {
        let before = self.last.get(&key).copied().unwrap_or(0.0);
        self.now.insert(key, count);
        if count < before { count } else { count - before }
    }

    /// Everything there is was seen; what was not is forgotten.
    pub(super) fn turn(&mut self) {
        self.last = std::mem::take(&mut self.now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_told_and_what_is_gone_forgotten() {
        let mut before = Before::default();
        let mut added = |pairs: &[(&str, f64)]| -> Vec<u64> {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small numbers")]
            let added = pairs.iter().map(|(key, count)| before.added((*key).into(), *count) as u64).collect();
            before.turn();
            added
        };
        assert_eq!(added(&[("a", 3.0)]), [3]);
        assert_eq!(added(&[("a", 5.0), ("b", 1.0)]), [2, 1]);
        assert_eq!(added(&[("a", 1.0)]), [1]);
        assert_eq!(added(&[("b", 1.0)]), [1]);
    }
}

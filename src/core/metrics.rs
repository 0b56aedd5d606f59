//! Counters and timers of components.
//!
//! A component's counters are one array of atomics, made when it is built; its timer's histogram is made at the
//! first sample. What is never touched costs a few dozen bytes.

use crate::{component::Component, status::now, view::Gathered};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
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
    fault: OnceLock<Box<Mutex<Fault>>>,
}

/// What went wrong in a component.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fault {
    /// When it did so last, in milliseconds since 1970.
    pub time: u64,
    /// What was said.
    pub message: String,
    /// How often in a row.
    pub count: u64,
    /// When it was last counted as news.
    noted: u64,
}

/// Counts what is new of all faults of this process.
static FAULTS: AtomicU64 = AtomicU64::new(0);
/// The same fault again is news after so many milliseconds.
const NEWS_AFTER: u64 = 10_000;

/// How often something went wrong in another way than before, or went on doing so: while this stays, no component
/// need be asked.
pub fn faults() -> u64 {
    FAULTS.load(Ordering::Acquire)
}

impl Series {
    fn new(component: Arc<Component>, family: &'static Family) -> Self {
        let counts = family.counters.iter().map(|_| AtomicU64::new(0)).collect();
        Self { component, family, counts, timer: OnceLock::new(), fault: OnceLock::new() }
    }

    /// What series of one family have counted together, under the first's component; `None` of none.
    pub fn joined(parts: &[Arc<Self>]) -> Option<Arc<Self>> {
        let (first, rest) = parts.split_first()?;
        if rest.is_empty() {
            return Some(Arc::clone(first));
        }
        let joined = Self::new(Arc::clone(&first.component), first.family);
        for part in parts {
            (0..part.counts.len()).for_each(|counter| joined.add(counter, part.count(counter)));
            if let Some(timer) = part.timer() {
                joined.timer.get_or_init(Box::default).join(timer);
            }
        }
        Some(Arc::new(joined))
    }

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

    /// Notes that something went wrong, so many times.
    pub fn fault(&self, message: &str, count: u64) {
        let mut fault = self.fault.get_or_init(Box::default).lock().unwrap_or_else(PoisonError::into_inner);
        fault.time = now();
        if fault.message == message && fault.count > 0 {
            fault.count += count;
        } else {
            message.clone_into(&mut fault.message);
            (fault.count, fault.noted) = (count, 0);
        }
        if fault.time >= fault.noted + NEWS_AFTER {
            fault.noted = fault.time;
            FAULTS.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// What went wrong last, if anything did.
    pub fn last_fault(&self) -> Option<Fault> {
        let fault = self.fault.get()?.lock().unwrap_or_else(PoisonError::into_inner);
        Some(fault.clone())
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

/// What the samples of a [`Custom`] metric do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// They are added up.
    Counter,
    /// The last one stands.
    Gauge,
    /// They are durations in nanoseconds.
    Timer,
}

/// A metric that a config defines, its labels filled from messages.
#[derive(Debug)]
pub struct Custom {
    /// Whose it is.
    pub component: Arc<Component>,
    /// What it is called.
    pub name: String,
    /// What its samples do.
    pub measure: Measure,
    /// The names of its labels.
    pub labels: Vec<String>,
    cells: RwLock<BTreeMap<Vec<String>, Cell>>,
}

/// The samples of one set of label values.
#[derive(Debug)]
pub enum Cell {
    /// Of a counter or gauge: the bits of a float.
    Number(AtomicU64),
    /// Of a timer.
    Timer(Box<Histogram>),
}

/// Most sets of label values that one metric keeps: an id as a label must not cost the process its memory.
pub const MAX_LABEL_SETS: usize = 2000;

impl Custom {
    /// A metric without samples.
    pub fn new(component: Arc<Component>, name: String, measure: Measure, labels: Vec<String>) -> Self {
        let custom = Self { component, name, measure, labels, cells: RwLock::default() };
        // Without labels there is one set of them, which shows from the start.
        if custom.labels.is_empty() {
            custom.cells.write().unwrap_or_else(PoisonError::into_inner).insert(Vec::new(), custom.cell());
        }
        custom
    }

    fn cell(&self) -> Cell {
        match self.measure {
            Measure::Counter | Measure::Gauge => Cell::Number(AtomicU64::new(0)),
            Measure::Timer => Cell::Timer(Box::default()),
        }
    }

    /// Takes in a sample that is not negative; false when there are too many sets of label values.
    pub fn record(&self, values: Vec<String>, sample: f64) -> bool {
        if let Some(cell) = self.cells.read().unwrap_or_else(PoisonError::into_inner).get(&values) {
            cell.record(self.measure, sample);
            return true;
        }
        let mut cells = self.cells.write().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= MAX_LABEL_SETS && !cells.contains_key(&values) {
            return false;
        }
        cells.entry(values).or_insert_with(|| self.cell()).record(self.measure, sample);
        true
    }

    /// Shows each set of label values with its samples.
    pub fn each(&self, mut show: impl FnMut(&[String], &Cell)) {
        let cells = self.cells.read().unwrap_or_else(PoisonError::into_inner);
        cells.iter().for_each(|(values, cell)| show(values, cell));
    }
}

impl Cell {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "nanoseconds")]
    fn record(&self, measure: Measure, sample: f64) {
        match self {
            Self::Timer(histogram) => histogram.add(sample as u64),
            Self::Number(bits) => {
                let next =
                    |old| if measure == Measure::Counter { f64::from_bits(old) + sample } else { sample };
                // It always succeeds.
                let _was =
                    bits.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(next(old).to_bits()));
            }
        }
    }
}

/// All that is counted of one stream, or of the shared resources.
#[derive(Debug, Default)]
pub struct Metrics {
    series: Arc<Gathered<Series>>,
    custom: Arc<Gathered<Custom>>,
}

impl Metrics {
    /// Makes the counters of a component.
    pub fn series(&self, component: &Arc<Component>, family: &'static Family) -> Arc<Series> {
        let series = Arc::new(Series::new(Arc::clone(component), family));
        self.series.push(Arc::clone(&series));
        series
    }

    /// Makes a metric that a config defines.
    pub fn custom(
        &self,
        component: &Arc<Component>,
        name: String,
        measure: Measure,
        labels: Vec<String>,
    ) -> Arc<Custom> {
        let custom = Arc::new(Custom::new(Arc::clone(component), name, measure, labels));
        self.custom.push(Arc::clone(&custom));
        custom
    }

    /// Every series, in the order of construction, those of parts last.
    pub fn all(&self) -> Vec<Arc<Series>> {
        self.series.all()
    }

    /// Every metric that the config defines.
    pub fn all_custom(&self) -> Vec<Arc<Custom>> {
        self.custom.all()
    }

    /// Adds all of a part, for as long as it lives.
    pub fn join(&self, part: &Self) {
        self.series.join(&part.series);
        self.custom.join(&part.custom);
    }
}

const SUB_BITS: u32 = 2;
const BUCKETS: usize = 64 << SUB_BITS;

/// A log-linear histogram of nanoseconds: four steps an octave, 2 KiB.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    most: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            sum: AtomicU64::new(0),
            most: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    fn add(&self, value: u64) {
        if let Some(cell) = self.buckets.get(bucket(value)) {
            cell.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        self.most.fetch_max(value, Ordering::Relaxed);
    }

    fn join(&self, other: &Self) {
        for (cell, more) in self.buckets.iter().zip(&other.buckets) {
            cell.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum(), Ordering::Relaxed);
        self.most.fetch_max(other.most.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The number of samples.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|cell| cell.load(Ordering::Relaxed)).sum()
    }

    /// The sum of all samples, nanoseconds.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Upper bounds of samples, nanoseconds, and how many there are up to each and above the one before; none where
    /// there are none.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.buckets.iter().map(|cell| cell.load(Ordering::Relaxed)).enumerate();
        counts.filter(|(_, count)| *count > 0).map(|(index, count)| (upper(index), count))
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
                return upper(index).min(self.most.load(Ordering::Relaxed));
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
        assert_eq!(histogram.quantile(1.0), 100_000);
    }

    #[test]
    fn label_sets_are_bounded() {
        let custom = Custom::new(Arc::default(), "m".into(), Measure::Counter, vec!["k".into()]);
        let recorded = (0..=MAX_LABEL_SETS).filter(|n| custom.record(vec![n.to_string()], 1.0)).count();
        assert_eq!(recorded, MAX_LABEL_SETS);
        assert!(custom.record(vec!["0".into()], 1.5));
        let mut shown = Vec::new();
        custom.each(|values, cell| {
            if let (["0"], Cell::Number(bits)) =
                (&*values.iter().map(String::as_str).collect::<Vec<_>>(), cell)
            {
                shown.push(f64::from_bits(bits.load(Ordering::Relaxed)));
            }
        });
        assert_eq!(shown, [2.5]);
    }
}

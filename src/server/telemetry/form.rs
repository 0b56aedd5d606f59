//! How the text for Prometheus looks, as `metrics.prometheus` says.

use serde::Deserialize;
use std::fs::read_to_string;
use weir_config::Node;
use weir_core::{kind::Kind, metrics::Histogram, prepare, registry::Registry};

/// What is shown of a timer.
#[derive(Debug)]
pub(crate) enum Timing {
    /// These quantiles of its samples, in nanoseconds.
    Quantiles(Vec<f64>),
    /// How many samples are up to each of these bounds, in seconds.
    Bounds(Vec<f64>),
}

impl Default for Timing {
    fn default() -> Self {
        Self::Quantiles(vec![0.5, 0.9, 0.99])
    }
}

impl Timing {
    /// What a type of metric is called.
    pub(crate) fn kind(&self) -> &'static str {
        if matches!(self, Self::Quantiles(_)) { "summary" } else { "histogram" }
    }

    /// The value at each quantile, or the count up to each bound. Samples that are in doubt, for a timer knows them to
    /// within a quarter, count above a bound.
    #[expect(clippy::cast_precision_loss, reason = "nanoseconds")]
    pub(crate) fn steps(&self, timer: &Histogram) -> Vec<u64> {
        match self {
            Self::Quantiles(quantiles) => quantiles.iter().map(|q| timer.quantile(*q)).collect(),
            Self::Bounds(bounds) => {
                let below = |bound: &f64| {
                    let found = timer.buckets().filter(|(upper, _)| *upper as f64 <= bound * 1e9);
                    found.map(|(_, count)| count).sum()
                };
                bounds.iter().map(below).collect()
            }
        }
    }

    /// Adds the steps of another timer: counts add up; of quantiles the larger one stands.
    pub(crate) fn join(&self, steps: &mut [u64], more: &[u64]) {
        for (step, more) in steps.iter_mut().zip(more) {
            *step = if matches!(self, Self::Bounds(_)) { *step + more } else { (*step).max(*more) };
        }
    }
}

/// How the text looks.
#[derive(Debug, Default)]
pub(crate) struct Form {
    /// What is shown of timers.
    pub(crate) timing: Timing,
    /// Whether the process itself is measured.
    process: bool,
}

#[derive(Deserialize)]
struct Config {
    use_histogram_timing: bool,
    histogram_buckets: Vec<f64>,
    summary_quantiles_objectives: Vec<Objective>,
    add_process_metrics: bool,
}

#[derive(Deserialize)]
struct Objective {
    quantile: f64,
    #[expect(dead_code, reason = "a timer's error is always the same")]
    error: f64,
}

/// The bounds where none are chosen, in seconds.
const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Ticks of the clock that the system counts processor time in.
const TICKS: f64 = 100.0;

impl Form {
    /// The form that the section `metrics` asks for.
    pub(crate) fn new(metrics: &Node, registry: &Registry) -> Result<Self, String> {
        let (Some(given), Some(spec)) =
            (metrics.get("prometheus"), registry.outline(Kind::Metrics, "prometheus"))
        else {
            return Ok(Self::default());
        };
        let failed = |error: &dyn std::fmt::Display| format!("metrics.prometheus: {error}");
        let body = prepare::body(&spec.body, given).map_err(|error| failed(&error))?;
        let read = [
            "use_histogram_timing",
            "histogram_buckets",
            "summary_quantiles_objectives",
            "add_process_metrics",
        ];
        let read = read.iter().filter_map(|name| Some((Node::string(*name), body.get(name)?.clone())));
        let config: Config = Node::map(read.collect()).read().map_err(|error| failed(&error))?;
        let timing = if config.use_histogram_timing {
            let mut bounds = config.histogram_buckets;
            bounds.sort_by(f64::total_cmp);
            Timing::Bounds(if bounds.is_empty() { BOUNDS.to_vec() } else { bounds })
        } else {
            Timing::Quantiles(
                config.summary_quantiles_objectives.iter().map(|objective| objective.quantile).collect(),
            )
        };
        Ok(Self { timing, process: config.add_process_metrics })
    }

    /// What is measured of the process, if it is asked for and the system tells.
    pub(crate) fn process(&self) -> String {
        if !self.process {
            return String::new();
        }
        let (stat, status) = (read_to_string("/proc/self/stat"), read_to_string("/proc/self/status"));
        let (stat, status) = (stat.unwrap_or_default(), status.unwrap_or_default());
        // The program's name, in parentheses, may hold spaces.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let processor = ticks(11).zip(ticks(12)).map(|(user, system)| (user + system) / TICKS);
        let memory = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok().map(|kilobytes| kilobytes * 1024.0)
        };
        let open = std::fs::read_dir("/proc/self/fd").map(Iterator::count);
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let open = open.ok().map(|count| count as f64);
        let shown = [
            ("process_cpu_seconds_total", "counter", "Processor time that was used.", processor),
            ("process_resident_memory_bytes", "gauge", "Memory in use.", memory("VmRSS:")),
            ("process_virtual_memory_bytes", "gauge", "Memory that was asked for.", memory("VmSize:")),
            ("process_open_fds", "gauge", "Open files and sockets.", open),
        ];
        let text = |(name, kind, help, value): (&str, &str, &str, Option<f64>)| {
            value.map(|value| format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"))
        };
        shown.into_iter().filter_map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, time::Duration};
    use weir_core::{
        component::Component,
        metrics::{Family, Metrics},
    };

    static FAMILY: Family = Family { counters: &[], timer: "latency_ns" };

    fn form(config: &str) -> Form {
        let registry = Registry::new(&[weir_pure::TABLE]);
        Form::new(&weir_core::yaml::parse(config).unwrap(), &registry).unwrap()
    }

    #[test]
    fn samples_are_counted_up_to_each_bound() {
        let series = Metrics::default().series(&Arc::new(Component::default()), &FAMILY);
        [1, 1, 30, 2000].into_iter().for_each(|millis| series.time(Duration::from_millis(millis)));
        let timer = series.timer().unwrap();
        let form = form("prometheus: { use_histogram_timing: true, histogram_buckets: [ 1, 0.01 ] }");
        assert_eq!((form.timing.kind(), form.timing.steps(timer)), ("histogram", vec![2, 3]));
    }

    #[test]
    fn quantiles_are_chosen_and_the_process_is_measured() {
        let form = form(
            "prometheus: { summary_quantiles_objectives: [ { quantile: 0.75 } ], add_process_metrics: true }",
        );
        assert!(matches!(&form.timing, Timing::Quantiles(quantiles) if *quantiles == [0.75]));
        let text = form.process();
        assert_eq!(text.matches("# TYPE process_").count(), 4, "{text}");
        assert!(Form::default().process().is_empty());
    }
}

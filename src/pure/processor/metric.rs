//! `metric`: counts and measures what messages say.

use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    mem,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    error::Error,
    expression::Interpolated,
    field::Field,
    metrics::{Custom, MAX_LABEL_SETS, Measure},
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "metric",
    summary: "Updates a metric of your own by each message.",
    description: "`counter` counts messages; `counter_by` adds `value` to a count, `gauge` is set to it, and `timing` takes \
                  it as a duration in nanoseconds. Values are numbers that are not negative, those of `timing` whole; \
                  any other is logged and not counted. Messages go on unchanged. One metric keeps 2000 sets of label \
                  values at most; what comes with others is not counted. Prometheus only shows metrics whose names it \
                  allows.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("type", "What the metric does.").options(&["counter", "counter_by", "gauge", "timing"]),
        Field::string("name", "The metric's name."),
        Field::string("labels", "Labels of the metric.").map().interpolated().optional(),
        Field::string("value", "The value of a message; a `counter` does not look at it.")
            .interpolated()
            .default("''"),
    ]),
    examples: &[Example {
        title: "Bytes by topic",
        config: "type: counter_by\nname: bytes_seen\nlabels: { topic: '${! @kafka_topic }' }\nvalue: '${! content().length() }'",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let (measure, by_value) = match config.r#type.to_ascii_lowercase().as_str() {
            "counter" => (Measure::Counter, false),
            "counter_by" => (Measure::Counter, true),
            "gauge" => (Measure::Gauge, true),
            "timing" => (Measure::Timer, true),
            other => return Err(BuildError::new(format!("metric type unrecognised: {other}"))),
        };
        if config.name.is_empty() {
            return Err(BuildError::new("metric name must not be empty"));
        }
        let (names, labels) = config.labels.unwrap_or_default().into_iter().unzip();
        let custom = context.custom_metric(config.name, measure, names);
        let log = Log::new(context);
        Ok(Box::new(Metric {
            custom,
            by_value,
            labels,
            value: config.value,
            full: AtomicBool::new(false),
            log,
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    r#type: String,
    name: String,
    labels: Option<BTreeMap<String, Interpolated>>,
    value: Interpolated,
}

struct Metric {
    custom: Arc<Custom>,
    by_value: bool,
    labels: Vec<Interpolated>,
    value: Interpolated,
    /// Whether it was said that there are too many label sets.
    full: AtomicBool,
    log: Log,
}

impl Metric {
    fn update(&self, batch: &[Message], index: usize) -> Result<(), String> {
        let value = self.value.resolve_string(batch, index);
        let value = value.map_err(|error| format!("Value interpolation error: {error}"))?;
        let sample = if self.by_value { self.sample(&value)? } else { 1.0 };
        let labels = self.labels.iter().map(|label| label.resolve_string(batch, index));
        let labels = labels.collect::<Result<_, _>>();
        let labels = labels.map_err(|error| format!("Handler error: label interpolation error: {error}"))?;
        if self.custom.record(labels, sample) || self.full.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let name = &self.custom.name;
        Err(format!(
            "metric {name} has {MAX_LABEL_SETS} sets of label values: those of others are not counted"
        ))
    }

    fn sample(&self, value: &str) -> Result<f64, String> {
        let whole = self.custom.measure != Measure::Timer || value.parse::<u64>().is_ok();
        value.parse().ok().filter(|sample: &f64| whole && sample.is_finite() && *sample >= 0.0).ok_or_else(
            || {
                let kind = if self.custom.measure == Measure::Timer { "whole number" } else { "number" };
                format!("Handler error: value '{value}' is no {kind} of 0 or more")
            },
        )
    }

    fn look(&self, batch: &[Message]) {
        for index in 0..batch.len() {
            if let Err(text) = self.update(batch, index) {
                self.log.error(text);
            }
        }
    }
}

#[async_trait]
impl Processor for Metric {
    fn immediate(&self) -> bool {
        self.value.is_pure() && self.labels.iter().all(|label| label.is_pure())
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        self.look(batch);
        out.extend(batch.iter_mut().map(mem::take));
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        self.look(&batch);
        Ok(one(batch))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown, try_build};

    #[tokio::test]
    async fn messages_go_on_unchanged() {
        let config = "metric: { type: counter_by, name: m, value: '${! this.v }', labels: { a: '${! this.a.uppercase() }' } }";
        let out = run(config, &["{\"v\":1,  \"a\":\"x\"}", "nope"]).await;
        assert_eq!(shown(&out), [["{\"v\":1,  \"a\":\"x\"}", "nope"]]);
        assert!(out[0].iter().all(|message| message.error().is_none()));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (config, want) in [
            ("{ type: histogram, name: m }", "metric type unrecognised: histogram"),
            ("{ type: COUNTER, name: '' }", "metric name must not be empty"),
        ] {
            assert_eq!(try_build(&format!("metric: {config}")).err().unwrap().to_string(), want);
        }
    }
}

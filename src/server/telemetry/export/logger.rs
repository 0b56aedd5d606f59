//! Metrics as log lines.

use super::{
    Export, Made, Now,
    samples::{Before, QUANTILES, Value},
};
use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Map, json};
use weir_config::Node;
use weir_core::{build_error::BuildError, duration::Duration};

#[derive(Deserialize)]
struct Config {
    push_interval: Option<Duration>,
    flush_metrics: bool,
}

struct Logger {
    /// Counts from the last writing on.
    before: Option<Before>,
}

pub(super) fn new(node: &Node) -> Result<Made, BuildError> {
    let config: Config = node.read()?;
    let before = config.flush_metrics.then(Before::default);
    Ok(Made::new(Logger { before }, config.push_interval.map(Into::into)))
}

#[async_trait]
impl Export for Logger {
    async fn export(&mut self, now: Now) -> Result<(), String> {
        for ((name, labels), value) in now.samples(true).await {
            let key = format!("{name}{labels:?}");
            let mut fields: Map<String, serde_json::Value> =
                labels.into_iter().map(|(name, value)| (name, json!(value))).collect();
            fields.insert("name".into(), json!(name));
            let what = match value {
                Value::Counter(count) => {
                    let count = self.before.as_mut().map_or(count, |before| before.added(key, count));
                    fields.insert("value".into(), json!(count));
                    "Counter metric"
                }
                Value::Gauge(value) => {
                    fields.insert("value".into(), json!(value));
                    "Gauge metric"
                }
                Value::Timer(timer) => {
                    let shown = QUANTILES.iter().zip(timer.quantiles);
                    let shown = shown.filter(|((name, _), _)| ["p50", "p90", "p99"].contains(name));
                    fields.extend(shown.map(|((name, _), nanos)| ((*name).to_owned(), json!(nanos))));
                    "Timing metric"
                }
            };
            tracing::info!(fields = json!(fields).to_string(), "{what}");
        }
        if let Some(before) = &mut self.before {
            before.turn();
        }
        Ok(())
    }
}

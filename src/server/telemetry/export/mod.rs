//! Metrics that are sent somewhere now and then, and once more when the process stops.

mod influxdb;
mod logger;
mod push;
mod samples;
mod statsd;

use super::{form::Form, metrics::Group, renames::Renames};
use crate::api::App;
use async_trait::async_trait;
use samples::{Labels, Value, collect};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use weir_config::Node;
use weir_core::{kind::Kind, prepare, registry::Registry};

/// How long the last sending may take.
const LAST: Duration = Duration::from_secs(5);

/// Where metrics are sent.
#[async_trait]
trait Export: Send {
    /// Sends what is counted.
    async fn export(&mut self, now: Now) -> Result<(), String>;
}

/// What is counted now.
struct Now {
    groups: Vec<Group>,
    renames: Option<Arc<Renames>>,
    form: Arc<Form>,
    /// It will not be asked for again.
    last: bool,
}

impl Now {
    /// By name and labels; `zeros`: also what has counted nothing yet. Collected where it holds up no answer.
    async fn samples(self, zeros: bool) -> BTreeMap<(String, Labels), Value> {
        let Self { groups, renames, .. } = self;
        let work = move || collect(&groups, renames.as_deref(), zeros);
        tokio::task::spawn_blocking(work).await.unwrap_or_default()
    }
}

/// Sends metrics as a config says.
pub(crate) struct Exporter {
    to: Option<Box<dyn Export>>,
    every: Option<Duration>,
    failing: bool,
}

impl Exporter {
    /// The exporter that the section `metrics` asks for, which may be none.
    pub(crate) fn new(metrics: &Node, registry: &Registry) -> Result<Self, String> {
        let none = Self { to: None, every: None, failing: false };
        let Ok(chosen) = registry.infer(Kind::Metrics, metrics) else { return Ok(none) };
        let Some(spec) = registry.metrics(chosen.name) else { return Ok(none) };
        let failed = |error: &dyn std::fmt::Display| format!("metrics.{}: {error}", chosen.name);
        let body = prepare::body(&spec.body, &chosen.body).map_err(|error| failed(&error))?;
        let made = match chosen.name {
            "logger" => logger::new(&body),
            "statsd" => statsd::new(&body),
            "influxdb" => influxdb::new(&body),
            "prometheus" => push::new(&body),
            _ => return Ok(none),
        };
        let Made { to, every } = made.map_err(|error| failed(&error))?;
        Ok(Self { to, every, failing: false })
    }

    /// Sends again and again, without end.
    pub(crate) async fn keep(&mut self, app: &App) {
        let Some(every) = self.every.filter(|every| !every.is_zero() && self.to.is_some()) else {
            return std::future::pending().await;
        };
        let mut tick = interval_at(Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.export(app, false).await;
        }
    }

    /// Sends for the last time.
    pub(crate) async fn end(&mut self, app: &App) {
        if timeout(LAST, self.export(app, true)).await.is_err() {
            tracing::error!("Failed to export metrics for the last time: it took too long");
        }
    }

    /// A failure is told when it begins, not each time.
    async fn export(&mut self, app: &App, last: bool) {
        let Some(to) = &mut self.to else { return };
        let (renames, form) = (app.settings.renames.clone(), Arc::clone(&app.settings.form));
        let sent = to.export(Now { groups: crate::api::groups(app), renames, form, last }).await;
        let failed_before = std::mem::replace(&mut self.failing, sent.is_err());
        if let Err(error) = sent
            && !failed_before
        {
            tracing::error!("Failed to export metrics: {error}");
        }
    }
}

/// What a config makes.
struct Made {
    to: Option<Box<dyn Export>>,
    /// None: only at the end.
    every: Option<Duration>,
}

impl Made {
    fn new(to: impl Export + 'static, every: Option<Duration>) -> Self {
        Self { to: Some(Box::new(to)), every }
    }
}

//! `benchmark`: tells how much passes.

use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    duration,
    error::Error,
    field::Field,
    metrics::{Family, Series},
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "benchmark",
    summary: "Logs how many messages and bytes pass in a second.",
    description: "A line is written as messages pass, at most one each `interval`, and one about everything at the end of the \
                  stream.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::duration("interval", "How much time a line is about; 0: there is only the one at the end.")
            .default("5s"),
        Field::bool(
            "count_bytes",
            "Whether bytes are counted, for which structured messages must be written out.",
        )
        .default("true"),
    ]),
    examples: &[Example { title: "A line a minute", config: "interval: 1m" }],
    build: |node, context| {
        let Config { interval, count_bytes } = node.read()?;
        let interval = duration::parse(&interval).map_err(|error| BuildError::new(error).at("interval"))?;
        let (now, series) = (Instant::now(), context.series(&FAMILY));
        let state = Mutex::new(State { whole: Count::from(now), recent: Count::from(now) });
        Ok(Box::new(Benchmark { interval, count_bytes, state, series, log: Log::new(context) }))
    },
};

static FAMILY: Family =
    Family { counters: &[("benchmark_messages_total", &[]), ("benchmark_bytes_total", &[])], timer: "" };

#[derive(Deserialize)]
struct Config {
    interval: String,
    count_bytes: bool,
}

struct Benchmark {
    interval: Duration,
    count_bytes: bool,
    state: Mutex<State>,
    series: Arc<Series>,
    log: Log,
}

struct State {
    whole: Count,
    recent: Count,
}

struct Count {
    since: Instant,
    messages: u64,
    bytes: u64,
}

impl Count {
    fn from(since: Instant) -> Self {
        Self { since, messages: 0, bytes: 0 }
    }

    /// What passed in a second.
    #[expect(clippy::cast_precision_loss, reason = "shown only")]
    fn rates(&self, now: Instant, count_bytes: bool) -> String {
        let seconds = now.duration_since(self.since).as_secs_f64().max(1e-9);
        let messages = format!("{:.0} messages/s", self.messages as f64 / seconds);
        if count_bytes { format!("{messages}, {:.0} bytes/s", self.bytes as f64 / seconds) } else { messages }
    }
}

#[async_trait]
impl Processor for Benchmark {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let messages = batch.len() as u64;
        let bytes = if self.count_bytes { batch.iter().map(|message| message.len() as u64).sum() } else { 0 };
        self.series.add(0, messages);
        self.series.add(1, bytes);
        let now = Instant::now();
        let line = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let State { whole, recent } = &mut *state;
            for count in [whole, &mut *recent] {
                count.messages += messages;
                count.bytes += bytes;
            }
            let due = !self.interval.is_zero() && now.duration_since(recent.since) >= self.interval;
            due.then(|| std::mem::replace(recent, Count::from(now)).rates(now, self.count_bytes))
        };
        if let Some(line) = line {
            self.log.info(format_args!("Passing: {line}"));
        }
        Ok(one(batch))
    }

    async fn close(&self) {
        let line = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let rates = state.whole.rates(Instant::now(), self.count_bytes);
            format!("{} messages passed, {rates}", state.whole.messages)
        };
        self.log.info(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_by_the_second() {
        let since = Instant::now();
        let count = Count { since, messages: 10, bytes: 300 };
        assert_eq!(count.rates(since + Duration::from_secs(2), true), "5 messages/s, 150 bytes/s");
        assert_eq!(count.rates(since + Duration::from_secs(2), false), "5 messages/s");
    }
}

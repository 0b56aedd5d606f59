//! `sleep`: lets time pass.

use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    duration,
    error::Error,
    expression::Interpolated,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "sleep",
    summary: "Waits for a time at each message.",
    description: "A duration that cannot be read is logged, and nothing is waited for.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string("duration", "How long to wait, such as `100ms`.").interpolated()]),
    examples: &[Example { title: "As the message says", config: "duration: '${! json(\"wait\") }'" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let hard_stop = context.environment().hard_stop.clone();
        Ok(Box::new(Sleep { duration: config.duration, hard_stop, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    duration: Interpolated,
}

struct Sleep {
    duration: Interpolated,
    hard_stop: CancellationToken,
    log: Log,
}

impl Sleep {
    /// How long to wait at a message; nothing if that cannot be told, or is negative.
    fn wait(&self, batch: &[Message], index: usize) -> Duration {
        let text = match self.duration.resolve_string(batch, index) {
            Ok(text) => text,
            Err(error) => {
                self.log.error(format_args!("Period interpolation error: {error}"));
                return Duration::ZERO;
            }
        };
        match duration::parse_signed(&text) {
            Ok((negative, wait)) => {
                if negative {
                    Duration::ZERO
                } else {
                    wait
                }
            }
            Err(error) => {
                self.log.error(format_args!("Failed to parse duration: {error}"));
                Duration::ZERO
            }
        }
    }
}

#[async_trait]
impl Processor for Sleep {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        for index in 0..batch.len() {
            let wait = self.wait(&batch, index);
            if wait.is_zero() {
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.hard_stop.cancelled() => return Err(Error::Closed),
            }
        }
        Ok(one(batch))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::run;
    use std::time::Duration;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn waits_at_each_message_as_it_says() {
        let began = Instant::now();
        let out = run("sleep: { duration: '${! content() }' }", &["2s", "-1s", "soon", "1m"]).await;
        assert_eq!(began.elapsed(), Duration::from_secs(62));
        assert!(out[0].iter().all(|message| message.error().is_none()));
    }
}

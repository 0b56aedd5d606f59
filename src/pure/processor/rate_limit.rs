//! `rate_limit`: lets messages pass as often as a rate limit allows.

use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    rate_limit::RateLimit,
    registry::ProcessorSpec,
    slot::Slot,
    spec::{Body, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "rate_limit",
    summary: "Lets messages pass as often as a rate limit resource allows.",
    description: "Each message of a batch takes one permit and waits for it.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string("resource", "The label of the rate limit resource.")]),
    // A resource must exist, so there is nothing an example could build alone.
    examples: &[],
    build: |node, context| {
        let config: Config = node.read()?;
        let slot = context.rate_limit(&config.resource)?;
        let hard_stop = context.environment().hard_stop.clone();
        Ok(Box::new(Limited { label: config.resource, slot, hard_stop, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    resource: String,
}

/// How long to wait when the limit itself fails.
const PAUSE: Duration = Duration::from_secs(1);

struct Limited {
    label: String,
    slot: Slot<dyn RateLimit>,
    hard_stop: CancellationToken,
    log: Log,
}

impl Limited {
    async fn pass(&self) -> Result<(), Error> {
        loop {
            let asked = match self.slot.get() {
                Some(limit) => limit.access().await,
                None => Err(Error::failed(format!("rate limit resource '{}' was not found", self.label))),
            };
            let wait = match asked {
                Ok(None) => return Ok(()),
                Ok(Some(wait)) => wait,
                Err(error) => {
                    self.log.error(format_args!("Failed to access rate limit: {error}"));
                    PAUSE
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.hard_stop.cancelled() => return Err(Error::Closed),
            }
        }
    }
}

#[async_trait]
impl Processor for Limited {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        for _ in &batch {
            self.pass().await?;
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
    async fn each_message_takes_a_permit() {
        let began = Instant::now();
        // The test's context has a limit of two a second under this label.
        assert_eq!(
            run("rate_limit: { resource: two_a_second }", &["a", "b", "c", "d", "e"]).await[0].len(),
            5
        );
        assert_eq!(began.elapsed(), Duration::from_secs(2));
    }
}

//! `retry`: runs processors on a message until they succeed.

use crate::log::Log;
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_bloblang::{Message, Value};
use weir_core::{
    backoff::Backoff,
    build_error::BuildError,
    duration,
    error::Error,
    field::Field,
    node::Node,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "retry",
    summary: "Runs processors on each message as a batch of its own, again and again until none of what they made failed.",
    description: "Each attempt begins with the message as it came, without its failure. When the attempts or the time are used \
                  up, what the last attempt made goes on, flagged as failed. Results have the metadata `retry_count` and \
                  `backoff_duration`, nanoseconds waited in all.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::object(
            "backoff",
            "How long to wait between attempts.",
            &[
                Field::duration("initial_interval", "The first wait.").default("500ms"),
                Field::duration("max_interval", "The longest wait.").default("10s"),
                Field::duration("max_elapsed_time", "When to give up; 0: never.").default("1m"),
            ],
        ),
        Field::processors("processors", "What each message goes through."),
        Field::bool("parallel", "Work on all messages of a batch at once.").default("false"),
        Field::int("max_retries", "How many attempts there are at most; 0: no limit.").default("0"),
    ]),
    examples: &[Example { title: "Three attempts", config: "max_retries: 3\nprocessors: [ { noop: {} } ]" }],
    build: |node, context| {
        let Config { backoff, processors, parallel, max_retries } = node.read()?;
        let nodes = processors.unwrap_or_default();
        if nodes.is_empty() {
            return Err(BuildError::new("at least one child processor must be specified"));
        }
        Ok(Box::new(Retry {
            waits: backoff.waits()?,
            children: context.processors("retry.processors", &nodes)?,
            parallel,
            max_retries,
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    backoff: Times,
    processors: Option<Vec<Node>>,
    parallel: bool,
    max_retries: i64,
}

#[derive(Deserialize)]
struct Times {
    initial_interval: String,
    max_interval: String,
    max_elapsed_time: String,
}

impl Times {
    fn waits(&self) -> Result<Waits, BuildError> {
        let parse = |name: &str, text: &str| {
            let failed = |error| BuildError::new(format!("failed to parse {name}: {error}"));
            duration::parse(text).map_err(failed)
        };
        Ok(Waits {
            first: parse("initial_interval", &self.initial_interval)?,
            longest: parse("max_interval", &self.max_interval)?,
            in_all: parse("max_elapsed_time", &self.max_elapsed_time)?,
        })
    }
}

struct Waits {
    first: Duration,
    longest: Duration,
    /// Zero: no end.
    in_all: Duration,
}

struct Retry {
    waits: Waits,
    children: Arc<dyn Processor>,
    parallel: bool,
    max_retries: i64,
    hard_stop: CancellationToken,
    log: Log,
}

impl Retry {
    async fn attempt(&self, mut message: Message) -> Result<Vec<Message>, Error> {
        let began = Instant::now();
        let mut backoff = Backoff::new(self.waits.first, self.waits.longest, 1.5, 0.5);
        let (mut retries, mut waited) = (0, Duration::ZERO);
        message.set_error(None);
        loop {
            let made = self.children.process(vec![message.clone()]).await?;
            let failed = made.iter().flatten().any(|message| message.error().is_some());
            let wait = backoff.wait();
            retries += i64::from(failed);
            let given_up = retries == self.max_retries
                || (!self.waits.in_all.is_zero() && began.elapsed() + wait > self.waits.in_all);
            if !failed || given_up {
                if failed {
                    self.log.debug(format_args!("Giving up after {retries} attempts"));
                }
                let mut made: Vec<Message> = made.into_iter().flatten().collect();
                for message in &mut made {
                    let nanoseconds = i64::try_from(waited.as_nanos()).unwrap_or(i64::MAX);
                    message.metadata_mut().set("retry_count", Value::Int(retries));
                    message.metadata_mut().set("backoff_duration", Value::Int(nanoseconds));
                }
                return Ok(made);
            }
            waited += wait;
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.hard_stop.cancelled() => return Err(Error::Closed),
            }
        }
    }
}

#[async_trait]
impl Processor for Retry {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let at_once = if self.parallel { batch.len() } else { 1 };
        let work: Vec<_> = batch.into_iter().map(|message| self.attempt(message)).collect();
        let made: Vec<Vec<Message>> = stream::iter(work).buffered(at_once.max(1)).try_collect().await?;
        Ok(one(made.into_iter().flatten().collect()))
    }

    async fn close(&self) {
        self.children.close().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test(start_paused = true)]
    async fn each_attempt_begins_with_the_message_as_it_came() {
        let config = "retry: { processors: [ { mutation: 'root.n = this.n + 1' }, \
                      { mapping: 'root = if count(\"processor_retry_test\") < 3 { throw(\"no\") } else { this }' } ] }";
        let out = run(config, &["{\"n\":1}"]).await;
        assert_eq!(shown(&out), [["{\"n\":2}"]]);
        assert!(out[0][0].error().is_none());
        assert_eq!(out[0][0].metadata().get("retry_count").unwrap().to_json(), "2");
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_in_time() {
        for limit in ["max_retries: 2", "backoff: { max_elapsed_time: 2s }"] {
            let config =
                format!("retry: {{ {limit}, processors: [ {{ mapping: 'root = throw(\"no\")' }} ] }}");
            let out = run(&config, &["a"]).await;
            assert!(out[0][0].error().is_some(), "{limit}");
        }
    }
}

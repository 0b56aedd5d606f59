//! `retry`: sends again what an output fails on.

use super::{
    kept::{Kept, UnderWay, all},
    resend::Resend,
};
use crate::log::Log;
use async_trait::async_trait;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_core::{
    ack::{Failure, Origin},
    backoff::Backoff,
    build_error::BuildError,
    duration,
    error::Error,
    field::Field,
    frame::Frame,
    node::Node,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "retry",
    summary: "Sends again what an output fails on, until it succeeds.",
    description: "A batch is sent again whole, so that the input and the processors need not work it again. When the attempts or the \
                  time are used up, it fails.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("max_retries", "How often a batch is sent again at most; 0: no limit.")
            .default("0")
            .advanced(),
        Field::object(
            "backoff",
            "How long to wait between attempts.",
            &[
                Field::duration("initial_interval", "The first wait.").default("500ms").advanced(),
                Field::duration("max_interval", "The longest wait.").default("3s").advanced(),
                Field::duration("max_elapsed_time", "When to give up; 0: never.").default("0s").advanced(),
            ],
        )
        .advanced(),
        Field::output("output", "The output."),
    ]),
    examples: &[Example { title: "Three attempts more", config: "max_retries: 3\noutput: { drop: {} }" }],
    build: |node, context| {
        let Config { max_retries, backoff, output } = node.read()?;
        let child = output.ok_or_else(|| BuildError::new("an output is required").at("output"))?;
        let parse = |name: &str, text: &str| {
            duration::parse(text).map_err(|error| BuildError::new(error).at(name).at("backoff"))
        };
        let in_all = parse("max_elapsed_time", &backoff.max_elapsed_time)?;
        let limits = Limits {
            retries: u64::try_from(max_retries).ok().filter(|max| *max > 0),
            first: parse("initial_interval", &backoff.initial_interval)?,
            longest: parse("max_interval", &backoff.max_interval)?,
            in_all: Some(in_all).filter(|in_all| !in_all.is_zero()),
        };
        let output = context.output("retry.output", &child)?;
        let hard_stop = context.environment().hard_stop.clone();
        Ok(OutputComponent::Node(Arc::new(Retry::new(output, limits, hard_stop, Log::new(context)))))
    },
};

#[derive(Deserialize)]
struct Config {
    max_retries: i64,
    backoff: Times,
    output: Option<Node>,
}

#[derive(Deserialize)]
struct Times {
    initial_interval: String,
    max_interval: String,
    max_elapsed_time: String,
}

struct Limits {
    retries: Option<u64>,
    first: Duration,
    longest: Duration,
    in_all: Option<Duration>,
}

struct Retry {
    inner: Arc<Inner>,
    hard_stop: CancellationToken,
    under_way: Arc<UnderWay>,
}

struct Inner {
    resend: Arc<Resend>,
    limits: Limits,
    log: Log,
}

impl Retry {
    fn new(output: Arc<dyn Output>, limits: Limits, hard_stop: CancellationToken, log: Log) -> Self {
        let resend = Resend::new(output, hard_stop.clone());
        Self { inner: Arc::new(Inner { resend, limits, log }), hard_stop, under_way: Arc::default() }
    }
}

/// The origin of one attempt.
struct Attempt {
    inner: Arc<Inner>,
    kept: Arc<Kept>,
    backoff: Backoff,
    retries: u64,
    began: Instant,
}

impl Origin for Attempt {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let Err(failure) = outcome else { return self.kept.delivered(slot) };
        let Inner { resend, limits, log } = &*self.inner;
        let batch = self.kept.batch(slot);
        if !resend.is_open() {
            return self.kept.fail(slot, failure.error.clone(), all(&batch, &failure.error));
        }
        log.error(format_args!("Failed to send message: {}", failure.error));
        let mut backoff = self.backoff.clone();
        let wait = backoff.wait();
        let too_often = limits.retries.is_some_and(|max| self.retries >= max);
        if too_often || limits.in_all.is_some_and(|in_all| self.began.elapsed() + wait > in_all) {
            let error = Error::failed("message failed to reach a target destination");
            return self.kept.fail(slot, error.clone(), all(&batch, &error));
        }
        let messages = self.kept.copies(&batch);
        let next = Self {
            inner: Arc::clone(&self.inner),
            kept: Arc::clone(&self.kept),
            backoff,
            retries: self.retries + 1,
            began: self.began,
        };
        resend.push(wait, Frame::single(messages, slot, Arc::new(next)));
    }
}

#[async_trait]
impl Output for Retry {
    async fn connect(&self) {
        self.inner.resend.output.connect().await;
    }

    async fn send(&self, frame: Frame) {
        let limits = &self.inner.limits;
        let kept = Arc::new(Kept::new(frame, &self.under_way));
        let attempt = Attempt {
            inner: Arc::clone(&self.inner),
            kept: Arc::clone(&kept),
            backoff: Backoff::new(limits.first, limits.longest, 1.5, 0.5),
            retries: 0,
            began: Instant::now(),
        };
        let frame = kept.frame(Arc::new(attempt));
        drop(kept);
        self.inner.resend.send(frame).await;
    }

    async fn flush(&self) {
        self.inner.resend.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.inner.resend.output.sync().await
    }

    async fn close(&self) {
        self.flush().await;
        tokio::select! {
            () = self.hard_stop.cancelled() => {}
            () = self.under_way.none() => {}
        }
        self.inner.resend.output.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        output::kept::testing::{Book, Child, frame},
        testing::Building,
    };

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_sent_again_whole_until_the_limit() {
        let (book, child): (Arc<Book>, _) = (Arc::default(), Child::new(&["b", "c", "c"]));
        let second = Duration::from_secs(1);
        let limits = Limits { retries: Some(1), first: second, longest: second, in_all: None };
        let log = Log::new(&Building::new());
        let output = Retry::new(Arc::clone(&child) as Arc<dyn Output>, limits, CancellationToken::new(), log);
        output.send(frame(&book, &[&["a", "b"], &["c"], &["d"]])).await;
        output.close().await;
        assert_eq!(child.received(), ["a b", "c", "d", "a b", "c"]);
        assert_eq!(book.sorted(), ["0 ok", "1 message failed to reach a target destination [0]", "2 ok"]);
    }
}

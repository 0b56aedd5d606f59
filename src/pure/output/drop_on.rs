//! `drop_on`: drops what an output fails on or does not take in time.

use crate::log::Log;
use async_trait::async_trait;
use regex::bytes::Regex;
use serde::Deserialize;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout},
};
use weir_bloblang::compile_regex;
use weir_core::{
    ack::{Failure, Origin, Owed},
    build_error::BuildError,
    duration,
    error::Error,
    field::Field,
    frame::{Frame, Mark},
    node::Node,
    output::{Output, OutputComponent},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "drop_on",
    summary: "Drops what an output fails on, or does not take in time, instead of trying again.",
    description: "What is dropped counts as delivered: it is lost. With `back_pressure` alone, what an output does not take in time \
                  fails, so that a `fallback` around this output gets it; together with `error` it is dropped. After that, \
                  batches fail or are dropped at once until the output takes one again.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::bool("error", "Drop whatever the output fails on.").default("false"),
        Field::string(
            "error_patterns",
            "Drop what the output fails on with an error that one of these regular expressions matches.",
        )
        .list()
        .optional(),
        Field::duration("back_pressure", "How long the output may take for a batch.").optional(),
        Field::output("output", "The output."),
    ]),
    examples: &[Example {
        title: "Never wait",
        config: "error: true\nback_pressure: 10s\noutput: { drop: {} }",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let child = config.output.ok_or_else(|| BuildError::new("an output is required").at("output"))?;
        let patterns = config.error_patterns.unwrap_or_default();
        if config.error && !patterns.is_empty() {
            return Err(BuildError::new(
                "field 'error_patterns' is ineffective when 'error' is set to `true`",
            ));
        }
        let compile = |(index, pattern): (usize, &String)| {
            let failed = |error| BuildError::new(format!("error pattern {index} failed to compile: {error}"));
            compile_regex(pattern).map_err(failed)
        };
        let patterns = patterns.iter().enumerate().map(compile).collect::<Result<_, _>>()?;
        let limit = config.back_pressure.filter(|text| !text.is_empty()).map(|text| duration::parse(&text));
        let limit = limit
            .transpose()
            .map_err(|error| BuildError::new(format!("failed to parse back_pressure duration: {error}")))?;
        Ok(OutputComponent::Node(Arc::new(DropOn {
            drops: Arc::new(Drops { error: config.error, patterns, log: Log::new(context) }),
            limit: limit.filter(|limit| !limit.is_zero()),
            pressed: AtomicBool::new(false),
            output: context.output("drop_on.output", &child)?,
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    error: bool,
    error_patterns: Option<Vec<String>>,
    back_pressure: Option<String>,
    output: Option<Node>,
}

/// What is dropped.
struct Drops {
    error: bool,
    patterns: Vec<Regex>,
    log: Log,
}

impl Drops {
    /// The outcome to tell instead of the output's.
    fn judge(&self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Err(failure) = outcome else { return Ok(()) };
        let text = failure.error.to_string();
        if self.error || self.patterns.iter().any(|pattern| pattern.is_match(text.as_bytes())) {
            self.log.error(format_args!("Message dropped due to: {text}"));
            return Ok(());
        }
        Err(failure)
    }
}

struct DropOn {
    drops: Arc<Drops>,
    limit: Option<Duration>,
    /// The output did not take the last batch in time.
    pressed: AtomicBool,
    output: Arc<dyn Output>,
}

/// The origin of what is sent when the output may take as long as it likes.
struct Judging {
    drops: Arc<Drops>,
    marks: Vec<Mark>,
    origin: Arc<dyn Origin>,
}

impl Origin for Judging {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        if let Some(mark) = self.marks.get(slot as usize) {
            self.origin.settle(mark.slot, self.drops.judge(outcome));
        }
    }
}

/// Hands one outcome over.
struct Heard(Mutex<Option<oneshot::Sender<Result<(), Failure>>>>);

impl Origin for Heard {
    fn settle(&self, _: u32, outcome: Result<(), Failure>) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Nobody waits for one that comes too late.
            drop(sender.send(outcome));
        }
    }
}

/// How long an output has to take a batch once it was too slow.
const AT_ONCE: Duration = Duration::from_millis(1);

impl DropOn {
    async fn send_in_time(&self, single: Frame, limit: Duration) {
        let (messages, marks, origin) = single.into_parts();
        let Some(mark) = marks.first() else { return };
        let owed = Owed::new(origin, mark.slot);
        let (sender, heard) = oneshot::channel();
        let frame = Frame::single(messages, 0, Arc::new(Heard(Mutex::new(Some(sender)))));
        let began = Instant::now();
        let patience = if self.pressed.load(Ordering::Acquire) { AT_ONCE } else { limit };
        // What was not taken yet when the time is over is taken back.
        let taken = timeout(patience, self.output.send(frame)).await.is_ok();
        let outcome =
            if taken { timeout(limit.saturating_sub(began.elapsed()), heard).await.ok() } else { None };
        self.pressed.store(outcome.is_none(), Ordering::Release);
        let outcome = match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(Failure::all(Error::Closed)),
            None => {
                let text = format!("experienced back pressure beyond: {}", duration::format(limit));
                Err(Failure::all(Error::Failed(text)))
            }
        };
        owed.settle(self.drops.judge(outcome));
    }
}

#[async_trait]
impl Output for DropOn {
    async fn connect(&self) {
        self.output.connect().await;
    }

    async fn send(&self, frame: Frame) {
        if let Some(limit) = self.limit {
            for single in frame.into_singles() {
                self.send_in_time(single, limit).await;
            }
            return;
        }
        let (messages, marks, origin) = frame.into_parts();
        let numbered = (0..).zip(&marks).map(|(slot, mark)| Mark { end: mark.end, slot }).collect();
        let judging = Judging { drops: Arc::clone(&self.drops), marks, origin };
        self.output.send(Frame::from_parts(messages, numbered, Arc::new(judging))).await;
    }

    async fn flush(&self) {
        self.output.flush().await;
    }

    async fn sync(&self) -> Result<(), Error> {
        self.output.sync().await
    }

    async fn close(&self) {
        self.output.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        output::kept::testing::{Book, Child, frame},
        testing::Building,
    };

    fn drop_on(error: bool, pattern: &str, limit: Option<Duration>, output: Arc<dyn Output>) -> DropOn {
        let log = Log::new(&Building::new());
        let patterns = vec![compile_regex(pattern).unwrap()];
        let drops = Arc::new(Drops { error, patterns, log });
        DropOn { drops, limit, pressed: AtomicBool::new(false), output }
    }

    /// Takes nothing, ever.
    struct Stuck;

    #[async_trait]
    impl Output for Stuck {
        async fn connect(&self) {}
        async fn send(&self, _: Frame) {
            std::future::pending::<()>().await;
        }
        async fn close(&self) {}
    }

    #[tokio::test]
    async fn only_what_a_pattern_matches_is_dropped() {
        let book: Arc<Book> = Arc::default();
        let output = drop_on(false, "sed a$", None, Child::new(&["a", "b"]));
        output.send(frame(&book, &[&["a"], &["b"], &["c"]])).await;
        assert_eq!(book.sorted(), ["0 ok", "1 refused b [0]", "2 ok"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stuck_output_is_waited_for_once() {
        let (book, began): (Arc<Book>, _) = (Arc::default(), Instant::now());
        let limit = Duration::from_secs(1);
        drop_on(true, "x", Some(limit), Arc::new(Stuck)).send(frame(&book, &[&["a"], &["b"]])).await;
        assert_eq!(book.sorted(), ["0 ok", "1 ok"]);
        assert!(began.elapsed() < limit * 2);
    }
}

//! `read_until`: reads an input until a message says that it is the last.

use super::given::Given;
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Value;
use weir_core::{
    build_error::BuildError,
    duration,
    expression::Mapping,
    field::Field,
    frame::{Frame, Singles},
    input::{Input, InputComponent, Next},
    node::Node,
    registry::InputSpec,
    spec::{Body, Example, Status},
    view::View,
    workshop::{Apart, Workshop},
};

/// The place of the child.
const CHILD: &str = "read_until.input";
/// How long it waits before it reads anew from an input that gave nothing.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) static SPEC: InputSpec = InputSpec {
    name: "read_until",
    summary: "Reads from an input until a query is true of a message, or nothing more comes for a time.",
    description: "The query is asked of the first message of each batch; one that fails is false. The batch it is true of is the \
                  last, and its first message has the metadata `benthos_read_until` with the value `final`. The input ends \
                  once everything it gave is delivered. An input that is read anew begins at its start; one that gave nothing \
                  is read again after a second.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::input("input", "The input to read from."),
        Field::mapping("check", "The query whose `true` ends the input.").optional(),
        Field::duration("idle_timeout", "End the input when no message came for so long.").optional(),
        Field::bool("restart_input", "Read the input anew when it ends before the query was true.")
            .default("false"),
    ]),
    examples: &[Example {
        title: "Up to a mark",
        config: "input: { generate: { mapping: 'root.n = counter()' } }\ncheck: 'this.n == 3'",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        let child = config.input.ok_or_else(|| BuildError::new("an input is required").at("input"))?;
        let check = config.check.filter(|check| !check.is_empty());
        let check = check.map(|check| Mapping::parse(&check)).transpose();
        let check = check.map_err(|error| error.context("failed to parse check query"))?;
        let idle = config.idle_timeout.filter(|text| !text.is_empty()).map(|text| duration::parse(&text));
        let idle = idle
            .transpose()
            .map_err(|error| BuildError::new(format!("failed to parse idle_timeout string: {error}")))?;
        if check.is_none() && idle.is_none() {
            return Err(BuildError::new("it is required to set either check or idle_timeout"));
        }
        let (input, anew) = if config.restart_input {
            let mut anew = Anew { workshop: context.workshop(), child, view: View::default(), gave: false };
            let apart = anew.workshop.input(CHILD, &anew.child)?;
            (anew.show(apart), Some(anew))
        } else {
            (context.input(CHILD, &child)?, None)
        };
        Ok(InputComponent::Node(Box::new(ReadUntil {
            again: input.replays(),
            input,
            anew,
            check,
            idle: idle.filter(|idle| !idle.is_zero()),
            given: Arc::default(),
            waiting: None,
            end: End::Open,
            soft_stop: context.environment().soft_stop.clone(),
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    input: Option<Node>,
    check: Option<String>,
    idle_timeout: Option<String>,
    restart_input: bool,
}

/// How to build the child anew.
struct Anew {
    workshop: Arc<dyn Workshop>,
    child: Node,
    /// What is seen of the one that reads, while this lives.
    view: View,
    /// Whether it gave anything.
    gave: bool,
}

impl Anew {
    fn show(&mut self, apart: Apart<Box<dyn Input>>) -> Box<dyn Input> {
        self.workshop.show(&apart.view);
        (self.view, self.gave) = (apart.view, false);
        apart.component
    }
}

struct ReadUntil {
    input: Box<dyn Input>,
    /// Where the child is to be read again after its end.
    anew: Option<Anew>,
    check: Option<Mapping>,
    idle: Option<Duration>,
    given: Arc<Given>,
    /// Whether what failed is given again from here.
    again: bool,
    /// Batches that were read but not asked yet.
    waiting: Option<Singles>,
    end: End,
    soft_stop: CancellationToken,
    hard_stop: CancellationToken,
    log: Log,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing new is given any more.
    Reached,
    /// Those behind were told, too.
    Flushed,
}

enum Read {
    New(Next),
    /// Passed on before, and failed.
    Again(Frame),
    /// Nothing came for too long.
    Idle,
}

impl ReadUntil {
    /// The child's next news: with a check batch by batch; idle at `until`.
    async fn read(&mut self, until: Option<Instant>) -> Read {
        loop {
            if let Some(single) = self.waiting.as_mut().and_then(Iterator::next) {
                return Read::New(Next::Frame(single));
            }
            self.waiting = None;
            let next = tokio::select! {
                biased;
                Some(frame) = self.given.again(), if !self.given.is_settled() => return Read::Again(frame),
                () = async { match until { Some(until) => sleep_until(until).await, None => std::future::pending().await } } => {
                    self.log.debug("Idle timeout reached");
                    return Read::Idle;
                }
                next = self.input.next() => next,
            };
            match next {
                Next::Frame(frame) if self.check.is_some() => self.waiting = Some(frame.into_singles()),
                next => return Read::New(next),
            }
        }
    }

    /// Begins to read the child anew after its end; false when it is not to be.
    async fn begin_anew(&mut self) -> bool {
        let Some(anew) = &mut self.anew else { return false };
        if !anew.gave {
            tokio::select! {
                () = self.soft_stop.cancelled() => {}
                () = sleep(PAUSE) => {}
            }
        }
        if self.soft_stop.is_cancelled() {
            return false;
        }
        anew.gave = false;
        let (workshop, child) = (Arc::clone(&anew.workshop), anew.child.clone());
        // A build may read files.
        match tokio::task::spawn_blocking(move || workshop.input(CHILD, &child)).await {
            Ok(Ok(apart)) => {
                self.input.close().await;
                self.input = anew.show(apart);
            }
            Ok(Err(error)) => self.log.error(format_args!("Failed to read the input anew: {error}")),
            Err(error) => self.log.error(format_args!("Failed to read the input anew: {error}")),
        }
        true
    }

    /// Whether a batch is the last.
    fn is_final(&self, frame: &Frame) -> bool {
        let Some(check) = &self.check else { return false };
        with_scratch(|scratch| check.check(frame.messages(), 0, scratch)).unwrap_or_else(|error| {
            self.log.error(format_args!("Failed to execute check query: {error}"));
            false
        })
    }

    /// Gives again what failed until everything is delivered.
    async fn drain(&mut self) -> Next {
        if self.given.is_settled() {
            return Next::End;
        }
        if self.end == End::Reached {
            self.end = End::Flushed;
            return Next::Flush;
        }
        tokio::select! {
            () = self.hard_stop.cancelled() => Next::End,
            frame = self.given.again() => frame.map_or(Next::End, Next::Frame),
        }
    }
}

#[async_trait]
impl Input for ReadUntil {
    async fn next(&mut self) -> Next {
        if self.end != End::Open {
            return self.drain().await;
        }
        let until = self.idle.map(|idle| Instant::now() + idle);
        let read = loop {
            match self.read(until).await {
                Read::New(Next::End) if self.begin_anew().await => {}
                read => break read,
            }
        };
        match read {
            Read::Again(frame) => Next::Frame(frame),
            Read::New(Next::Frame(mut frame)) => {
                if let Some(anew) = &mut self.anew {
                    anew.gave = true;
                }
                if self.is_final(&frame) {
                    if let Some(first) = frame.messages_mut().first_mut() {
                        first.metadata_mut().set("benthos_read_until", Value::from("final"));
                    }
                    self.end = End::Reached;
                    // What was read behind it goes back to where it came from.
                    self.waiting = None;
                }
                Next::Frame(self.given.pass(frame, self.again))
            }
            Read::New(Next::Flush) => Next::Flush,
            Read::New(Next::End) | Read::Idle => {
                self.end = End::Reached;
                self.drain().await
            }
        }
    }

    async fn close(&mut self) {
        self.given.close();
        self.waiting = None;
        self.input.close().await;
    }
}

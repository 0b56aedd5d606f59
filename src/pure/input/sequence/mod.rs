//! `sequence`: several inputs one after the other, their messages joined where that is asked for.

mod join;

use super::given::Given;
use crate::log::Log;
use async_trait::async_trait;
use join::{Joiner, Merge};
use serde::Deserialize;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::{Failure, Origin},
    build_error::BuildError,
    field::Field,
    frame::{Frame, MAX_BATCHES},
    input::{Input, InputComponent, Next},
    node::Node,
    registry::InputSpec,
    spec::{Body, Example, Status},
    workshop::{Apart, Workshop},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "sequence",
    summary: "Reads from several inputs, one after the other.",
    description: "The next input begins when the one before has ended and everything it gave is delivered. With a join, messages \
                  with the same text at `id_path` become one; all others are dropped. What is to be joined is acknowledged \
                  as soon as it is read, and held in memory. A stream that is stopped before all is joined begins anew \
                  where the inputs can be read again (`file`, `csv` and `generate`, as long as they delete nothing); of \
                  others, what was read goes out as it is.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::object(
            "sharded_join",
            "How messages of the inputs are joined.",
            &[
                Field::string(
                    "type",
                    "`full-outer`: everything is given at the end; `outer`: what the last input has is given, with what \
                     those before it had of the same id.",
                )
                .options(&["none", "full-outer", "outer", "full-outter", "outter"])
                .default("none")
                .advanced(),
                Field::string("id_path", "Dot path of the id, a text.").default("''").advanced(),
                Field::int(
                    "iterations",
                    "In how many passes the inputs are read and joined, each for its share of the ids: more passes need \
                     less memory. It is one pass unless all inputs are `file`, `csv` or `generate` and stay as they are.",
                )
                .default("1")
                .advanced(),
                Field::string(
                    "merge_strategy",
                    "What becomes of a field that two messages have: both values in an array, the new or the old one.",
                )
                .options(&["array", "replace", "keep"])
                .default("array")
                .advanced(),
            ],
        )
        .advanced(),
        Field::input("inputs", "The inputs, in order.").list(),
    ]),
    examples: &[Example {
        title: "An end mark",
        config: "inputs: [ { generate: { count: 2, mapping: 'root = 1' } }, { generate: { count: 1, mapping: 'root = \"end\"' } } ]",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.inputs.is_empty() {
            return Err(BuildError::new("requires at least one child input"));
        }
        let log = Log::new(context);
        let again = config.inputs.iter().all(reads_again);
        let joiner = config.sharded_join.joiner(again).map_err(|error| error.context("invalid sharded join config"))?;
        let stops = Stops { soft: context.environment().soft_stop.clone(), hard: context.environment().hard_stop.clone() };
        let Some(joiner) = joiner else {
            let inputs = (0..).zip(&config.inputs).map(|(index, input)| context.input(&child(index), input));
            let inputs = inputs.collect::<Result<_, _>>()?;
            return Ok(InputComponent::Node(Box::new(Sequence { inputs, stops })));
        };
        if config.sharded_join.iterations > 1 && !again {
            log.warn("All is joined in one pass, for not all inputs can be read again");
        }
        let children = Children { nodes: config.inputs, workshop: context.workshop() };
        // Where an input stood in another generation is not where a join begins.
        children.workshop.forget();
        Ok(InputComponent::Node(Box::new(Joined {
            inputs: children.build()?,
            children: Arc::new(children),
            joiner,
            again,
            given: Arc::default(),
            ready: VecDeque::new(),
            flushed: false,
            stops,
            log,
        })))
    },
};

/// Whether an input gives all of it again when it is built anew.
fn reads_again(input: &Node) -> bool {
    let keeps = |config: &Node| config.get("delete_on_finish").and_then(Node::as_str) != Some("true");
    ["file", "csv"].iter().find_map(|name| input.get(name)).is_some_and(keeps)
        || input.get("generate").is_some()
}

/// Where a child is.
fn child(index: usize) -> String {
    format!("sequence.inputs.{index}")
}

/// How long after a failure the inputs of a further pass are built again.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Config {
    sharded_join: Join,
    #[serde(default)]
    inputs: Vec<Node>,
}

#[derive(Deserialize)]
struct Join {
    r#type: String,
    id_path: String,
    iterations: i64,
    merge_strategy: String,
}

impl Join {
    /// What joins, in one pass unless the inputs can be read again.
    fn joiner(&self, again: bool) -> Result<Option<Joiner>, BuildError> {
        let only_last = match self.r#type.as_str() {
            "none" => return Ok(None),
            "full-outer" | "full-outter" => false,
            "outer" | "outter" => true,
            other => return Err(BuildError::new(format!("join type '{other}' was not recognised"))),
        };
        if self.id_path.is_empty() {
            return Err(BuildError::new("the id path must not be empty"));
        }
        if self.iterations <= 0 {
            return Err(BuildError::new(format!("invalid number of iterations: {}", self.iterations)));
        }
        let merge = match self.merge_strategy.as_str() {
            "array" => Merge::Array,
            "replace" => Merge::Replace,
            "keep" => Merge::Keep,
            other => return Err(BuildError::new(format!("merge strategy '{other}' was not recognised"))),
        };
        Ok(Some(Joiner::new(
            &self.id_path,
            merge,
            only_last,
            if again { self.iterations.unsigned_abs() } else { 1 },
        )))
    }
}

struct Stops {
    soft: CancellationToken,
    hard: CancellationToken,
}

/// Inputs one after the other.
struct Sequence {
    inputs: VecDeque<Box<dyn Input>>,
    stops: Stops,
}

#[async_trait]
impl Input for Sequence {
    async fn next(&mut self) -> Next {
        loop {
            let Some(current) = self.inputs.front_mut() else { return Next::End };
            match current.next().await {
                Next::End => {}
                next => return next,
            }
            // Closed while it is still in its place: a dropped future closes it again.
            current.close().await;
            self.inputs.pop_front();
            if self.stops.soft.is_cancelled() {
                return Next::End;
            }
        }
    }

    fn replays(&self) -> bool {
        self.inputs.iter().all(|input| input.replays())
    }

    async fn close(&mut self) {
        while let Some(input) = self.inputs.front_mut() {
            input.close().await;
            self.inputs.pop_front();
        }
    }
}

/// How the inputs of a join are built, anew for each pass.
struct Children {
    nodes: Vec<Node>,
    workshop: Arc<dyn Workshop>,
}

impl Children {
    fn build(&self) -> Result<VecDeque<Apart<Box<dyn Input>>>, BuildError> {
        let inputs = self.nodes.iter().enumerate().map(|(index, node)| {
            let mut apart = self.workshop.input(&child(index), node)?;
            // Nothing is delivered before the join is: a further run reads from the begin.
            apart.view.checkpoints = Arc::default();
            self.workshop.show(&apart.view);
            Ok(apart)
        });
        inputs.collect()
    }
}

/// Inputs whose messages are joined.
struct Joined {
    children: Arc<Children>,
    inputs: VecDeque<Apart<Box<dyn Input>>>,
    joiner: Joiner,
    /// Whether all inputs can be read again.
    again: bool,
    given: Arc<Given>,
    /// Joined messages that are to be given.
    ready: VecDeque<Message>,
    flushed: bool,
    stops: Stops,
    log: Log,
}

/// The origin of joined messages: what they were made of is acknowledged.
struct Nowhere;

impl Origin for Nowhere {
    fn settle(&self, _: u32, _: Result<(), Failure>) {}
}

impl Joined {
    /// Begins the next pass over the inputs; false when there is none.
    async fn begin_pass(&mut self) -> bool {
        if self.joiner.is_over() {
            return false;
        }
        let children = Arc::clone(&self.children);
        // A build may read files.
        let built = match tokio::task::spawn_blocking(move || children.build()).await {
            Ok(built) => built.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match built {
            Ok(inputs) => self.inputs = inputs,
            Err(error) => {
                self.log.error(format_args!("Failed to read the inputs anew: {error}"));
                tokio::select! {
                    () = self.stops.soft.cancelled() => {}
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
        true
    }

    /// Reads on; false once all is joined.
    async fn read(&mut self) -> bool {
        let last = self.inputs.len() == 1;
        let Some(current) = self.inputs.front_mut() else { return self.begin_pass().await };
        let current = &mut current.component;
        match current.next().await {
            Next::Frame(frame) => {
                self.ready
                    .extend(frame.messages().iter().filter_map(|message| self.joiner.add(message, last)));
                frame.deliver();
            }
            Next::Flush => {}
            Next::End => {
                current.close().await;
                self.inputs.pop_front();
                // What was stopped is joined anew; only what cannot be read again goes out half joined.
                if self.inputs.is_empty() && !(self.again && self.stops.soft.is_cancelled()) {
                    self.ready.extend(self.joiner.finish());
                }
            }
        }
        true
    }

    fn batches(&mut self) -> Option<Frame> {
        let mut frame = Frame::new(Arc::new(Nowhere));
        let count = self.ready.len().min(MAX_BATCHES);
        for (slot, message) in (0..).zip(self.ready.drain(..count)) {
            frame.push([message], slot);
        }
        (!frame.is_empty()).then_some(frame)
    }
}

#[async_trait]
impl Input for Joined {
    async fn next(&mut self) -> Next {
        loop {
            if let Some(frame) = self.batches() {
                self.flushed = false;
                return Next::Frame(self.given.pass(frame, true));
            }
            if self.stops.soft.is_cancelled() || !self.read().await {
                break;
            }
        }
        if self.given.is_settled() {
            return Next::End;
        }
        if !std::mem::replace(&mut self.flushed, true) {
            return Next::Flush;
        }
        tokio::select! {
            () = self.stops.hard.cancelled() => Next::End,
            frame = self.given.again() => frame.map_or(Next::End, Next::Frame),
        }
    }

    async fn close(&mut self) {
        self.given.close();
        while let Some(input) = self.inputs.front_mut() {
            input.component.close().await;
            self.inputs.pop_front();
        }
    }
}

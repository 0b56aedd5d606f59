//! `broker`: several inputs as one.

use async_trait::async_trait;
use serde::Deserialize;
use std::panic::resume_unwind;
use tokio::{sync::mpsc, task::JoinSet};
use weir_core::{
    build_error::BuildError,
    field::Field,
    input::{Input, InputComponent, Next},
    node::Node,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "broker",
    summary: "Reads from several inputs at once.",
    description: "Each input is read in a task of its own; a slow one holds up no other. The broker ends when all of \
                  them have ended. With `batching`, messages of all of them are gathered into the same batches.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("copies", "How many times each of the inputs is built.").default("1").advanced(),
        Field::input("inputs", "The inputs to read from.").list(),
        Field::batching("batching", "Gathers the messages of all inputs into larger batches."),
    ]),
    examples: &[Example {
        title: "Two sources",
        config: "inputs:\n  - generate: { mapping: 'root.from = \"a\"' }\n  - generate: { mapping: 'root.from = \"b\"' }",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.inputs.is_empty() {
            return Err(BuildError::new("attempting to create broker input type with no inputs"));
        }
        let copies = usize::try_from(config.copies).unwrap_or(0).max(1);
        if copies.saturating_mul(config.inputs.len()) > MAX_INPUTS {
            return Err(BuildError::new(format!("more than {MAX_INPUTS} inputs")).at("copies"));
        }
        let mut inputs = Vec::with_capacity(copies * config.inputs.len());
        for _ in 0..copies {
            for (index, input) in config.inputs.iter().enumerate() {
                inputs.push(context.input(&format!("broker.inputs.{index}"), input)?);
            }
        }
        Ok(InputComponent::Node(match inputs.len() {
            1 => inputs.remove(0),
            _ => Box::new(Broker::new(inputs)),
        }))
    },
};

/// A typing error in `copies` must not cost a million tasks.
const MAX_INPUTS: usize = 4096;

#[derive(Deserialize)]
struct Config {
    copies: i64,
    #[serde(default)]
    inputs: Vec<Node>,
    #[expect(dead_code, reason = "the engine gathers behind this input")]
    batching: Option<Node>,
}

struct Broker {
    /// Inputs whose tasks are not started yet.
    waiting: Vec<Box<dyn Input>>,
    /// What each input is at.
    states: Vec<State>,
    tasks: JoinSet<()>,
    frames: Option<mpsc::Receiver<(usize, Next)>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// Everything it has was given.
    Flushed,
    Ended,
}

impl Broker {
    fn new(inputs: Vec<Box<dyn Input>>) -> Self {
        let states = vec![State::Reading; inputs.len()];
        Self { waiting: inputs, states, tasks: JoinSet::new(), frames: None }
    }

    /// Starts the inputs' tasks at the first call.
    fn frames(&mut self) -> &mut mpsc::Receiver<(usize, Next)> {
        let (waiting, tasks) = (&mut self.waiting, &mut self.tasks);
        self.frames.get_or_insert_with(|| {
            let (to, frames) = mpsc::channel(waiting.len().clamp(1, 16));
            for (at, input) in waiting.drain(..).enumerate() {
                tasks.spawn(read(at, input, to.clone()));
            }
            frames
        })
    }

    /// Notes what one input gave, and says what the broker gives.
    fn note(&mut self, at: usize, next: Next) -> Option<Next> {
        let state = match next {
            Next::Frame(_) => State::Reading,
            Next::Flush => State::Flushed,
            Next::End => State::Ended,
        };
        if let Some(known) = self.states.get_mut(at) {
            *known = state;
        }
        if let Next::Frame(_) = next {
            return Some(next);
        }
        let waits = self.states.contains(&State::Reading) || !self.states.contains(&State::Flushed);
        if waits { None } else { Some(Next::Flush) }
    }
}

async fn read(at: usize, mut input: Box<dyn Input>, to: mpsc::Sender<(usize, Next)>) {
    loop {
        let next = input.next().await;
        let ends = matches!(next, Next::End);
        if to.send((at, next)).await.is_err() || ends {
            break;
        }
    }
    drop(to);
    input.close().await;
}

#[async_trait]
impl Input for Broker {
    async fn next(&mut self) -> Next {
        loop {
            self.frames();
            let Some(frames) = &mut self.frames else { return Next::End };
            let (at, next) = tokio::select! {
                biased;
                Some(done) = self.tasks.join_next() => {
                    raise(done);
                    continue;
                }
                received = frames.recv() => match received {
                    Some(received) => received,
                    None => return Next::End,
                },
            };
            if let Some(next) = self.note(at, next) {
                return next;
            }
        }
    }

    async fn close(&mut self) {
        for input in &mut self.waiting {
            input.close().await;
        }
        if let Some(frames) = &mut self.frames {
            // Those that wait for room fail back what they hold.
            frames.close();
            while frames.try_recv().is_ok() {}
        }
        while let Some(done) = self.tasks.join_next().await {
            raise(done);
        }
    }
}

/// A panic of an input's task is the broker's own.
fn raise(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && let Ok(panic) = error.try_into_panic()
    {
        resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::VecDeque, sync::Arc};
    use weir_bloblang::Message;
    use weir_core::{
        ack::{Failure, Origin},
        frame::Frame,
    };

    struct Nowhere;

    impl Origin for Nowhere {
        fn settle(&self, _: u32, _: Result<(), Failure>) {}
    }

    /// Gives what it is told to, one a call.
    struct Scripted(VecDeque<&'static str>);

    #[async_trait]
    impl Input for Scripted {
        async fn next(&mut self) -> Next {
            match self.0.pop_front() {
                Some("flush") => Next::Flush,
                Some("panic") => panic!("broken input"),
                Some("wait") => std::future::pending().await,
                Some(text) => Next::Frame(Frame::single(vec![Message::new(text)], 0, Arc::new(Nowhere))),
                None => Next::End,
            }
        }
    }

    fn broker(scripts: &[&[&'static str]]) -> Broker {
        let input =
            |script: &&[&'static str]| Box::new(Scripted(script.iter().copied().collect())) as Box<dyn Input>;
        Broker::new(scripts.iter().map(input).collect())
    }

    async fn given(broker: &mut Broker) -> Vec<String> {
        let mut out = Vec::new();
        loop {
            match broker.next().await {
                Next::Frame(frame) => {
                    out.push(String::from_utf8_lossy(frame.messages()[0].content()).into_owned());
                }
                Next::Flush => out.push("flush".into()),
                Next::End => return out,
            }
        }
    }

    #[tokio::test]
    async fn flushes_once_all_are_flushed_or_ended() {
        let mut broker = broker(&[&["a", "flush"], &["b", "flush"], &[]]);
        let mut given = given(&mut broker).await;
        assert_eq!(given.last().map(String::as_str), Some("flush"));
        given.sort();
        given.dedup();
        assert_eq!(given, ["a", "b", "flush"]);
        broker.close().await;
    }

    #[tokio::test]
    async fn ends_when_all_have_ended() {
        let mut broker = broker(&[&["a", "b"], &["c"]]);
        let mut given = given(&mut broker).await;
        given.sort();
        assert_eq!(given, ["a", "b", "c"]);
    }

    #[tokio::test]
    #[should_panic(expected = "broken input")]
    async fn a_panic_reaches_the_parent() {
        given(&mut broker(&[&["wait"], &["panic"]])).await;
    }
}

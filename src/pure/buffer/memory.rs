//! `memory`: batches in the memory of this process, acknowledged when taken in.

use async_trait::async_trait;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use weir_bloblang::{Message, UNTAGGED};
use weir_core::{
    ack::{Failure, Origin, Owed},
    batch::{Batcher, Policy, Trigger},
    buffer::{Buffer, Given},
    build_error::BuildError,
    field::Field,
    frame::{Frame, MAX_BATCHES, MAX_BYTES},
    input::Next,
    metrics::Series,
    node::Node,
    processor::{Processor, one},
    registry::BufferSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "memory",
    summary: "Takes messages in ahead of the pipeline and keeps them in memory.",
    description: "Messages are acknowledged as soon as they are taken in: what the buffer holds is lost when the \
                  process ends abruptly. A batch larger than `limit` is dropped. What the output could not deliver \
                  is given out again before anything newer.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::int("limit", "How many bytes it holds before the input must wait.").default("524288000"),
        Field::object("batch_policy", "Joins batches as they leave the buffer.", POLICY),
    ]),
    examples: &[
        Example { title: "Ten megabytes", config: "limit: 10000000" },
        Example {
            title: "Batches of a hundred",
            config: "batch_policy: { enabled: true, count: 100, period: 1s }",
        },
    ],
    build: |node, context| {
        let config: Config = node.read()?;
        let policy: PolicyConfig = config.batch_policy.read()?;
        let policy = if policy.enabled {
            let policy = context.batching("memory.batch_policy", &config.batch_policy.without("enabled"))?;
            Some(
                policy
                    .ok_or_else(|| BuildError::new("batch policy must have at least one active trigger"))?,
            )
        } else {
            None
        };
        let hard_stop = context.environment().hard_stop.clone();
        let created = context.batching_series();
        Ok(Box::new(Memory::new(usize::try_from(config.limit).unwrap_or(0), policy, created, hard_stop)))
    },
};

static POLICY: &[Field] = &[
    Field::bool("enabled", "Whether batches are joined.").default("false"),
    Field::int("count", "Flush when this many messages are gathered; 0 disables this.").default("0"),
    Field::int("byte_size", "Flush when this many bytes are gathered; 0 disables this.").default("0"),
    Field::duration("period", "Flush an incomplete batch after this long, whatever its size.").default("''"),
    Field::mapping(
        "check",
        "A query that is asked of each added message, and whose `true` flushes the batch.",
    )
    .default("''"),
    Field::processors("processors", "Processors that each flushed batch goes through.").optional().advanced(),
];

#[derive(Deserialize)]
struct Config {
    limit: i64,
    batch_policy: Node,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the context reads the others")]
struct PolicyConfig {
    enabled: bool,
    count: Node,
    byte_size: Node,
    period: Node,
    check: Node,
    processors: Option<Node>,
}

struct Memory {
    limit: usize,
    batching: Option<Batching>,
    /// Batches given out, by what made them; as in the reference, each counts when none are joined.
    created: Arc<Series>,
    hard_stop: CancellationToken,
    held: Arc<Held>,
}

/// Joins batches on their way out.
struct Batching {
    batcher: Mutex<Batcher>,
    processors: Option<Arc<dyn Processor>>,
}

/// What the buffer holds; also where the batches given out come from.
struct Held {
    state: Mutex<State>,
    /// Something was added, settled, or the input ended.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Batches to give out, by their age.
    waiting: BTreeMap<u64, Stored>,
    /// Batches given out.
    out: Given<(u64, Stored)>,
    next_age: u64,
    bytes: usize,
    finished: bool,
}

struct Stored {
    messages: Vec<Message>,
    bytes: usize,
}

impl State {
    /// Moves the oldest batch out and gives a copy of it with its slot.
    fn take(&mut self) -> Option<(Vec<Message>, usize, u32)> {
        let (age, stored) = self.waiting.pop_first()?;
        let taken = (stored.messages.clone(), stored.bytes);
        Some((taken.0, taken.1, self.out.give((age, stored))))
    }

    /// What there is to do when nothing can be given out; `due` is when an incomplete batch is.
    fn idle(&mut self, due: Option<Instant>) -> Turn {
        if !self.finished {
            return Turn::Wait(due);
        }
        self.out.last().map_or(Turn::Wait(None), Turn::Give)
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Origin for Held {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let mut state = self.state();
        let Some((age, stored)) = state.out.take(slot) else { return };
        if outcome.is_ok() {
            state.bytes = state.bytes.saturating_sub(stored.bytes);
        } else {
            state.waiting.insert(age, stored);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// What there is to do for who takes from the buffer.
enum Turn {
    Give(Next),
    /// A joined batch that the policy's processors have yet to work.
    Process(Arc<dyn Processor>, Frame),
    /// Nothing yet; the instant is when an incomplete batch is due.
    Wait(Option<Instant>),
}

impl Memory {
    fn new(limit: usize, policy: Option<Policy>, created: Arc<Series>, hard_stop: CancellationToken) -> Self {
        let batching = policy.map(|policy| Batching {
            processors: policy.processors.clone(),
            batcher: Mutex::new(Batcher::new(policy, Instant::now())),
        });
        let held = Arc::new(Held { state: Mutex::default(), changed: Notify::new() });
        Self { limit, batching, created, hard_stop, held }
    }

    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.held) as Arc<dyn Origin>
    }

    fn turn(&self) -> Turn {
        let Some(batching) = &self.batching else {
            let mut state = self.held.state();
            let frame = self.frame(&mut state);
            if frame.is_empty() {
                return state.idle(None);
            }
            self.created.add(Trigger::Count as usize, frame.len() as u64);
            return Turn::Give(Next::Frame(frame));
        };
        let mut batcher = batching.batcher.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.held.state();
        let mut met = None;
        while met.is_none()
            && let Some((messages, _, slot)) = state.take()
        {
            met = batcher.add(Frame::single(messages, slot, self.origin()));
        }
        let now = Instant::now();
        if met.is_none() && batcher.due().is_some_and(|due| due <= now) {
            met = Some(Trigger::Period);
        }
        let joined = if met.is_some() || state.finished { batcher.flush(now) } else { None };
        if let (Some(_), Some(trigger)) = (&joined, met) {
            self.created.add(trigger as usize, 1);
        }
        match (joined, &batching.processors) {
            (Some(frame), Some(processors)) => Turn::Process(Arc::clone(processors), frame),
            (Some(frame), None) => Turn::Give(Next::Frame(frame)),
            (None, _) => state.idle(batcher.due()),
        }
    }

    /// Acknowledges a batch and makes it fit to be kept; one that is too large is dropped, as in the reference.
    fn accept(&self, single: Frame) -> Option<Stored> {
        let (mut messages, marks, origin) = single.into_parts();
        for mark in marks {
            origin.settle(mark.slot, Ok(()));
        }
        let bytes = messages.iter().map(Message::len).sum();
        for message in &mut messages {
            message.tag = UNTAGGED;
        }
        (bytes <= self.limit && !messages.is_empty()).then_some(Stored { messages, bytes })
    }

    /// As many waiting batches as fit a frame.
    fn frame(&self, state: &mut State) -> Frame {
        let mut frame = Frame::new(self.origin());
        let mut bytes = 0;
        while frame.len() < MAX_BATCHES
            && bytes < MAX_BYTES
            && let Some((messages, size, slot)) = state.take()
        {
            bytes += size;
            frame.push(messages, slot);
        }
        frame
    }
}

#[async_trait]
impl Buffer for Memory {
    async fn push(&self, frame: Frame) {
        let mut fresh: VecDeque<Stored> =
            frame.into_singles().filter_map(|single| self.accept(single)).collect();
        while !fresh.is_empty() {
            let changed = self.held.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let mut added = false;
            {
                let mut state = self.held.state();
                while let Some(stored) = fresh.pop_front_if(|stored| state.bytes + stored.bytes <= self.limit)
                {
                    let age = state.next_age;
                    state.next_age += 1;
                    state.bytes += stored.bytes;
                    state.waiting.insert(age, stored);
                    added = true;
                }
            }
            if added {
                self.held.changed.notify_waiters();
            }
            if fresh.is_empty() {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = self.hard_stop.cancelled() => return,
            }
        }
    }

    async fn finish(&self) {
        self.held.state().finished = true;
        self.held.changed.notify_waiters();
    }

    async fn pop(&self) -> Next {
        loop {
            let changed = self.held.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.turn() {
                Turn::Give(next) => return next,
                Turn::Process(processors, frame) => {
                    let (messages, marks, origin) = frame.into_parts();
                    let Some(mark) = marks.first() else { continue };
                    let owed = Owed::new(origin, mark.slot);
                    match processors.process(messages).await {
                        Ok(batches) => {
                            let joined = batches.into_iter().flatten().collect();
                            if let Some(frame) = owed.pass(one(joined)).next() {
                                return Next::Frame(frame);
                            }
                        }
                        Err(error) => owed.settle(Err(Failure::all(error))),
                    }
                }
                Turn::Wait(None) => changed.await,
                Turn::Wait(Some(due)) => {
                    tokio::select! {
                        () = changed => {}
                        () = sleep_until(due) => {}
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_core::{batch::BATCH_CREATED, metrics::Metrics};

    struct Ignored;

    impl Origin for Ignored {
        fn settle(&self, _: u32, outcome: Result<(), Failure>) {
            assert!(outcome.is_ok());
        }
    }

    fn frame(batches: &[&'static str]) -> Frame {
        let mut frame = Frame::new(Arc::new(Ignored));
        for (slot, batch) in batches.iter().enumerate() {
            frame.push(batch.split(',').map(Message::new), u32::try_from(slot).unwrap());
        }
        frame
    }

    fn memory(limit: usize, policy: Option<Policy>) -> Memory {
        let created = Metrics::default().series(&Arc::default(), &BATCH_CREATED);
        Memory::new(limit, policy, created, CancellationToken::new())
    }

    fn shown(frame: &Frame) -> Vec<String> {
        let show = |batch: &[Message]| {
            let texts: Vec<_> =
                batch.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned()).collect();
            texts.join(",")
        };
        frame.batches().map(|(_, batch)| show(batch)).collect()
    }

    async fn popped(memory: &Memory) -> Frame {
        match memory.pop().await {
            Next::Frame(frame) => frame,
            Next::Flush => panic!("flush"),
            Next::End => panic!("end"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_comes_again_before_anything_newer() {
        let memory = memory(100, None);
        memory.push(frame(&["a,b", "c"])).await;
        let first = popped(&memory).await;
        assert_eq!(shown(&first), ["a,b", "c"]);
        memory.push(frame(&["d"])).await;
        memory.finish().await;
        first.fail(&weir_core::error::Error::failed("no"));
        let second = popped(&memory).await;
        assert_eq!(shown(&second), ["a,b", "c", "d"]);
        assert!(matches!(memory.pop().await, Next::Flush));
        second.deliver();
        assert!(matches!(memory.pop().await, Next::End));
    }

    #[tokio::test(start_paused = true)]
    async fn the_input_waits_while_the_buffer_is_full() {
        let memory = memory(4, None);
        memory.push(frame(&["aa", "bb", "too large"])).await;
        let push = memory.push(frame(&["cc"]));
        tokio::pin!(push);
        assert!(tokio::time::timeout(Duration::from_secs(1), push.as_mut()).await.is_err());
        popped(&memory).await.deliver();
        push.await;
        assert_eq!(shown(&popped(&memory).await), ["cc"]);
    }

    #[tokio::test(start_paused = true)]
    async fn batches_are_joined_by_the_policy_and_the_tail_is_flushed() {
        let policy = Policy { count: 2, period: Some(Duration::from_secs(5)), ..Policy::default() };
        let memory = memory(100, Some(policy));
        memory.push(frame(&["a", "b", "c"])).await;
        let began = Instant::now();
        let first = popped(&memory).await;
        assert_eq!(shown(&first), ["a,b"]);
        let timed = popped(&memory).await;
        assert_eq!((shown(&timed), began.elapsed()), (vec!["c".to_owned()], Duration::from_secs(5)));
        timed.deliver();
        memory.push(frame(&["d"])).await;
        memory.finish().await;
        drop(first);
        let rest = popped(&memory).await;
        assert_eq!(shown(&rest), ["a,b"]);
        rest.deliver();
        let rest = popped(&memory).await;
        assert_eq!(shown(&rest), ["d"]);
        rest.deliver();
        assert!(matches!(memory.pop().await, Next::End));
    }
}

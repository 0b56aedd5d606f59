//! A reader made into an input: it connects, gives frames, replays what was nacked, and tells the source how far
//! everything is delivered.

use crate::{families::input as counter, taps::Taps};
use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use weir_bloblang::Message;
use weir_core::{
    ack::{Failure, Origin},
    backoff::Backoff,
    context::Environment,
    error::Error,
    frame::{Frame, Mark},
    input::{Input, Next, OnOutcome, Progress, Reader, Reading},
    log::Log,
    metrics::Series,
    packed::Packed,
    status::{Account, Connection},
    trace::Tracer,
};

/// At most so many frames under way have their originals at hand.
const BUSY: usize = 64;

/// A leaf input.
pub(crate) struct LeafInput {
    reader: Box<dyn Reader>,
    environment: Environment,
    connection: Arc<Connection>,
    series: Arc<Series>,
    backoff: Backoff,
    connected: bool,
    ended: bool,
    flushed: bool,
    reading: Reading,
    ledger: Arc<Ledger>,
    taps: Option<Arc<Taps>>,
}

impl LeafInput {
    pub(crate) fn new(
        reader: Box<dyn Reader>,
        environment: Environment,
        connection: Arc<Connection>,
        series: Arc<Series>,
        taps: Option<Arc<Taps>>,
    ) -> Self {
        let ledger = Arc::new(Ledger {
            progress: reader.progress(),
            replays: reader.replays(),
            series: Arc::clone(&series),
            traced: environment.tracer.clone().map(|tracer| {
                let name = format!("input_{}", connection.component.name);
                (tracer, name)
            }),
            state: Mutex::default(),
            changed: Notify::new(),
            closing: AtomicBool::new(false),
        });
        let account: Weak<Ledger> = Arc::downgrade(&ledger);
        connection.set_account(account);
        Self {
            reader,
            environment,
            connection,
            series,
            backoff: Backoff::input(),
            connected: false,
            ended: false,
            flushed: false,
            reading: Reading::default(),
            ledger,
            taps,
        }
    }

    /// For its log lines, which are few.
    fn log(&self) -> Log {
        Log::of(&self.connection.component, &self.environment)
    }

    /// One attempt; false after a failure and its wait.
    async fn connect(&mut self) {
        match self.reader.connect().await {
            Ok(()) => {
                self.connected = true;
                self.backoff.reset();
                self.connection.up();
                self.series.add(counter::UP, 1);
                self.log().info(format_args!("Input type {} is now active", self.connection.component.name));
            }
            Err(Error::EndOfInput | Error::Closed) => self.ended = true,
            Err(reason) => {
                let wait = match &reason {
                    Error::BackOff(wait, _) => *wait,
                    _ => self.backoff.wait(),
                };
                let name = &self.connection.component.name;
                self.log().error(format_args!("Failed to connect to {name}: {reason}"));
                self.series.add(counter::FAILED, 1);
                self.series.fault(&reason.to_string(), 1);
                self.connection.down(Some(reason.to_string()));
                tokio::time::sleep(wait).await;
            }
        }
    }

    async fn read(&mut self) {
        match self.reader.read(&mut self.reading).await {
            Ok(()) => self.backoff.reset(),
            Err(Error::EndOfInput | Error::Closed) => {
                self.ended = true;
                self.connection.down(Some(Error::Closed.to_string()));
            }
            Err(Error::NotConnected) => {
                self.connected = false;
                self.series.add(counter::LOST, 1);
                self.connection.down(None);
            }
            Err(Error::BackOff(wait, _)) => tokio::time::sleep(wait).await,
            Err(reason) => {
                self.log().error(format_args!("Failed to read message: {reason}"));
                self.series.fault(&reason.to_string(), 1);
                tokio::time::sleep(self.backoff.wait()).await;
            }
        }
    }

    /// What was read, as a frame that the ledger keeps account of.
    fn frame(&mut self) -> Frame {
        let Reading { mut messages, ends, position, outcomes } = std::mem::take(&mut self.reading);
        self.series.add(counter::RECEIVED, messages.len() as u64);
        let mut marks = Vec::with_capacity(ends.len());
        let mut start = 0;
        for (slot, end) in (0..).zip(&ends) {
            if let Some(batch) = messages.get_mut(start..*end as usize) {
                (0..).zip(batch).for_each(|(tag, message)| message.tag = tag);
            }
            start = *end as usize;
            marks.push(Mark { end: *end, slot });
        }
        let sent = Arc::new(Sent {
            ledger: Arc::clone(&self.ledger),
            position,
            pending: AtomicU32::new(u32::try_from(ends.len()).unwrap_or(u32::MAX)),
            originals: Mutex::new(Originals::Fresh(if self.ledger.replays {
                messages.clone()
            } else {
                Vec::new()
            })),
            ends,
            asked: !outcomes.is_empty(),
            outcomes: Mutex::new(outcomes.into_iter().map(Some).collect()),
            attempts: Mutex::default(),
            read_at: Instant::now(),
        });
        self.ledger.add(Arc::clone(&sent));
        self.ledger.trace(&mut messages);
        if let Some(taps) = &self.taps {
            taps.pass(&self.connection.component.path, &messages);
        }
        Frame::from_parts(messages, marks, sent)
    }
}

#[async_trait]
impl Input for LeafInput {
    async fn next(&mut self) -> Next {
        let (soft, hard) = (self.environment.soft_stop.clone(), self.environment.hard_stop.clone());
        let ledger = Arc::clone(&self.ledger);
        loop {
            if hard.is_cancelled() {
                return Next::End;
            }
            if !self.reading.is_empty() {
                self.flushed = false;
                return Next::Frame(self.frame());
            }
            let changed = ledger.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let stopping = soft.is_cancelled();
            let due = match ledger.replay(stopping) {
                Replay::Now(frame) => {
                    self.flushed = false;
                    return Next::Frame(frame);
                }
                Replay::Later(due) => due,
            };
            if stopping || self.ended {
                ledger.closing.store(true, Ordering::Release);
                if ledger.settled(stopping) {
                    return Next::End;
                }
                if !std::mem::replace(&mut self.flushed, true) {
                    return Next::Flush;
                }
                tokio::select! {
                    () = hard.cancelled() => {}
                    () = soft.cancelled(), if !stopping => {}
                    () = &mut changed => {}
                    () = until(due) => {}
                }
                continue;
            }
            let connected = self.connected;
            tokio::select! {
                biased;
                () = soft.cancelled() => {}
                () = hard.cancelled() => {}
                () = &mut changed => {}
                () = until(due) => {}
                () = async { if connected { self.read().await } else { self.connect().await } } => {}
            }
        }
    }

    fn replays(&self) -> bool {
        self.reader.replays()
    }

    async fn close(&mut self) {
        self.reader.close().await;
        self.connection.down(Some("stream terminated".into()));
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What is out there, of one input.
struct Ledger {
    progress: Option<Arc<dyn Progress>>,
    replays: bool,
    series: Arc<Series>,
    /// Who records spans, and what those of this input are called.
    traced: Option<(Arc<Tracer>, String)>,
    state: Mutex<State>,
    /// A replay is due, or somebody waits for the end.
    changed: Notify,
    /// Every outcome matters now, not only the last of a frame.
    closing: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Frames in the order they were read, until all before and they themselves are delivered.
    open: VecDeque<Arc<Sent>>,
    nacked: VecDeque<Nacked>,
}

struct Nacked {
    sent: Arc<Sent>,
    slot: u32,
    failure: Failure,
    due: Instant,
}

enum Replay {
    Now(Frame),
    Later(Option<Instant>),
}

impl Account for Ledger {
    fn oldest(&self) -> Option<Duration> {
        self.lock().open.front().map(|sent| sent.read_at.elapsed())
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps account of a frame. One that so many others came after waits for something, and may do so for long.
    fn add(&self, sent: Arc<Sent>) {
        let mut state = self.lock();
        state.open.push_back(sent);
        let waits = state.open.len().checked_sub(BUSY).and_then(|at| state.open.get(at)).cloned();
        drop(state);
        if let Some(waits) = waits {
            waits.pack();
        }
    }

    fn trace(&self, messages: &mut [Message]) {
        if let Some((tracer, name)) = &self.traced {
            tracer.begin(messages, name, None);
        }
    }

    /// The next batch to send again. While stopping, what was nacked is left to the source.
    fn replay(&self, stopping: bool) -> Replay {
        let mut state = self.lock();
        if stopping {
            return Replay::Later(None);
        }
        let now = Instant::now();
        let Some(at) = state.nacked.iter().position(|nacked| nacked.due <= now) else {
            return Replay::Later(state.nacked.iter().map(|nacked| nacked.due).min());
        };
        let Some(nacked) = state.nacked.remove(at) else { return Replay::Later(None) };
        drop(state);
        let mut messages = nacked.sent.batch(nacked.slot);
        messages.retain(|message| nacked.failure.of(message.tag).is_some());
        self.trace(&mut messages);
        Replay::Now(Frame::single(messages, nacked.slot, nacked.sent))
    }

    /// Whether every batch has met its end; those to be replayed count as such while stopping.
    fn settled(&self, stopping: bool) -> bool {
        let state = self.lock();
        let pending: usize =
            state.open.iter().map(|sent| sent.pending.load(Ordering::Acquire) as usize).sum();
        pending == if stopping { state.nacked.len() } else { 0 }
    }

    fn frame_delivered(&self) {
        let mut state = self.lock();
        let mut position = None;
        while state.open.front().is_some_and(|sent| sent.pending.load(Ordering::Acquire) == 0) {
            position = state.open.pop_front().map(|sent| sent.position);
        }
        // Told under the lock, so that positions only grow.
        if let (Some(position), Some(progress)) = (position, &self.progress) {
            progress.acknowledged(position);
        }
    }
}

/// One frame that was sent on its way.
struct Sent {
    ledger: Arc<Ledger>,
    position: u64,
    /// Batches that are not delivered yet.
    pending: AtomicU32,
    /// Copies to replay.
    originals: Mutex<Originals>,
    ends: Vec<u32>,
    outcomes: Mutex<Vec<Option<OnOutcome>>>,
    /// Whether anybody is told outcomes.
    asked: bool,
    attempts: Mutex<HashMap<u32, u32>>,
    read_at: Instant,
}

enum Originals {
    /// They share their contents with the messages under way.
    Fresh(Vec<Message>),
    Packed(Packed),
}

impl Sent {
    fn originals(&self) -> MutexGuard<'_, Originals> {
        self.originals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pack(&self) {
        let mut originals = self.originals();
        if let Originals::Fresh(messages) = &mut *originals {
            *originals = Originals::Packed(Packed::new(std::mem::take(messages)));
        }
    }

    fn batch(&self, slot: u32) -> Vec<Message> {
        let slot = slot as usize;
        let start = slot.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let end = self.ends.get(slot).copied().unwrap_or(start);
        let range = start as usize..end as usize;
        match &*self.originals() {
            Originals::Fresh(messages) => messages.get(range).unwrap_or_default().to_vec(),
            Originals::Packed(packed) => range.filter_map(|index| packed.get(index)).collect(),
        }
    }

    /// Two immediate replays, then waits that grow from 1 ms by a tenth up to 1 s.
    fn due(&self, slot: u32) -> Instant {
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = attempts.entry(slot).or_default();
        *attempt += 1;
        let growth = i32::try_from(attempt.saturating_sub(3).min(100)).unwrap_or(100);
        let wait = if *attempt <= 2 { 0.0 } else { (0.001 * 1.1_f64.powi(growth)).min(1.0) };
        Instant::now() + Duration::from_secs_f64(wait)
    }

    /// So many more of its batches need nothing any more.
    fn settled(&self, count: u32) {
        let ledger = &self.ledger;
        if count > 0 && self.pending.fetch_sub(count, Ordering::AcqRel) == count {
            ledger.frame_delivered();
            ledger.series.time(self.read_at.elapsed());
        }
        if ledger.closing.load(Ordering::Acquire) {
            ledger.changed.notify_one();
        }
    }

    fn tell(&self, slot: u32, outcome: Result<(), Failure>) {
        if !self.asked {
            return;
        }
        let mut outcomes = self.outcomes.lock().unwrap_or_else(PoisonError::into_inner);
        let told = outcomes.get_mut(slot as usize).and_then(Option::take);
        drop(outcomes);
        if let Some(told) = told {
            told(outcome);
        }
    }
}

impl Origin for Sent {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let ledger = &self.ledger;
        match outcome {
            Err(failure) if ledger.replays => {
                let due = self.due(slot);
                let mut state = ledger.lock();
                if let Some(sent) =
                    state.open.iter().find(|sent| std::ptr::eq(&raw const ***sent, self)).cloned()
                {
                    state.nacked.push_back(Nacked { sent, slot, failure, due });
                }
                drop(state);
                return ledger.changed.notify_one();
            }
            outcome => self.tell(slot, outcome),
        }
        self.settled(1);
    }

    fn deliver(&self, marks: &[Mark]) {
        marks.iter().for_each(|mark| self.tell(mark.slot, Ok(())));
        self.settled(u32::try_from(marks.len()).unwrap_or(u32::MAX));
    }
}

//! `sqlite`: batches in a database file, acknowledged when they are on disk.

mod database;
mod stored;

use async_trait::async_trait;
use database::{Database, Order, Row};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};
use stored::{decode, encode};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::{Failure, Origin, Owed},
    buffer::{Buffer, Given},
    build_error::BuildError,
    error::Error,
    field::Field,
    frame::{Frame, MAX_BATCHES},
    input::Next,
    log::Log,
    node::Node,
    processor::Processor,
    registry::BufferSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "sqlite",
    summary: "Takes messages in ahead of the pipeline and keeps them in an SQLite database.",
    description: "A batch is acknowledged once it is in the file and the file is synced, and is deleted once it is \
                  delivered: what was acknowledged survives a crash, and what was under way then is delivered again. What \
                  could not be delivered is given out again before anything newer. A stream that is stopped leaves the \
                  rest in the file and goes on from there. A file belongs to one stream. Metadata is kept as JSON.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("path", "The database file, which is made if it is not there; its folder must be."),
        Field::processors("pre_processors", "What batches go through before they are stored.").optional(),
        Field::processors("post_processors", "What batches go through when they are given out.").optional(),
    ]),
    examples: &[Example {
        title: "Compressed on disk",
        config: "path: ./buffer.db\npre_processors: [ { compress: { algorithm: gzip } } ]\npost_processors: [ { decompress: { algorithm: gzip } } ]",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        if config.path.is_empty() {
            return Err(BuildError::new("a path is required").at("path"));
        }
        let path = PathBuf::from(config.path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
            let text = format!("folder {} is not there: make it", folder.display());
            return Err(BuildError::new(text).at("path"));
        }
        let mut processors = |field: &str, nodes: Vec<Node>| {
            let chain = (!nodes.is_empty()).then(|| context.processors(&format!("sqlite.{field}"), &nodes));
            chain.transpose()
        };
        let before = processors("pre_processors", config.pre_processors)?;
        let after = processors("post_processors", config.post_processors)?;
        let environment = context.environment();
        Ok(Box::new(Sqlite {
            path,
            before,
            after,
            soft_stop: environment.soft_stop.clone(),
            hard_stop: environment.hard_stop.clone(),
            log: Arc::new(Log::new(context)),
            held: Arc::default(),
            ready: Mutex::default(),
            orders: OnceLock::new(),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    path: String,
    #[serde(default)]
    pre_processors: Vec<Node>,
    #[serde(default)]
    post_processors: Vec<Node>,
}

/// Frames on their way to the database.
const QUEUE: usize = 16;

struct Sqlite {
    path: PathBuf,
    before: Option<Arc<dyn Processor>>,
    after: Option<Arc<dyn Processor>>,
    soft_stop: CancellationToken,
    hard_stop: CancellationToken,
    log: Arc<Log>,
    held: Arc<Held>,
    /// What the processors made of a frame beside what is given first.
    ready: Mutex<VecDeque<Frame>>,
    /// Leads to the database's thread, which is started with the first batch or the first question for one.
    orders: OnceLock<mpsc::Sender<Order>>,
}

/// What is known of the database's content.
#[derive(Default)]
struct Held {
    state: Mutex<State>,
    /// Something was stored or settled, or the input ended.
    changed: Notify,
    /// There is something to delete.
    delivered: Notify,
}

#[derive(Default)]
struct State {
    /// How often something was stored.
    stores: u64,
    /// How often it was when all there is had been read; none: not yet.
    read_at: Option<u64>,
    /// The newest batch that was read.
    newest: i64,
    /// Batches that failed, by age.
    failed: BTreeMap<i64, Vec<Message>>,
    /// Batches given out.
    out: Given<(i64, Vec<Message>)>,
    /// Batches that are delivered and have yet to be deleted.
    delivered: Vec<i64>,
    finished: bool,
}

impl State {
    /// Gives a batch out, and keeps it until its outcome is known.
    fn give(&mut self, frame: &mut Frame, id: i64, messages: Vec<Message>) {
        let slot = self.out.give((id, messages.clone()));
        frame.push(messages, slot);
    }
}

impl Held {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was stored.
    fn stored(&self) {
        self.state().stores += 1;
        self.changed.notify_waiters();
    }

    /// What is to be deleted.
    fn take_delivered(&self) -> Vec<i64> {
        mem::take(&mut self.state().delivered)
    }

    /// It could not be deleted.
    fn give_back(&self, delivered: Vec<i64>) {
        self.state().delivered.extend(delivered);
    }
}

impl Origin for Held {
    fn settle(&self, slot: u32, outcome: Result<(), Failure>) {
        let mut state = self.state();
        let Some((id, messages)) = state.out.take(slot) else { return };
        if outcome.is_ok() {
            state.delivered.push(id);
            if state.delivered.len() == 1 {
                self.delivered.notify_one();
            }
        } else {
            state.failed.insert(id, messages);
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// What there is to do for who takes from the buffer.
enum Turn {
    Give(Next),
    /// Ask the database for what is newer than this.
    Read(i64),
    Wait,
}

impl Sqlite {
    fn orders(&self) -> &mpsc::Sender<Order> {
        self.orders.get_or_init(|| {
            let (to, orders) = mpsc::channel(QUEUE);
            let (path, held, log) = (self.path.clone(), Arc::clone(&self.held), Arc::clone(&self.log));
            Database { path, held, hard_stop: self.hard_stop.clone(), log }.start(orders);
            to
        })
    }

    fn ready(&self) -> MutexGuard<'_, VecDeque<Frame>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self) -> Arc<dyn Origin> {
        Arc::clone(&self.held) as Arc<dyn Origin>
    }

    fn turn(&self) -> Turn {
        let mut state = self.held.state();
        let mut frame = Frame::new(self.origin());
        while frame.len() < MAX_BATCHES
            && let Some((id, messages)) = state.failed.pop_first()
        {
            state.give(&mut frame, id, messages);
        }
        if !frame.is_empty() {
            return Turn::Give(Next::Frame(frame));
        }
        // What is on disk can wait there for the next start.
        let stopping = self.soft_stop.is_cancelled();
        if !stopping && state.read_at != Some(state.stores) {
            return Turn::Read(state.newest);
        }
        if !state.finished {
            return Turn::Wait;
        }
        state.out.last().map_or(Turn::Wait, Turn::Give)
    }

    /// Asks for batches that are newer than `after`; gives the frame that they make.
    async fn read(&self, after: i64) -> Option<Frame> {
        let stores = self.held.state().stores;
        let (answer, rows) = oneshot::channel();
        self.orders().send(Order::Read { after, answer }).await.ok()?;
        let (rows, is_all) = rows.await.ok()?;
        // Nothing is waited for from here on: whoever gives up before asks for the same again.
        let mut state = self.held.state();
        let mut frame = Frame::new(self.origin());
        for Row { id, content } in rows {
            state.newest = id;
            match decode(&content) {
                Some(messages) if !messages.is_empty() => state.give(&mut frame, id, messages),
                Some(_) => state.delivered.push(id),
                None => self.log.error(format_args!(
                    "Batch {id} of {} is not readable and stays there",
                    self.path.display()
                )),
            }
        }
        if is_all {
            state.read_at = Some(stores);
        }
        Some(frame)
    }

    /// The batches that one batch becomes before it is stored.
    async fn prepared(&self, batch: Vec<Message>) -> Result<Vec<Vec<u8>>, Error> {
        Ok(match &self.before {
            None => vec![encode(&batch)],
            Some(processors) => processors.process(batch).await?.iter().map(|batch| encode(batch)).collect(),
        })
    }

    /// What is given out of a frame.
    async fn finished(&self, frame: Frame) -> Vec<Frame> {
        let Some(processors) = &self.after else { return vec![frame] };
        let mut frames = Vec::new();
        for single in frame.into_singles() {
            let (messages, marks, origin) = single.into_parts();
            let Some(mark) = marks.first() else { continue };
            let owed = Owed::new(origin, mark.slot);
            match processors.process(messages).await {
                Ok(batches) => frames.extend(owed.pass(batches)),
                Err(error) => owed.settle(Err(Failure::all(error))),
            }
        }
        frames
    }
}

#[async_trait]
impl Buffer for Sqlite {
    async fn push(&self, frame: Frame) {
        let (mut batches, mut owed) = (Vec::new(), Vec::new());
        for single in frame.into_singles() {
            let (messages, marks, origin) = single.into_parts();
            let Some(mark) = marks.first() else { continue };
            let outcome = Owed::new(origin, mark.slot);
            match self.prepared(messages).await {
                Ok(prepared) => {
                    batches.extend(prepared);
                    owed.push(outcome);
                }
                Err(error) => outcome.settle(Err(Failure::all(error))),
            }
        }
        // What is not stored fails back.
        tokio::select! {
            biased;
            () = self.hard_stop.cancelled() => {}
            _ = self.orders().send(Order::Store { batches, owed }) => {}
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
            if let Some(frame) = self.ready().pop_front() {
                return Next::Frame(frame);
            }
            let frame = match self.turn() {
                Turn::Wait => {
                    changed.await;
                    continue;
                }
                Turn::Read(after) => match self.read(after).await {
                    Some(frame) => frame,
                    None => return Next::End,
                },
                Turn::Give(Next::Frame(frame)) => frame,
                Turn::Give(Next::Flush) => return Next::Flush,
                Turn::Give(Next::End) => {
                    let (done, told) = oneshot::channel();
                    if self.orders().send(Order::Tidy(done)).await.is_ok() {
                        drop(told.await);
                    }
                    return Next::End;
                }
            };
            let finished = self.finished(frame).await;
            self.ready().extend(finished.into_iter().filter(|frame| !frame.is_empty()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Default)]
    struct Told(Mutex<Vec<bool>>);

    impl Origin for Told {
        fn settle(&self, _: u32, outcome: Result<(), Failure>) {
            self.0.lock().unwrap().push(outcome.is_ok());
        }
    }

    fn buffer(path: &std::path::Path) -> Sqlite {
        Sqlite {
            path: path.to_owned(),
            before: None,
            after: None,
            soft_stop: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
            log: Arc::default(),
            held: Arc::default(),
            ready: Mutex::default(),
            orders: OnceLock::new(),
        }
    }

    fn frame(told: &Arc<Told>, batches: &[&'static str]) -> Frame {
        let mut frame = Frame::new(Arc::clone(told) as Arc<dyn Origin>);
        for (slot, batch) in (0..).zip(batches) {
            frame.push(batch.split(',').map(Message::new), slot);
        }
        frame
    }

    /// The contents of what comes next; `end` and `flush` where there is none.
    async fn popped(buffer: &Sqlite) -> (String, Option<Frame>) {
        match tokio::time::timeout(Duration::from_secs(10), buffer.pop()).await.unwrap() {
            Next::Frame(frame) => {
                let text = |message: &Message| String::from_utf8_lossy(message.content()).into_owned();
                let batch =
                    |(_, batch): (u32, &[Message])| batch.iter().map(text).collect::<Vec<_>>().join(",");
                (frame.batches().map(batch).collect::<Vec<_>>().join(" "), Some(frame))
            }
            Next::Flush => ("flush".into(), None),
            Next::End => ("end".into(), None),
        }
    }

    #[tokio::test]
    async fn what_is_not_delivered_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("buffer.db");
        let told = Arc::new(Told::default());
        {
            let buffer = buffer(&path);
            buffer.push(frame(&told, &["a,b", "c"])).await;
            let (text, given) = popped(&buffer).await;
            assert_eq!(text, "a,b c");
            // Acknowledged when stored, not when delivered.
            assert_eq!(*told.0.lock().unwrap(), [true, true]);
            let mut singles = given.unwrap().into_singles();
            singles.next().unwrap().deliver();
            singles.next().unwrap().fail(&Error::failed("no"));
            buffer.push(frame(&told, &["d"])).await;
            let (text, given) = popped(&buffer).await;
            assert_eq!(text, "c");
            drop(given);
            buffer.soft_stop.cancel();
            buffer.finish().await;
            let (text, given) = popped(&buffer).await;
            assert_eq!(text, "c");
            assert_eq!(popped(&buffer).await.0, "flush");
            given.unwrap().deliver();
            assert_eq!(popped(&buffer).await.0, "end");
        }
        let buffer = buffer(&path);
        let (text, given) = popped(&buffer).await;
        assert_eq!(text, "d");
        given.unwrap().deliver();
        buffer.finish().await;
        assert_eq!(popped(&buffer).await.0, "end");
        drop(buffer);
        let file = rusqlite::Connection::open(&path).unwrap();
        let left = file.query_row("SELECT count(*) FROM batches", [], |row| row.get::<_, i64>(0));
        assert_eq!(left, Ok(0));
    }
}

//! The database of one buffer, and the thread that has it: what waits together is committed together.

use super::Held;
use rusqlite::{Connection, Result};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use weir_core::{
    ack::{Failure, Owed},
    backoff::Backoff,
    error::Error,
    frame::{MAX_BATCHES, MAX_BYTES},
    log::Log,
};

/// How many orders one transaction serves at most.
const GROUP: usize = 64;
/// How long deletions wait for a transaction that is made anyway.
const LINGER: Duration = Duration::from_millis(200);
/// How long to wait for whoever else has the file open.
const BUSY: Duration = Duration::from_secs(5);
/// How long to wait after a question that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A batch in the database.
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) content: Vec<u8>,
}

/// What the thread is asked to do.
pub(super) enum Order {
    /// Store batches and tell whom they came from.
    Store { batches: Vec<Vec<u8>>, owed: Vec<Owed> },
    /// Give some of the batches newer than this, oldest first, and say whether that is all.
    Read { after: i64, answer: oneshot::Sender<(Vec<Row>, bool)> },
    /// Delete what is delivered, now.
    Tidy(oneshot::Sender<()>),
}

pub(super) struct Database {
    pub(super) path: PathBuf,
    pub(super) held: Arc<Held>,
    pub(super) hard_stop: CancellationToken,
    pub(super) log: Arc<Log>,
}

impl Database {
    /// Starts the thread; it ends when nobody can order anything any more.
    pub(super) fn start(self, orders: mpsc::Receiver<Order>) {
        let (runtime, log) = (Handle::current(), Arc::clone(&self.log));
        let work = move || {
            let _entered = runtime.enter();
            self.run(&runtime, orders);
        };
        if let Err(error) = std::thread::Builder::new().name("weir-sqlite".into()).spawn(work) {
            log.error(format_args!("A thread cannot be started: {error}"));
        }
    }

    fn run(&self, runtime: &Handle, mut orders: mpsc::Receiver<Order>) {
        let Some(mut connection) = runtime.block_on(self.opened(&orders)) else { return };
        loop {
            let (first, ends) = runtime.block_on(self.next(&mut orders));
            let mut group: Vec<Order> = first.into_iter().collect();
            while !group.is_empty()
                && group.len() < GROUP
                && let Ok(next) = orders.try_recv()
            {
                group.push(next);
            }
            self.serve(&mut connection, group);
            if ends {
                return;
            }
        }
    }

    /// Opens the file, again and again until it can be; none when nobody waits for it any more.
    async fn opened(&self, orders: &mpsc::Receiver<Order>) -> Option<Connection> {
        let mut backoff = Backoff::output();
        while !orders.is_closed() {
            match self.open() {
                Ok(connection) => return Some(connection),
                Err(error) => {
                    self.log.error(format_args!("Failed to open {}: {error}", self.path.display()));
                }
            }
            tokio::select! {
                () = self.hard_stop.cancelled() => return None,
                () = sleep(backoff.wait()) => {}
            }
        }
        None
    }

    fn open(&self) -> Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(BUSY)?;
        // Ids grow for ever, so that what is newer than a batch can be asked for when that is gone.
        connection.execute_batch(
            "PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS batches (id INTEGER PRIMARY KEY AUTOINCREMENT, content BLOB NOT NULL);",
        )?;
        Ok(connection)
    }

    /// The next order, or none when there is something to delete; and whether there will never be one.
    async fn next(&self, orders: &mut mpsc::Receiver<Order>) -> (Option<Order>, bool) {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let ends = order.is_none();
                return (order, ends);
            }
            () = self.held.delivered.notified() => {}
        }
        match timeout(LINGER, orders.recv()).await {
            Ok(order) => {
                let ends = order.is_none();
                (order, ends)
            }
            Err(_) => (None, false),
        }
    }

    fn serve(&self, connection: &mut Connection, group: Vec<Order>) {
        let delivered = self.held.take_delivered();
        let batches = group.iter().flat_map(|order| match order {
            Order::Store { batches, .. } => batches.as_slice(),
            Order::Read { .. } | Order::Tidy(_) => &[],
        });
        let committed = commit(connection, batches, &delivered);
        if let Err(error) = &committed {
            self.log.error(format_args!("Failed to write to {}: {error}", self.path.display()));
            self.held.give_back(delivered);
        }
        let mut stored = false;
        for order in group {
            match order {
                Order::Store { owed, .. } => {
                    stored |= committed.is_ok();
                    for owed in owed {
                        owed.settle(match &committed {
                            Ok(()) => Ok(()),
                            Err(error) => Err(Failure::all(Error::Failed(error.to_string()))),
                        });
                    }
                }
                Order::Read { after, answer } => drop(answer.send(self.read(connection, after))),
                Order::Tidy(done) => drop(done.send(())),
            }
        }
        if stored {
            self.held.stored();
        }
    }

    fn read(&self, connection: &Connection, after: i64) -> (Vec<Row>, bool) {
        rows(connection, after).unwrap_or_else(|error| {
            self.log.error(format_args!("Failed to read from {}: {error}", self.path.display()));
            std::thread::sleep(PAUSE);
            (Vec::new(), false)
        })
    }
}

/// Stores and deletes in one transaction, which is on disk afterwards.
fn commit<'a>(
    connection: &mut Connection,
    batches: impl Iterator<Item = &'a Vec<u8>>,
    delivered: &[i64],
) -> Result<()> {
    let mut batches = batches.peekable();
    if batches.peek().is_none() && delivered.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO batches (content) VALUES (?1)")?;
        for batch in batches {
            insert.execute([batch])?;
        }
        let mut delete = transaction.prepare("DELETE FROM batches WHERE id = ?1")?;
        for id in delivered {
            delete.execute([id])?;
        }
    }
    transaction.commit()
}

/// Batches newer than `after`, about as many as fit a frame, and whether these are all.
fn rows(connection: &Connection, after: i64) -> Result<(Vec<Row>, bool)> {
    let mut select = connection.prepare("SELECT id, content FROM batches WHERE id > ?1 ORDER BY id")?;
    let mut found = select.query([after])?;
    let (mut rows, mut bytes) = (Vec::new(), 0);
    while let Some(row) = found.next()? {
        let row = Row { id: row.get(0)?, content: row.get(1)? };
        bytes += row.content.len();
        rows.push(row);
        if rows.len() == MAX_BATCHES || bytes >= MAX_BYTES {
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}

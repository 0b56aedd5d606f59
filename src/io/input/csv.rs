//! `csv`: reads files of comma-separated values, one message a row.

use super::file::{Opened, expand, open};
use crate::removals::Removals;
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    collections::VecDeque,
    fs::File,
    io::Read,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::{JoinHandle, spawn_blocking};
use weir_bloblang::{Message, Metadata, Text, Value};
use weir_core::{
    build_error::BuildError,
    csv::{Parser, Record},
    error::Error,
    field::Field,
    input::{InputComponent, Progress, Reader, Reading},
    log::Log,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "csv",
    summary: "Reads files of comma-separated values one after the other, a message a row.",
    description: "A row with fewer fields than the header has fewer members, one with more becomes an array, and a \
                  broken row is passed over. Metadata of each message: `path`, `mod_time_unix`, `mod_time`, and, \
                  where it was used, `header`, the names in their order.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("paths", "Files to read, in this order. Patterns may use `*`, `?`, `[]` and `**`.")
            .list(),
        Field::bool(
            "parse_header_row",
            "Take the names of the fields from the first row, and make an object of each \
                                         other row. Otherwise each row becomes an array.",
        )
        .default("true"),
        Field::string("delimiter", "The character between fields.").default("','"),
        Field::bool(
            "lazy_quotes",
            "Allow a quote inside an unquoted field, and a single one inside a quoted field.",
        )
        .default("false"),
        Field::bool("delete_on_finish", "Delete each file once all of it is delivered.")
            .default("false")
            .advanced(),
        Field::int("batch_count", "Rows of each batch; a batch never spans files.").default("1").advanced(),
        Field::bool(
            "auto_replay_nacks",
            "Whether messages that were not delivered are sent again; otherwise they \
                                          are lost.",
        )
        .default("true"),
    ]),
    examples: &[Example { title: "All tables of a folder", config: "paths: [ './tables/*.csv' ]" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let waiting = expand(&config.paths)?;
        Ok(InputComponent::Reader(Box::new(CsvInput::new(&config, waiting, Log::new(context))?)))
    },
};

#[derive(Deserialize)]
struct Config {
    paths: Vec<String>,
    parse_header_row: bool,
    delimiter: String,
    lazy_quotes: bool,
    delete_on_finish: bool,
    batch_count: i64,
    auto_replay_nacks: bool,
}

/// One system call reads so much.
const PIECE: usize = 256 << 10;
/// A reading ends once it holds so many messages.
const MESSAGES: usize = 1024;

struct CsvInput {
    log: Log,
    waiting: VecDeque<PathBuf>,
    header: bool,
    delimiter: char,
    lazy_quotes: bool,
    batch_count: usize,
    replays: bool,
    record: Record,
    /// Rows of a batch that is not complete yet.
    batch: Vec<Message>,
    current: Option<Table>,
    position: u64,
    finished: Arc<Finished>,
}

/// A file that was read from, and what came.
type Piece = std::io::Result<(File, Vec<u8>)>;

/// A file that is being read.
struct Table {
    path: PathBuf,
    parser: Parser,
    metadata: Metadata,
    /// The metadata with the header, once it is known.
    named: Metadata,
    names: Vec<Text>,
    wants_header: bool,
    reading: Option<JoinHandle<Piece>>,
}

/// Files that are read to their end, to be deleted once that is delivered.
#[derive(Default)]
struct Finished {
    deletes: bool,
    removals: Removals,
    state: Mutex<(u64, VecDeque<(u64, PathBuf)>)>,
}

impl Finished {
    fn settle(&self, change: impl FnOnce(&mut (u64, VecDeque<(u64, PathBuf)>))) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        while state.1.front().is_some_and(|(position, _)| *position <= state.0) {
            if let Some((_, path)) = state.1.pop_front() {
                self.removals.remove(path);
            }
        }
    }
}

impl Progress for Finished {
    fn acknowledged(&self, position: u64) {
        self.settle(|state| state.0 = position);
    }
}

fn read_piece(mut file: File) -> JoinHandle<std::io::Result<(File, Vec<u8>)>> {
    spawn_blocking(move || {
        let mut piece = Vec::with_capacity(PIECE);
        file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
        Ok((file, piece))
    })
}

impl CsvInput {
    fn new(config: &Config, waiting: VecDeque<PathBuf>, log: Log) -> Result<Self, BuildError> {
        let mut characters = config.delimiter.chars();
        let (Some(delimiter), None) = (characters.next(), characters.next()) else {
            return Err(BuildError::new("delimiter value must be exactly one character"));
        };
        if matches!(delimiter, '\n' | '\r' | '"' | char::REPLACEMENT_CHARACTER) {
            return Err(BuildError::new("delimiter must not be a quote or a line break").at("delimiter"));
        }
        let batch_count = usize::try_from(config.batch_count).unwrap_or(0);
        if batch_count < 1 {
            return Err(BuildError::new("batch_count must be at least 1"));
        }
        if waiting.is_empty() {
            return Err(BuildError::new("requires at least one input file path"));
        }
        Ok(Self {
            log,
            waiting,
            header: config.parse_header_row,
            delimiter,
            lazy_quotes: config.lazy_quotes,
            batch_count,
            replays: config.auto_replay_nacks,
            record: Record::default(),
            batch: Vec::new(),
            current: None,
            position: 0,
            finished: Arc::new(Finished { deletes: config.delete_on_finish, ..Finished::default() }),
        })
    }

    /// Opens the next file; the end if there is none.
    async fn open_next(&mut self) -> Result<(), Error> {
        let path = self.waiting.front().cloned().ok_or(Error::EndOfInput)?;
        let asked = path.clone();
        let opened = spawn_blocking(move || open(&asked)).await.map_err(|_| Error::Closed)?;
        let Opened { file, metadata, .. } = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return Err(Error::Failed(format!("read {}: is a directory", path.display()))),
            Err(error) => {
                return Err(Error::Failed(format!("open {}: {}", path.display(), Error::from(error))));
            }
        };
        self.waiting.pop_front();
        self.current = Some(Table {
            path,
            parser: Parser::new(self.delimiter, self.lazy_quotes),
            named: metadata.clone(),
            metadata,
            names: Vec::new(),
            wants_header: self.header,
            reading: Some(read_piece(file)),
        });
        Ok(())
    }

    /// Takes rows that are complete, until the reading is full.
    fn take(&mut self, reading: &mut Reading) {
        let Some(table) = &mut self.current else { return };
        while reading.messages.len() < MESSAGES {
            match table.parser.next(&mut self.record) {
                None if table.reading.is_some() => return,
                None => {
                    reading.messages.append(&mut self.batch);
                    return reading.end_batch();
                }
                Some(Err(error)) => {
                    self.log.error(format_args!("Failed to read {}: {error}", table.path.display()));
                }
                Some(Ok(())) => self.batch.extend(table.message(&self.record)),
            }
            if self.batch.len() >= self.batch_count {
                reading.messages.append(&mut self.batch);
                reading.end_batch();
            }
        }
    }
}

impl Table {
    fn message(&mut self, record: &Record) -> Option<Message> {
        let fields = record.fields().map(|field| Value::string(Text::new(field)));
        if self.wants_header {
            self.names = record.fields().map(Text::new).collect();
            self.named.set("header", fields.collect());
            self.wants_header = false;
            return None;
        }
        let named = !self.names.is_empty() && record.len() <= self.names.len();
        let value = if named {
            Value::object(self.names.iter().cloned().zip(fields).collect())
        } else {
            fields.collect()
        };
        let mut message = Message::from_value(value);
        *message.metadata_mut() = if named { self.named.clone() } else { self.metadata.clone() };
        Some(message)
    }
}

#[async_trait]
impl Reader for CsvInput {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.current.is_none() { self.open_next().await } else { Ok(()) }
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        loop {
            if self.current.is_none() {
                self.open_next().await.map_err(|error| match error {
                    Error::EndOfInput => error,
                    // Connecting tells the reason.
                    _ => Error::NotConnected,
                })?;
            }
            self.take(reading);
            if !reading.is_empty() {
                self.position += 1;
                reading.position = self.position;
                return Ok(());
            }
            let Some(table) = &mut self.current else { continue };
            if let Some(pending) = &mut table.reading {
                let done = pending.await;
                table.reading = None;
                match done.map_err(|_| Error::Closed)? {
                    Ok((_, piece)) if piece.is_empty() => table.parser.finish(),
                    Ok((file, piece)) => {
                        table.reading = Some(read_piece(file));
                        table.parser.feed(&piece);
                    }
                    Err(error) => {
                        let error = Error::from(error);
                        self.log.error(format_args!("Failed to read {}: {error}", table.path.display()));
                        table.parser.finish();
                    }
                }
            } else if let Some(table) = self.current.take()
                && self.finished.deletes
            {
                let position = self.position;
                self.finished.settle(|state| state.1.push_back((position, table.path)));
            }
        }
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        self.finished.removals.finish().await;
    }

    fn progress(&self) -> Option<Arc<dyn Progress>> {
        self.finished.deletes.then(|| Arc::clone(&self.finished) as Arc<dyn Progress>)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            paths: Vec::new(),
            parse_header_row: true,
            delimiter: ",".into(),
            lazy_quotes: false,
            delete_on_finish: false,
            batch_count: 1,
            auto_replay_nacks: true,
        }
    }

    /// Batches of all files, contents joined by spaces.
    async fn read(config: Config, files: &[&str]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = files.iter().enumerate().map(|(index, text)| {
            let path = folder.path().join(index.to_string());
            std::fs::write(&path, text).unwrap();
            path
        });
        let mut input = CsvInput::new(&config, paths.collect(), Log::default()).unwrap();
        let mut out = Vec::new();
        loop {
            let mut reading = Reading::default();
            if let Err(error) = input.read(&mut reading).await {
                assert_eq!(error, Error::EndOfInput);
                return out;
            }
            let mut start = 0;
            for end in reading.ends {
                let batch = &reading.messages[start..end as usize];
                start = end as usize;
                let texts =
                    batch.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned());
                out.push(texts.collect::<Vec<_>>().join(" "));
            }
        }
    }

    #[tokio::test]
    async fn batches_do_not_span_files() {
        let rows = read(Config { batch_count: 2, ..config() }, &["x\n1\n2\n3\n", "", "y\n4"]).await;
        assert_eq!(rows, [r#"{"x":"1"} {"x":"2"}"#, r#"{"x":"3"}"#, r#"{"y":"4"}"#]);
    }

    #[tokio::test]
    async fn odd_rows_pass_and_broken_ones_are_left_out() {
        let rows = read(config(), &["x,y\n1\n1,2,3\na\"b,c\n4,5\n"]).await;
        assert_eq!(rows, [r#"{"x":"1"}"#, r#"["1","2","3"]"#, r#"{"x":"4","y":"5"}"#]);
    }

    #[tokio::test]
    async fn many_rows_come_in_several_readings() {
        let text = "1\n".repeat(3000);
        let rows = read(Config { parse_header_row: false, ..config() }, &[&text]).await;
        assert_eq!(rows.len(), 3000);
    }
}

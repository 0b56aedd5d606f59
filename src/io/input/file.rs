//! `file`: reads files one after the other, each cut by a scanner.

use crate::{codec_scanner, removals::Removals};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::JoinHandle;
use weir_bloblang::{Message, Metadata, Value};
use weir_core::{
    build_error::BuildError,
    checkpoint::Checkpoint,
    error::Error,
    field::Field,
    frame::MAX_BATCHES,
    input::{InputComponent, Progress, Reader, Reading},
    log::Log,
    node::Node,
    registry::InputSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Spec, Status},
};

pub(super) static SPEC: InputSpec = Spec {
    name: "file",
    summary: "Reads files one after the other, each cut into messages by a scanner.",
    description: "A path that is no pattern and does not exist yet is waited for. The input ends after the last \
        file, once everything is delivered. How far each file is delivered is kept as a checkpoint, so that a \
        restart goes on where it was.\n\nMetadata of each message: `path`, `mod_time_unix`, `mod_time`.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("paths", "Files to read, in this order. Patterns may use `*`, `?`, `[]` and `**`.")
            .list(),
        codec_scanner::CODEC,
        codec_scanner::MAX_BUFFER,
        Field::scanner("scanner", "How to cut each file into messages.").default("{ lines: {} }"),
        Field::bool("delete_on_finish", "Delete each file once all of it is delivered.")
            .default("false")
            .advanced(),
        Field::bool("auto_replay_nacks", "Send messages again that could not be delivered.").default("true"),
    ]),
    examples: &[Example { title: "All logs of a folder", config: "paths: [ ./logs/*.log ]" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let (codec, field) = (config.codec.as_deref(), "file.scanner");
        let (scanner, batches) =
            codec_scanner::choose(codec, config.max_buffer, field, &config.scanner, context)?;
        let ledger = Ledger::new(context.checkpoint(), config.delete_on_finish);
        Ok(InputComponent::Reader(Box::new(FileInput {
            waiting: expand(&config.paths)?,
            scanner,
            batches: batches.multipart(),
            replays: config.auto_replay_nacks,
            current: None,
            ready: VecDeque::new(),
            position: 0,
            ledger: Arc::new(ledger),
            log: Log::new(context),
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    paths: Vec<String>,
    codec: Option<String>,
    max_buffer: i64,
    scanner: Node,
    delete_on_finish: bool,
    auto_replay_nacks: bool,
}

/// The files of paths and patterns, each once, those of a pattern sorted.
pub(super) fn expand(paths: &[String]) -> Result<VecDeque<PathBuf>, BuildError> {
    let mut files = VecDeque::new();
    for path in paths {
        if !path.contains(['*', '?', '[']) {
            files.push_back(PathBuf::from(path));
            continue;
        }
        let found =
            glob::glob(path).map_err(|error| BuildError::new(format!("{path}: {error}")).at("paths"))?;
        files.extend(found.filter_map(Result::ok));
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

/// One system call reads so much; the messages are slices of it.
const PIECE: usize = 256 << 10;
/// A file is recognised by so many bytes at its begin.
const HEAD: usize = 1024;
/// A reading holds at most so many messages.
const MESSAGES: usize = MAX_BATCHES;

struct FileInput {
    /// Files still to be read, in order.
    waiting: VecDeque<PathBuf>,
    scanner: Arc<dyn Scanner>,
    /// Empty messages end batches (the codec `multipart`).
    batches: bool,
    replays: bool,
    current: Option<Source>,
    /// Read, cut, and not given yet.
    ready: VecDeque<Message>,
    position: u64,
    ledger: Arc<Ledger>,
    log: Log,
}

/// A file that was read from, and what came.
type Piece = std::io::Result<(File, Vec<u8>)>;

/// A file that is being read.
struct Source {
    path: PathBuf,
    scan: Box<dyn Scan>,
    metadata: Metadata,
    identity: Identity,
    /// Bytes read so far, from the file's begin.
    offset: u64,
    /// Where a new scan could start: right after a message, as far as the scanner can tell.
    start: u64,
    /// Messages given since `start`.
    messages: u64,
    /// Messages to pass over, which a checkpoint says are delivered.
    skip: u64,
    reading: Option<JoinHandle<Piece>>,
    ended: bool,
}

/// What a file is recognised by after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    /// Bytes that `head` covers, at most 1,024.
    length: u64,
    /// Hash of the file's begin.
    head: u64,
}

/// How far a file is delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    path: PathBuf,
    identity: Identity,
    /// Where a new scan may start, in bytes.
    offset: u64,
    /// Messages after `offset` that are delivered.
    messages: u64,
    finished: bool,
}

/// Positions that were given, and where the files stood then.
struct Ledger {
    checkpoint: Checkpoint,
    delete_on_finish: bool,
    removals: Removals,
    state: Arc<Mutex<LedgerState>>,
}

#[derive(Default)]
struct LedgerState {
    acknowledged: u64,
    given: VecDeque<(u64, Place)>,
    delivered: Vec<Place>,
}

impl Progress for Ledger {
    fn acknowledged(&self, position: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.acknowledged = position;
        self.settle(&mut state);
    }
}

impl Ledger {
    fn new(checkpoint: Checkpoint, delete_on_finish: bool) -> Self {
        // A checkpoint that cannot be read only means that files are read again.
        let stored = checkpoint.get().and_then(|text| serde_json::from_str(&text).ok());
        let state = LedgerState { delivered: stored.unwrap_or_default(), ..LedgerState::default() };
        let state = Arc::new(Mutex::new(state));
        let shown = Arc::clone(&state);
        checkpoint.written_by(move || {
            let state = shown.lock().unwrap_or_else(PoisonError::into_inner);
            serde_json::to_string(&state.delivered).ok()
        });
        Self { checkpoint, delete_on_finish, removals: Removals::default(), state }
    }

    /// How far a file was delivered before.
    fn place(&self, path: &Path) -> Option<Place> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.delivered.iter().find(|place| place.path == path).cloned()
    }

    /// Once `position` is delivered, the file is delivered up to this place.
    fn given(&self, position: u64, place: Place) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.given.push_back((position, place));
        self.settle(&mut state);
    }

    fn settle(&self, state: &mut LedgerState) {
        let mut changed = false;
        while state.given.front().is_some_and(|(at, _)| *at <= state.acknowledged) {
            let Some((_, place)) = state.given.pop_front() else { break };
            if place.finished && self.delete_on_finish {
                self.removals.remove(place.path.clone());
            }
            match state.delivered.iter_mut().rfind(|known| known.path == place.path) {
                Some(known) => *known = place,
                None => state.delivered.push(place),
            }
            changed = true;
        }
        if changed {
            self.checkpoint.touch();
        }
    }
}

impl FileInput {
    /// Opens the next file; a directory is passed over.
    async fn open(&mut self, path: PathBuf) -> Result<(), Error> {
        let known = self.ledger.place(&path);
        let asked = path.clone();
        let opened = tokio::task::spawn_blocking(move || open(&asked)).await;
        let Opened { mut file, metadata, device, inode, length, head } =
            match opened.map_err(|_| Error::Closed)? {
                Ok(Some(opened)) => opened,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let text = format!("open {}: {}", path.display(), Error::from(error));
                    return Err(Error::Failed(text));
                }
            };
        let scan = self.scanner.open(&path.to_string_lossy())?;
        let identity = Identity { device, inode, length: head.len() as u64, head: hash(&head) };
        let mut source = Source {
            path,
            scan,
            metadata,
            identity,
            offset: 0,
            start: 0,
            messages: 0,
            skip: 0,
            reading: None,
            ended: false,
        };
        // A file that is shorter now was written anew.
        let goes_on = |place: &Place| place.identity.is(device, inode, &head) && place.offset <= length;
        if let Some(place) = known.filter(goes_on) {
            file.seek(SeekFrom::Start(place.offset))?;
            (source.offset, source.start, source.skip) = (place.offset, place.offset, place.messages);
        }
        source.read_on(file);
        self.current = Some(source);
        Ok(())
    }

    /// Whether a batch is complete.
    fn has_batch(&mut self) -> bool {
        if !self.batches {
            return !self.ready.is_empty();
        }
        // An empty message with nothing before it ends no batch.
        while self.ready.front().is_some_and(Message::is_empty) {
            self.ready.pop_front();
            if let Some(source) = &mut self.current {
                source.messages += 1;
            }
        }
        !self.ready.is_empty()
            && (self.ready.iter().any(Message::is_empty)
                || self.current.as_ref().is_none_or(|source| source.ended))
    }

    /// Notes that the current file has ended, and leaves it.
    fn finish_current(&mut self) {
        if let Some(source) = self.current.take() {
            self.ledger.given(self.position, source.place(true));
        }
    }

    /// Waits for the next piece of the current file and cuts it.
    async fn advance(&mut self) -> Result<(), Error> {
        let Some(source) = &mut self.current else { return Ok(()) };
        let Some(reading) = &mut source.reading else { return Ok(()) };
        let done = reading.await;
        source.reading = None;
        let (file, piece) = done.map_err(|_| Error::Closed)??;
        let mut messages = Vec::new();
        let cut = if piece.is_empty() {
            source.ended = true;
            source.scan.finish(&mut messages)
        } else {
            source.offset += piece.len() as u64;
            source.read_on(file);
            source.scan.feed(Bytes::from(piece), &mut messages)
        };
        if source.skip > 0 {
            let skipped = messages.len().min(usize::try_from(source.skip).unwrap_or(usize::MAX));
            messages.drain(..skipped);
            source.skip -= skipped as u64;
            source.messages += skipped as u64;
        }
        let metadata = source.metadata.apart();
        for message in &mut messages {
            if message.metadata().is_empty() {
                *message.metadata_mut() = metadata.clone();
                continue;
            }
            // A scanner's own metadata stays.
            for (key, value) in source.metadata.iter() {
                message.metadata_mut().set(key.clone(), value.clone());
            }
        }
        self.ready.extend(messages);
        if let Err(error) = cut {
            source.ended = true;
            source.reading = None;
            self.log.error(format_args!("Failed to read {}: {error}", source.path.display()));
        }
        Ok(())
    }
}

/// Opens a file and learns what it is; `None` for a directory.
pub(super) fn open(path: &Path) -> std::io::Result<Option<Opened>> {
    let mut file = File::open(path)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Ok(None);
    }
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    let mut metadata = Metadata::default();
    metadata.set("path", Value::from(path.to_string_lossy().as_ref()));
    metadata.set("mod_time_unix", Value::Int(about.mtime()));
    let modified = jiff::Timestamp::new(about.mtime(), 0).unwrap_or_default();
    metadata.set("mod_time", Value::from(local_time(modified).as_str()));
    let (device, inode, length) = (about.dev(), about.ino(), about.len());
    Ok(Some(Opened { file, metadata, device, inode, length, head }))
}

/// RFC 3339 in the zone of this machine.
fn local_time(time: jiff::Timestamp) -> String {
    let text =
        time.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    text.strip_suffix("+00:00").map_or_else(|| text.clone(), |utc| format!("{utc}Z"))
}

/// FNV-1a: only to recognise a file.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Source {
    /// Reads the next piece ahead, while this one is cut.
    fn read_on(&mut self, mut file: File) {
        self.reading = Some(tokio::task::spawn_blocking(move || {
            let mut piece = Vec::with_capacity(PIECE);
            file.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            Ok((file, piece))
        }));
    }

    fn place(&self, finished: bool) -> Place {
        Place {
            path: self.path.clone(),
            identity: self.identity.clone(),
            offset: self.start,
            messages: self.messages,
            finished,
        }
    }
}

/// A file that was just opened.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) metadata: Metadata,
    device: u64,
    inode: u64,
    length: u64,
    head: Vec<u8>,
}

impl Identity {
    /// Whether this is the file of that device and inode, whose begin is `head`.
    fn is(&self, device: u64, inode: u64, head: &[u8]) -> bool {
        let length = usize::try_from(self.length).unwrap_or(usize::MAX);
        (self.device, self.inode) == (device, inode)
            && head.get(..length).is_some_and(|head| hash(head) == self.head)
    }
}

#[async_trait]
impl Reader for FileInput {
    async fn connect(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        while !self.has_batch() {
            if self.current.as_ref().is_some_and(|source| source.ended) {
                self.finish_current();
            } else if self.current.is_some() {
                self.advance().await?;
            } else {
                let path = self.waiting.front().cloned().ok_or(Error::EndOfInput)?;
                self.open(path).await?;
                self.waiting.pop_front();
            }
        }
        let count = if self.batches {
            let end = self.ready.iter().position(Message::is_empty);
            let count = end.map_or(self.ready.len(), |end| end + 1);
            reading.messages.extend(self.ready.drain(..count).filter(|message| !message.is_empty()));
            reading.end_batch();
            count
        } else {
            // What is too much for one reading is given in even parts.
            let parts = self.ready.len().div_ceil(MESSAGES);
            let count = self.ready.len().div_ceil(parts.max(1));
            self.ready.drain(..count).for_each(|message| reading.push(message));
            count
        };
        self.position += 1;
        reading.position = self.position;
        if let Some(source) = &mut self.current {
            source.messages += count as u64;
            if let (true, Some(pending)) = (self.ready.is_empty(), source.scan.pending()) {
                (source.start, source.messages) = (source.offset - pending, 0);
            }
            self.ledger.given(self.position, source.place(source.ended));
        }
        Ok(())
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        self.ledger.removals.finish().await;
    }

    fn progress(&self) -> Option<Arc<dyn Progress>> {
        Some(Arc::clone(&self.ledger) as Arc<dyn Progress>)
    }
}

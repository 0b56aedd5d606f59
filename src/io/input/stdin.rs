//! `stdin`: reads the standard input of the process.

use crate::codec_scanner::{self, Batches};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::{
    collections::VecDeque,
    io::Read,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};
use tokio::sync::mpsc;
use weir_core::{
    error::Error,
    field::Field,
    input::{InputComponent, Reader, Reading},
    node::Node,
    registry::InputSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "stdin",
    summary: "Reads the standard input of the process, cut into messages by a scanner.",
    description: "A process has one standard input: where several inputs read it, each piece goes to one of them. It \
                  is read on where a replaced stream left off, but what was read and not delivered when a process \
                  ends is lost.",
    status: Status::Stable,
    body: Body::Fields(&[
        codec_scanner::CODEC,
        codec_scanner::MAX_BUFFER,
        Field::scanner("scanner", "How to cut what is read into messages.").default("{ lines: {} }"),
        Field::bool(
            "auto_replay_nacks",
            "Whether messages that were not delivered are sent again; otherwise they \
                                          are lost.",
        )
        .default("true"),
    ]),
    examples: &[Example { title: "Rows", config: "scanner: { csv: {} }" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let (codec, field) = (config.codec.as_deref(), "stdin.scanner");
        let (scanner, batches) =
            codec_scanner::choose(codec, config.max_buffer, field, &config.scanner, context)?;
        let replays = config.auto_replay_nacks;
        Ok(InputComponent::Reader(Box::new(Stdin {
            batches,
            ..Stdin::new(scanner, replays, standard_input)
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    codec: Option<String>,
    max_buffer: i64,
    scanner: Node,
    auto_replay_nacks: bool,
}

/// One system call reads so much.
const PIECE: usize = 64 << 10;

/// What is read of the process's standard input, for whoever asks next.
struct Shared {
    pieces: tokio::sync::Mutex<mpsc::Receiver<std::io::Result<Bytes>>>,
    /// The begins of messages that inputs left when they were closed.
    left: Mutex<VecDeque<Bytes>>,
}

impl Shared {
    /// Reads on a thread of its own, which ends with the process: nothing can interrupt a read of a terminal.
    fn start(mut source: impl Read + Send + 'static) -> Arc<Self> {
        let (to, pieces) = mpsc::channel(2);
        let read = move || {
            loop {
                let mut piece = BytesMut::zeroed(PIECE);
                let read = match source.read(&mut piece) {
                    Ok(0) => return,
                    Ok(length) => {
                        piece.truncate(length);
                        Ok(piece.freeze())
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let ends = read.is_err();
                if to.blocking_send(read).is_err() || ends {
                    return;
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("stdin".into()).spawn(read) {
            tracing::error!("Failed to read the standard input: {error}");
        }
        Arc::new(Self { pieces: tokio::sync::Mutex::new(pieces), left: Mutex::default() })
    }

    /// The next piece; `None` at the end. Cancel-safe.
    async fn next(&self) -> Option<std::io::Result<Bytes>> {
        let mut pieces = self.pieces.lock().await;
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match left {
            Some(left) => Some(Ok(left)),
            None => pieces.recv().await,
        }
    }
}

fn standard_input() -> Arc<Shared> {
    static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
    Arc::clone(SHARED.get_or_init(|| Shared::start(std::io::stdin())))
}

struct Stdin {
    scanner: Arc<dyn Scanner>,
    batches: Batches,
    replays: bool,
    source: fn() -> Arc<Shared>,
    reading: Option<(Arc<Shared>, Box<dyn Scan>)>,
    /// Bytes of a message whose end was not read yet, where the scanner can say which they are.
    begun: Bytes,
    ended: bool,
}

impl Stdin {
    fn new(scanner: Arc<dyn Scanner>, replays: bool, source: fn() -> Arc<Shared>) -> Self {
        Self {
            scanner,
            batches: Batches::default(),
            replays,
            source,
            reading: None,
            begun: Bytes::new(),
            ended: false,
        }
    }
}

/// The last `count` bytes of what was begun and the piece after it.
fn tail(begun: Bytes, piece: &Bytes, count: usize) -> Bytes {
    if let Some(start) = piece.len().checked_sub(count) {
        return piece.slice(start..);
    }
    let mut joined = BytesMut::from(begun);
    joined.extend_from_slice(piece);
    let start = joined.len().saturating_sub(count);
    joined.split_off(start).freeze()
}

#[async_trait]
impl Reader for Stdin {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.reading.is_none() {
            self.reading = Some(((self.source)(), self.scanner.open("")?));
        }
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some((shared, scan)) = &mut self.reading else { return Err(Error::NotConnected) };
        while reading.is_empty() {
            let mut messages = Vec::new();
            if self.ended {
                return Err(Error::EndOfInput);
            }
            let cut = match shared.next().await {
                Some(Ok(piece)) => {
                    let cut = scan.feed(piece.clone(), &mut messages);
                    let pending =
                        scan.pending().and_then(|pending| usize::try_from(pending).ok()).unwrap_or(0);
                    self.begun = tail(std::mem::take(&mut self.begun), &piece, pending);
                    cut
                }
                Some(Err(error)) => Err(error.into()),
                None => {
                    self.ended = true;
                    self.begun = Bytes::new();
                    scan.finish(&mut messages)
                }
            };
            if let Err(error) = cut {
                tracing::error!("Failed to read message: {error}");
                self.ended = true;
            }
            self.batches.add(messages, reading);
            if self.ended {
                self.batches.end(reading);
            }
        }
        Ok(())
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        if let Some((shared, _)) = self.reading.take()
            && !self.begun.is_empty()
        {
            let begun = std::mem::take(&mut self.begun);
            shared.left.lock().unwrap_or_else(PoisonError::into_inner).push_back(begun);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bloblang::Message;

    /// Cuts at spaces.
    struct Words;

    struct Begun(Vec<u8>);

    impl Scanner for Words {
        fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
            Ok(Box::new(Begun(Vec::new())))
        }
    }

    impl Scan for Begun {
        fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
            for byte in piece {
                if byte == b' ' {
                    out.push(Message::new(std::mem::take(&mut self.0)));
                } else {
                    self.0.push(byte);
                }
            }
            Ok(())
        }

        fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
            out.push(Message::new(std::mem::take(&mut self.0)));
            Ok(())
        }

        fn pending(&self) -> Option<u64> {
            Some(self.0.len() as u64)
        }
    }

    async fn read(stdin: &mut Stdin) -> Result<Vec<String>, Error> {
        stdin.connect().await?;
        let mut reading = Reading::default();
        stdin.read(&mut reading).await?;
        Ok(reading
            .messages
            .iter()
            .map(|message| String::from_utf8_lossy(message.content()).into_owned())
            .collect())
    }

    /// Gives one part a call.
    struct Parts(VecDeque<&'static [u8]>);

    impl Read for Parts {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let part = self.0.pop_front().unwrap_or_default();
            buffer[..part.len()].copy_from_slice(part);
            Ok(part.len())
        }
    }

    fn parts() -> Arc<Shared> {
        static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
        let parts = Parts([&b"one tw"[..], &b"o thr"[..], &b"ee"[..]].into());
        Arc::clone(SHARED.get_or_init(|| Shared::start(parts)))
    }

    #[tokio::test]
    async fn a_successor_reads_on_where_an_input_left_off() {
        let mut first = Stdin::new(Arc::new(Words), true, parts);
        assert_eq!(read(&mut first).await.unwrap(), ["one"]);
        first.close().await;
        let mut second = Stdin::new(Arc::new(Words), true, parts);
        assert_eq!(read(&mut second).await.unwrap(), ["two"]);
        assert_eq!(read(&mut second).await.unwrap(), ["three"]);
        assert_eq!(read(&mut second).await, Err(Error::EndOfInput));
    }

    #[test]
    fn the_tail_may_span_pieces() {
        let (begun, piece) = (Bytes::from_static(b"abc"), Bytes::from_static(b"de"));
        assert_eq!(tail(begun.clone(), &piece, 1), "e");
        assert_eq!(tail(begun.clone(), &piece, 4), "bcde");
        assert_eq!(tail(begun, &piece, 0), "");
    }
}

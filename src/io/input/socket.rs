//! `socket`: connects to a peer and reads what it sends.

use crate::codec_scanner::{self, Batches};
use crate::{
    net::{Duplex, Target},
    tls,
};
use async_trait::async_trait;
use bytes::BytesMut;
use serde::Deserialize;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    expression::Mapping,
    field::Field,
    input::{InputComponent, Reader, Reading},
    log::Log,
    node::Node,
    registry::InputSpec,
    scanner::{Scan, Scanner},
    scratch::with_scratch,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "socket",
    summary: "Connects to a TCP or Unix socket and cuts what comes into messages by a scanner.",
    description: "When the peer closes, it connects again. What was read and not delivered when the process ends is \
                  lost.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("network", "The kind of socket.").options(&["unix", "tcp"]),
        Field::string("address", "Where to connect to."),
        Field::bool("auto_replay_nacks", "Send messages again that could not be delivered.").default("true"),
        Field::mapping("open_message_mapping", "A mapping whose result is sent to the peer first.")
            .optional(),
        tls::CLIENT,
        codec_scanner::CODEC,
        codec_scanner::MAX_BUFFER,
        Field::scanner("scanner", "How to cut what is read into messages.").default("{ lines: {} }"),
    ]),
    examples: &[Example { title: "Lines over TCP", config: "{ network: tcp, address: 'localhost:7000' }" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let (codec, field) = (config.codec.as_deref(), "socket.scanner");
        let (scanner, batches) =
            codec_scanner::choose(codec, config.max_buffer, field, &config.scanner, context)?;
        Ok(InputComponent::Reader(Box::new(Socket {
            target: Target::new(config.network, config.address, &config.tls)?,
            opening: config.open_message_mapping,
            scanner,
            batches,
            replays: config.auto_replay_nacks,
            open: None,
            buffer: BytesMut::new(),
            log: Log::new(context),
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    network: String,
    address: String,
    open_message_mapping: Option<Mapping>,
    #[serde(default)]
    tls: tls::TlsConfig,
    codec: Option<String>,
    max_buffer: i64,
    scanner: Node,
    auto_replay_nacks: bool,
}

/// One read takes so much.
pub(super) const PIECE: usize = 64 << 10;

struct Socket {
    target: Target,
    opening: Option<Mapping>,
    scanner: Arc<dyn Scanner>,
    batches: Batches,
    replays: bool,
    open: Option<(Box<dyn Duplex>, Box<dyn Scan>)>,
    buffer: BytesMut,
    log: Log,
}

#[async_trait]
impl Reader for Socket {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.open.is_some() {
            return Ok(());
        }
        let mut stream = self.target.dial().await?;
        if let Some(opening) = &self.opening {
            let value = with_scratch(|scratch| opening.query(&[Message::default()], 0, scratch))
                .map_err(|error| Error::Failed(format!("open message mapping failed: {error}")))?;
            stream.write_all(value.to_text().as_bytes()).await?;
            stream.flush().await?;
        }
        self.open = Some((stream, self.scanner.open("")?));
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some((stream, scan)) = &mut self.open else { return Err(Error::NotConnected) };
        let mut ended = false;
        while reading.is_empty() && !ended {
            let mut messages = Vec::new();
            self.buffer.reserve(PIECE);
            let cut = match stream.read_buf(&mut self.buffer).await {
                Ok(0) => {
                    ended = true;
                    scan.finish(&mut messages)
                }
                Ok(_) => scan.feed(self.buffer.split().freeze(), &mut messages),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = cut {
                self.log.error(format_args!("Failed to read from {}: {error}", self.target.address()));
                ended = true;
            }
            self.batches.add(messages, reading);
            if ended {
                self.batches.end(reading);
            }
        }
        if ended {
            self.open = None;
        }
        if reading.is_empty() { Err(Error::NotConnected) } else { Ok(()) }
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        self.open = None;
    }
}

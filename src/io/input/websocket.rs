//! `websocket`: connects to a server and takes the messages that it sends.

use crate::{
    http_client::auth::{BASIC, JWT, OAUTH},
    tls,
    websocket::{Socket, Target},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    frame::MAX_BATCHES,
    input::{InputComponent, Reader, Reading},
    log::Log,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "websocket",
    summary: "Connects to a websocket server and takes the messages that it sends.",
    description: "Each message of the server is one message, without metadata. When the connection is lost, it connects \
                  again. A websocket knows no acknowledgement: what was read and not delivered when the process ends \
                  is lost.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("url", "Where to connect to, by `ws` or `wss`."),
        Field::string("proxy_url", "An HTTP proxy to connect through.").optional().advanced(),
        Field::string("open_message", "A message that is sent to the server after each connect.")
            .optional()
            .advanced(),
        Field::string("open_message_type", "The type of that message.")
            .default("binary")
            .options(&["binary", "text"])
            .advanced(),
        Field::bool("auto_replay_nacks", "Send messages again that could not be delivered.").default("true"),
        tls::CLIENT,
        Field::object(
            "connection",
            "How often it tries to connect.",
            &[Field::int(
                "max_retries",
                "How many tries may fail one after the other, beside the first, before the input ends; below 0: any \
                 number.",
            )
            .optional()
            .advanced()],
        )
        .optional()
        .advanced(),
        OAUTH,
        BASIC,
        JWT,
    ]),
    examples: &[Example { title: "Messages of another stream", config: "url: ws://localhost:4195/get/ws" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let opening = match (config.open_message.filter(|text| !text.is_empty()), &*config.open_message_type) {
            (None, _) => None,
            (Some(text), "text") => Some((Bytes::from(text), true)),
            (Some(text), "binary") => Some((Bytes::from(text), false)),
            (_, other) => {
                let text = format!("unrecognised open_message_type: {other}");
                return Err(BuildError::new(text).at("open_message_type"));
            }
        };
        let retries = config.connection.and_then(|connection| connection.max_retries);
        Ok(InputComponent::Reader(Box::new(Websocket {
            target: Target::new(node)?,
            opening,
            replays: config.auto_replay_nacks,
            max_retries: retries.and_then(|retries| u64::try_from(retries).ok()),
            failures: 0,
            socket: None,
            log: Log::new(context),
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    open_message: Option<String>,
    open_message_type: String,
    auto_replay_nacks: bool,
    connection: Option<ConnectionConfig>,
}

#[derive(Deserialize)]
struct ConnectionConfig {
    max_retries: Option<i64>,
}

struct Websocket {
    target: Target,
    /// What is said first, and whether it is text.
    opening: Option<(Bytes, bool)>,
    replays: bool,
    max_retries: Option<u64>,
    failures: u64,
    socket: Option<Socket>,
    log: Log,
}

impl Websocket {
    async fn open(&mut self) -> Result<Socket, Error> {
        let mut socket = self.target.connect().await?;
        match self.opening.clone() {
            None => {}
            Some((content, true)) => socket.send_text(content).await?,
            Some((content, false)) => socket.send_bytes(content).await?,
        }
        Ok(socket)
    }
}

#[async_trait]
impl Reader for Websocket {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.socket.is_some() {
            return Ok(());
        }
        match self.open().await {
            Ok(socket) => {
                (self.socket, self.failures) = (Some(socket), 0);
                Ok(())
            }
            Err(error) => {
                self.failures += 1;
                if self.max_retries.is_some_and(|max| self.failures > max) {
                    self.log.error(format_args!("Failed to connect for the last time: {error}"));
                    return Err(Error::EndOfInput);
                }
                Err(error)
            }
        }
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some(socket) = &mut self.socket else { return Err(Error::NotConnected) };
        let mut said = socket.read().await;
        while let Ok(Some(content)) = said {
            reading.push(Message::new(content));
            if reading.ends.len() == MAX_BATCHES {
                return Ok(());
            }
            match socket.read().now_or_never() {
                Some(next) => said = next,
                None => return Ok(()),
            }
        }
        if let Err(error) = said {
            self.log.error(format_args!("Failed to read: {error}"));
        }
        self.socket = None;
        if reading.is_empty() { Err(Error::NotConnected) } else { Ok(()) }
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        if let Some(socket) = self.socket.take() {
            socket.close().await;
        }
    }
}

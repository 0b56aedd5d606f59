//! `http_client`: asks a server for messages, again and again.

use crate::codec_scanner::{self, Batches};
use crate::http_client::{Body as RequestBody, Client, HttpError, Shared, fields, split};
use async_trait::async_trait;
use reqwest::Response;
use serde::Deserialize;
use std::{pin::Pin, sync::Arc};
use weir_bloblang::{Message, Text, Value};
use weir_core::{
    error::Error,
    expression::Interpolated,
    field::Field,
    input::{InputComponent, Reader, Reading},
    node::Node,
    registry::InputSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

static FIELDS: [Field; 26] = fields("GET", OWN);

const OWN: &[Field] = &[
    Field::string("payload", "The body of each request.").optional().interpolated(),
    Field::bool("drop_empty_bodies", "Whether empty answers are passed over.").default("true").advanced(),
    Field::object(
        "stream",
        "Keep a request open and cut its answer into messages as it comes.",
        &[
            Field::bool("enabled", "Whether it is so.").default("false"),
            Field::bool(
                "reconnect",
                "Whether to ask again when the answer has ended; otherwise the input ends.",
            )
            .default("true"),
            codec_scanner::CODEC,
            codec_scanner::MAX_BUFFER,
            Field::scanner("scanner", "How to cut the answer into messages.").default("{ lines: {} }"),
        ],
    ),
    Field::bool("auto_replay_nacks", "Send messages again that could not be delivered.").default("true"),
];

pub(super) static SPEC: InputSpec = InputSpec {
    name: "http_client",
    summary: "Asks a server for messages, again and again, or takes them from one answer that goes on.",
    description: "Each answer is a message, a multipart one a batch; the next request is sent at once, so set a \
                  `rate_limit` where the server does not wait by itself. Expressions see the answer before. What a \
                  server gave and this process did not deliver before it ended is lost.",
    status: Status::Stable,
    body: Body::Fields(&FIELDS),
    examples: &[Example {
        title: "Lines that go on",
        config: "{ url: 'http://localhost:8080/feed', verb: GET, stream: { enabled: true } }",
    }],
    build: |node, context| {
        let (client, own) = split(node, OWN);
        let config: Config = own.read()?;
        let body = match config.payload {
            Some(payload) if payload.as_static() != Some("") => RequestBody::Text(payload),
            _ => RequestBody::Empty,
        };
        let mut client = Client::new(client.read()?, body, context)?;
        let (mut scanner, mut batches) = (None, Batches::default());
        if config.stream.enabled {
            client = client.without_timeout();
            let StreamConfig { codec, max_buffer, scanner: node, .. } = config.stream;
            let field = "http_client.stream.scanner";
            let (chosen, with) = codec_scanner::choose(codec.as_deref(), max_buffer, field, &node, context)?;
            (scanner, batches) = (Some(chosen), with);
        }
        Ok(InputComponent::Reader(Box::new(HttpClient {
            client: Arc::new(client),
            drop_empty: config.drop_empty_bodies,
            reconnect: config.stream.reconnect,
            replays: config.auto_replay_nacks,
            scanner,
            batches,
            before: Vec::new(),
            asking: None,
            opening: None,
            open: None,
            ended: false,
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    payload: Option<Interpolated>,
    drop_empty_bodies: bool,
    stream: StreamConfig,
    auto_replay_nacks: bool,
}

#[derive(Deserialize)]
struct StreamConfig {
    enabled: bool,
    reconnect: bool,
    codec: Option<String>,
    max_buffer: i64,
    scanner: Node,
}

/// Work that goes on where it was when a call is cancelled.
type Pending<T> = Option<Pin<Box<dyn Future<Output = Result<T, HttpError>> + Send>>>;

struct HttpClient {
    client: Shared,
    drop_empty: bool,
    reconnect: bool,
    replays: bool,
    /// How to cut an answer that goes on; `None`: each answer is whole.
    scanner: Option<Arc<dyn Scanner>>,
    batches: Batches,
    /// The answer before, which expressions see.
    before: Vec<Message>,
    asking: Pending<Vec<Message>>,
    opening: Pending<Response>,
    open: Option<(Response, Box<dyn Scan>)>,
    ended: bool,
}

impl HttpClient {
    /// One answer, whole.
    async fn ask(&mut self, reading: &mut Reading) -> Result<(), Error> {
        loop {
            let (client, before) = (Arc::clone(&self.client), &self.before);
            let asking = self.asking.get_or_insert_with(|| {
                let before = before.clone();
                Box::pin(async move { client.send(&before).await })
            });
            let answered = asking.await;
            self.asking = None;
            let messages = match answered {
                Ok(messages) => messages,
                Err(error) if error.timed_out => continue,
                Err(error) => return Err(error.into()),
            };
            match &*messages {
                [] => continue,
                [only] if self.drop_empty && only.is_empty() => {
                    // An answer at once and without content: do not spin on it.
                    tokio::task::yield_now().await;
                    continue;
                }
                _ => {}
            }
            self.before.clone_from(&messages);
            reading.messages.extend(messages);
            reading.end_batch();
            return Ok(());
        }
    }

    /// What comes next of an answer that goes on.
    async fn go_on(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some((response, scan)) = &mut self.open else { return Err(Error::NotConnected) };
        while reading.is_empty() {
            let mut messages = Vec::new();
            let (cut, mut ended) = match response.chunk().await {
                Ok(Some(piece)) => (scan.feed(piece, &mut messages), false),
                Ok(None) => (scan.finish(&mut messages), true),
                Err(error) => (Err(Error::Failed(error.without_url().to_string())), true),
            };
            if let Err(error) = cut {
                self.client.log().error(format_args!("Failed to read message: {error}"));
                ended = true;
            }
            if self.drop_empty && !self.batches.multipart() {
                messages.retain(|message| !message.is_empty());
            }
            self.batches.add(messages, reading);
            if ended {
                self.batches.end(reading);
                self.open = None;
                self.ended = !self.reconnect;
                break;
            }
        }
        if let Some(last) = reading.messages.last() {
            self.before = vec![last.clone()];
        }
        if reading.is_empty() { Err(self.lost()) } else { Ok(()) }
    }

    fn lost(&self) -> Error {
        if self.ended { Error::EndOfInput } else { Error::NotConnected }
    }
}

#[async_trait]
impl Reader for HttpClient {
    async fn connect(&mut self) -> Result<(), Error> {
        let Some(scanner) = &self.scanner else { return Ok(()) };
        if self.open.is_some() {
            return Ok(());
        }
        let (client, before) = (Arc::clone(&self.client), &self.before);
        let opening = self.opening.get_or_insert_with(|| {
            let before = before.clone();
            Box::pin(async move { client.open(&before).await })
        });
        let opened = opening.await;
        self.opening = None;
        let response = opened?;
        let mut headers = Message::default();
        for (name, value) in response.headers() {
            headers.metadata_mut().set(name.as_str(), Value::string(Text::new(value.as_bytes())));
        }
        self.before = vec![headers];
        self.open = Some((response, scanner.open("")?));
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        match &self.scanner {
            None => self.ask(reading).await,
            Some(_) if self.open.is_none() => Err(self.lost()),
            Some(_) => self.go_on(reading).await,
        }
    }

    fn replays(&self) -> bool {
        self.replays
    }

    async fn close(&mut self) {
        (self.asking, self.opening, self.open) = (None, None, None);
    }
}

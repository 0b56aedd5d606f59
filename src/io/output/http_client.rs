//! `http_client`: sends messages to a server.

use crate::http_client::{Body as RequestBody, Client, PartConfig, fields, merged, split};
use async_trait::async_trait;
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    error::Error,
    field::Field,
    node::Node,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
    sync_response::Responses,
};

static FIELDS: [Field; 27] = fields("POST", OWN);

const OWN: &[Field] = &[
    Field::bool("batch_as_multipart", "Send each batch in one request, as multipart.")
        .default("false")
        .advanced(),
    Field::bool("propagate_response", "Give answers back to the input, as `sync_response` does.")
        .default("false")
        .advanced(),
    Field::int("max_in_flight", "How many batches may be under way at once.").default("64"),
    Field::batching("batching", "How small batches are joined."),
    Field::object(
        "multipart",
        "Parts that make up the body of each request.",
        &[
            Field::string("content_type", "Its type.").default("''").interpolated().advanced(),
            Field::string("content_disposition", "Its disposition.").default("''").interpolated().advanced(),
            Field::string("body", "Its content.").default("''").interpolated().advanced(),
        ],
    )
    .list()
    .default("[]")
    .advanced(),
];

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "http_client",
    summary: "Sends messages to a server, each in a request.",
    description: "A batch of several is sent message after message, and the first that fails fails all of it, unless \
                  `batch_as_multipart` sends it in one request.",
    status: Status::Stable,
    body: Body::Fields(&FIELDS),
    examples: &[Example { title: "A hook", config: "{ url: 'http://localhost:8080/hook', verb: POST }" }],
    build: |node, context| {
        let (client, own) = split(node, OWN);
        let config: Config = own.read()?;
        let body = if config.multipart.is_empty() {
            RequestBody::Messages
        } else {
            RequestBody::Parts(config.multipart)
        };
        let writer = Box::new(HttpClient {
            client: Client::new(client.read()?, body, context)?,
            batch_as_multipart: config.batch_as_multipart,
            propagate_response: config.propagate_response,
        });
        let max_in_flight = usize::try_from(config.max_in_flight).unwrap_or(1).max(1);
        Ok(OutputComponent::Writer { writer, max_in_flight })
    },
};

#[derive(Deserialize)]
struct Config {
    batch_as_multipart: bool,
    propagate_response: bool,
    max_in_flight: i64,
    #[expect(dead_code, reason = "the engine batches")]
    batching: Option<Node>,
    multipart: Vec<PartConfig>,
}

struct HttpClient {
    client: Client,
    batch_as_multipart: bool,
    propagate_response: bool,
}

#[async_trait]
impl Writer for HttpClient {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let size = if self.batch_as_multipart { batch.len().max(1) } else { 1 };
        for sent in batch.chunks(size) {
            let answered = self.client.send(sent).await.map_err(Error::from)?;
            if self.propagate_response && !Responses::add(&merged(sent, answered)) {
                self.client.log().warn("Unable to propagate response to input: it does not wait for any");
            }
        }
        Ok(())
    }
}

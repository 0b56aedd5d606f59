//! `http`: asks a server about messages; its answers take their place.

use crate::http_client::{Body as RequestBody, Client, HttpError, annotate, fields, merged, split};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    component::Component,
    error::Error,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

static FIELDS: [Field; 24] = fields("POST", OWN);

const OWN: &[Field] = &[
    Field::bool("batch_as_multipart", "Send each batch in one request, as multipart.")
        .default("false")
        .advanced(),
    Field::bool("parallel", "Send the messages of a batch at the same time.").default("false"),
];

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "http",
    summary: "Sends each message to a server, and replaces it with the answer.",
    description: "The message's metadata stays, and gets `http_status_code`. A request that fails leaves the message as \
                  it was and flags it. A batch of several is sent message after message, unless `parallel` or \
                  `batch_as_multipart` says otherwise.",
    status: Status::Stable,
    body: Body::Fields(&FIELDS),
    examples: &[Example {
        title: "Ask for each document",
        config: "{ url: 'http://localhost:8080/enrich', verb: POST, timeout: 2s }",
    }],
    build: |node, context| {
        let (client, own) = split(node, OWN);
        let Config { batch_as_multipart, parallel } = own.read()?;
        let component = Arc::clone(context.component());
        let client = Client::new(client.read()?, RequestBody::Messages, context)?;
        Ok(Box::new(Http { client, component, batch_as_multipart, parallel }))
    },
};

#[derive(Deserialize)]
struct Config {
    batch_as_multipart: bool,
    parallel: bool,
}

/// At most so many requests of one batch at the same time.
const PARALLEL: usize = 64;

struct Http {
    client: Client,
    component: Arc<Component>,
    batch_as_multipart: bool,
    parallel: bool,
}

impl Http {
    async fn ask(&self, mut asked: Vec<Message>) -> Vec<Message> {
        match self.client.send(&asked).await {
            Ok(answered) => merged(&asked, answered),
            Err(error) => {
                self.fail(&mut asked, &error);
                asked
            }
        }
    }

    fn fail(&self, messages: &mut [Message], error: &HttpError) {
        self.client.log().error(format_args!("HTTP request failed: {error}"));
        for message in messages {
            if let Some((status, headers)) = error.answer.as_deref() {
                annotate(message.metadata_mut(), *status, headers, self.client.extract());
            }
            self.component.fail(message, &*error.text);
        }
    }
}

#[async_trait]
impl Processor for Http {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        if self.batch_as_multipart || batch.len() == 1 {
            let answered = self.ask(batch).await;
            if answered.is_empty() {
                return Err(Error::failed("HTTP response was empty"));
            }
            return Ok(one(answered));
        }
        let limit = if self.parallel { PARALLEL } else { 1 };
        let asking = stream::iter(batch).map(|message| self.ask(vec![message])).buffered(limit);
        let answered: Vec<Vec<Message>> = asking.collect().await;
        Ok(one(answered.into_iter().flatten().collect()))
    }
}

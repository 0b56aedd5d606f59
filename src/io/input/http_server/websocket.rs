//! Messages that come over websockets, each a batch of its own.

use super::{Asked, Endpoint, closing, request::websocket_metadata};
use crate::websocket::{Socket, accept};
use async_trait::async_trait;
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::sleep};
use weir_bloblang::{Message, Metadata};
use weir_core::{
    ack::Failure,
    backoff::Backoff,
    error::Error,
    http::{Handler, Request, Response},
    sync_response::Responses,
};

/// How long to wait when a rate limit itself fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Talks to clients over websockets.
pub(super) struct Talks {
    endpoint: Arc<Endpoint>,
    welcome: Bytes,
    limited: Bytes,
}

impl Talks {
    pub(super) fn new(endpoint: Arc<Endpoint>, welcome: String, limited: String) -> Self {
        Self { endpoint, welcome: welcome.into(), limited: limited.into() }
    }
}

#[async_trait]
impl Handler for Talks {
    async fn handle(&self, request: Request) -> Response {
        if self.endpoint.soft_stop.is_cancelled() {
            return closing();
        }
        let metadata = websocket_metadata(&request);
        let (welcome, limited) = (self.welcome.clone(), self.limited.clone());
        let endpoint = Arc::clone(&self.endpoint);
        accept(&request, move |socket| async move {
            let mut talk = Talk { socket, endpoint, metadata, limited };
            let ended = talk.go_on(welcome).await;
            if let Err(error) = ended {
                tracing::debug!("Websocket ended: {error}");
            }
            talk.socket.close().await;
        })
    }
}

struct Talk {
    socket: Socket,
    endpoint: Arc<Endpoint>,
    metadata: Metadata,
    limited: Bytes,
}

impl Talk {
    /// Takes messages one after the other, until the client goes or the input stops.
    async fn go_on(&mut self, welcome: Bytes) -> Result<(), Error> {
        if !welcome.is_empty() {
            self.socket.send_bytes(welcome).await?;
        }
        let stop = self.endpoint.soft_stop.clone();
        loop {
            let said = tokio::select! {
                () = stop.cancelled() => return Ok(()),
                said = self.socket.read() => said?,
            };
            let Some(content) = said else { return Ok(()) };
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                passed = self.pass() => passed?,
            }
            for answer in self.deliver(content).await? {
                self.socket.send_text(answer.content().clone()).await?;
            }
        }
    }

    /// Waits until the rate limit lets a message pass; the client is told once.
    async fn pass(&mut self) -> Result<(), Error> {
        let Some(limit) = self.endpoint.rate_limit.clone() else { return Ok(()) };
        let mut told = self.limited.is_empty();
        loop {
            let access = match limit.get() {
                Some(limit) => limit.access().await,
                None => Err(Error::failed("it was removed")),
            };
            let wait = match access {
                Ok(None) => return Ok(()),
                Ok(Some(wait)) => wait,
                Err(error) => {
                    self.endpoint.log.warn(format_args!("Failed to access rate limit: {error}"));
                    PAUSE
                }
            };
            if !std::mem::replace(&mut told, true) {
                self.socket.send_bytes(self.limited.clone()).await?;
            }
            sleep(wait).await;
        }
    }

    /// Sends a message through the stream, again and again until it is delivered; gives what came back.
    async fn deliver(&mut self, content: Bytes) -> Result<Vec<Message>, Error> {
        let Endpoint { to, tracer, soft_stop, hard_stop, .. } = &*self.endpoint;
        let mut backoff = Backoff::input();
        loop {
            let mut message = Message::new(content.clone());
            *message.metadata_mut() = self.metadata.clone();
            let mut batch = vec![message];
            let responses = Responses::attach(&mut batch);
            if let Some(tracer) = tracer {
                tracer.begin(&mut batch, "input_http_server_websocket", None);
            }
            let (outcome, told) = oneshot::channel();
            tokio::select! {
                () = soft_stop.cancelled() => return Err(Error::Closed),
                sent = to.send(Asked { batch, outcome }) => sent.map_err(|_| Error::Closed)?,
            }
            let outcome = tokio::select! {
                biased;
                outcome = told => outcome,
                () = hard_stop.cancelled() => return Err(Error::Closed),
            };
            match outcome {
                Ok(Ok(())) => return Ok(responses.take().concat()),
                Ok(Err(Failure { error: Error::Closed, .. })) | Err(_) => return Err(Error::Closed),
                Ok(Err(_)) => {}
            }
            tokio::select! {
                () = soft_stop.cancelled() => return Err(Error::Closed),
                () = sleep(backoff.wait()) => {}
            }
        }
    }
}

//! `http_server`: gives messages to whoever asks over HTTP.

use crate::{
    content_type,
    listener::{CORS, CorsConfig, listener, routes, time_out},
    multipart,
    websocket::{Socket, accept},
};
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Deserialize;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    field::Field,
    http::{Body as HttpBody, Handler, HttpHost, Request, Response, Route, Served},
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "http_server",
    summary: "Gives messages to whoever asks for them over HTTP.",
    description: "Each request to `path` gets one batch, several messages as multipart; it waits for one until \
                  `timeout`, and is then answered with 408. A request to `stream_path` gets messages as lines for as \
                  long as it stays open, and an empty line after each batch of several. Of those who listen \
                  at `ws_path` one gets each batch, message by message. A message counts as delivered when it is \
                  handed to the connection: what a client then loses is lost.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("address", "Host and port of a listener of its own; empty: the server's.")
            .default("''"),
        Field::string("path", "Where one batch is given to each request; empty: nowhere.").default("/get"),
        Field::string("stream_path", "Where messages are given on and on; empty: nowhere.")
            .default("/get/stream"),
        Field::string(
            "ws_path",
            "Where each message is given to one of those who listen over websockets; empty: nowhere.",
        )
        .default("/get/ws"),
        Field::string("allowed_verbs", "The verbs that are answered.").list().default("[ GET ]"),
        Field::string("timeout", "How long a request to `path` waits for a message.")
            .default("5s")
            .advanced(),
        Field::string("cert_file", "Certificate in PEM of a listener of its own.").default("''").advanced(),
        Field::string("key_file", "Key in PEM of a listener of its own.").default("''").advanced(),
        CORS,
    ]),
    examples: &[Example { title: "A path of its own", config: "path: /next" }],
    build: |node, context| {
        let writer = Box::new(HttpServer::new(node.read()?, context)?);
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

#[derive(Deserialize)]
struct Config {
    address: String,
    path: String,
    stream_path: String,
    ws_path: String,
    allowed_verbs: Vec<String>,
    timeout: String,
    cert_file: String,
    key_file: String,
    cors: CorsConfig,
}

struct HttpServer {
    stream: String,
    http: Arc<dyn HttpHost>,
    routes: Mutex<Vec<Route>>,
    served: Mutex<Vec<Box<dyn Served>>>,
    offers: mpsc::Sender<Offer>,
    closed: CancellationToken,
    /// The stream is told to stop, and did not come to its own end.
    stopped: CancellationToken,
}

/// For so long after the last message clients that ask again are told that it was the last.
const FAREWELL: Duration = Duration::from_secs(1);

/// A batch for whoever asks next.
struct Offer {
    batch: Vec<Message>,
    taken: oneshot::Sender<()>,
}

impl HttpServer {
    fn new(config: Config, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let environment = context.environment();
        let files = (config.cert_file, config.key_file);
        let listener = listener(config.address, config.cors, files, false)?;
        let (offers, waiting) = mpsc::channel(1);
        let closed = CancellationToken::new();
        let shared = Arc::new(Shared {
            waiting: tokio::sync::Mutex::new(waiting),
            verbs: config.allowed_verbs,
            timeout: time_out(&config.timeout)?,
            closed: closed.clone(),
        });
        let paths: [(String, &str, Arc<dyn Handler>); 3] = [
            (config.path, "Read a single message from weir.", Arc::new(Single(Arc::clone(&shared)))),
            (
                config.stream_path,
                "Read a continuous stream of messages from weir.",
                Arc::new(Continuous(Arc::clone(&shared))),
            ),
            (config.ws_path, "Read messages from weir via websockets.", Arc::new(Talks(shared))),
        ];
        let routes = routes(paths, listener.as_ref(), environment)?;
        Ok(Self {
            stream: environment.stream.clone(),
            http: Arc::clone(&environment.http),
            routes: Mutex::new(routes),
            served: Mutex::default(),
            offers,
            closed,
            stopped: environment.soft_stop.clone(),
        })
    }
}

#[async_trait]
impl Writer for HttpServer {
    async fn connect(&self) -> Result<(), Error> {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        for route in self.routes.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            served.push(self.http.serve(&self.stream, route)?);
        }
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        loop {
            let (taken, told) = oneshot::channel();
            let offer = Offer { batch: batch.to_vec(), taken };
            if self.offers.send(offer).await.is_err() {
                return Err(Error::Closed.into());
            }
            // A request that went away before it was answered leaves the batch to the next.
            if told.await.is_ok() {
                return Ok(());
            }
        }
    }

    async fn close(&self) {
        self.closed.cancel();
        // In streams mode the server outlives the stream and tells so itself.
        if self.stream.is_empty() {
            drop(timeout(FAREWELL, self.stopped.cancelled()).await);
        }
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// What the paths of one output share.
struct Shared {
    waiting: tokio::sync::Mutex<mpsc::Receiver<Offer>>,
    verbs: Vec<String>,
    timeout: Duration,
    closed: CancellationToken,
}

const CLOSED: &str = "Server closed";

impl Shared {
    fn refused(&self, request: &Request) -> Option<Response> {
        if self.closed.is_cancelled() {
            return Some(Response::error(StatusCode::SERVICE_UNAVAILABLE, CLOSED));
        }
        let allowed = self.verbs.iter().any(|verb| *verb == request.method.as_str());
        (!allowed).then(|| Response::error(StatusCode::METHOD_NOT_ALLOWED, "Incorrect method"))
    }

    /// The next batch; `None` once closed. Cancel-safe.
    async fn next(&self) -> Option<Offer> {
        tokio::select! {
            biased;
            () = self.closed.cancelled() => None,
            offer = async { self.waiting.lock().await.recv().await } => offer,
        }
    }
}

/// One batch a request.
struct Single(Arc<Shared>);

#[async_trait]
impl Handler for Single {
    async fn handle(&self, request: Request) -> Response {
        if let Some(refused) = self.0.refused(&request) {
            return refused;
        }
        let Offer { batch, taken } = match timeout(self.0.timeout, self.0.next()).await {
            Ok(Some(offer)) => offer,
            Ok(None) => return Response::error(StatusCode::SERVICE_UNAVAILABLE, CLOSED),
            Err(_) => return Response::error(StatusCode::REQUEST_TIMEOUT, "Timed out waiting for message"),
        };
        let (body, media) = match &*batch {
            [only] => (only.content().clone(), HeaderValue::from_static("application/octet-stream")),
            several => {
                let mut writer = multipart::Writer::new();
                several.iter().for_each(|message| writer.part("application/octet-stream", message.content()));
                let (body, media) = writer.finish();
                (
                    body,
                    HeaderValue::from_str(&media).unwrap_or(HeaderValue::from_static("multipart/form-data")),
                )
            }
        };
        let mut response = Response::new(StatusCode::OK, body);
        response.headers.insert(CONTENT_TYPE, media);
        taken.send(()).ok();
        response
    }

    fn closed(&self) -> &'static str {
        CLOSED
    }
}

/// Messages as lines, on and on.
struct Continuous(Arc<Shared>);

/// Messages as lines, those of a batch of several ended by an empty one.
fn lines(batch: &[Message]) -> Bytes {
    let mut out = Vec::new();
    for message in batch {
        message.write_to(&mut out);
        out.push(b'\n');
    }
    if batch.len() != 1 {
        out.push(b'\n');
    }
    out.into()
}

#[async_trait]
impl Handler for Continuous {
    async fn handle(&self, request: Request) -> Response {
        if let Some(refused) = self.0.refused(&request) {
            return refused;
        }
        let mut response = Response::new(StatusCode::OK, "");
        // The first message tells the type of the content.
        let Some(first) = self.0.next().await else { return response };
        let piece = lines(&first.batch);
        response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type::guess(&piece)));
        let (to, pieces) = mpsc::channel(1);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut next = Some((piece, first.taken));
            while let Some((piece, taken)) = next {
                if to.send(piece).await.is_err() {
                    return;
                }
                taken.send(()).ok();
                next = tokio::select! {
                    () = to.closed() => None,
                    offer = shared.next() => offer.map(|offer| (lines(&offer.batch), offer.taken)),
                };
            }
        });
        response.body = HttpBody::Stream(pieces);
        response
    }

    fn closed(&self) -> &'static str {
        CLOSED
    }
}

/// Messages over websockets: those who listen take turns.
struct Talks(Arc<Shared>);

/// Gives messages to one client until it goes.
async fn talk(mut socket: Socket, shared: Arc<Shared>) {
    loop {
        let Offer { batch, taken } = tokio::select! {
            biased;
            // What a client says means nothing, but that it is there.
            said = socket.read() => match said {
                Ok(Some(_)) => continue,
                Ok(None) | Err(_) => break,
            },
            offer = shared.next() => match offer {
                Some(offer) => offer,
                None => break,
            },
        };
        for message in &batch {
            // The batch goes to the next who asks.
            if socket.send_bytes(message.content().clone()).await.is_err() {
                return;
            }
        }
        taken.send(()).ok();
    }
    socket.close().await;
}

#[async_trait]
impl Handler for Talks {
    async fn handle(&self, request: Request) -> Response {
        if self.0.closed.is_cancelled() {
            return Response::error(StatusCode::SERVICE_UNAVAILABLE, CLOSED);
        }
        let shared = Arc::clone(&self.0);
        accept(&request, move |socket| talk(socket, shared))
    }

    fn closed(&self) -> &'static str {
        CLOSED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, Method};
    use weir_core::http::NoHttp;

    fn server() -> (HttpServer, Arc<Shared>) {
        let (offers, waiting) = mpsc::channel(1);
        let closed = CancellationToken::new();
        let shared = Shared {
            waiting: tokio::sync::Mutex::new(waiting),
            verbs: vec!["GET".into()],
            timeout: Duration::from_secs(5),
            closed: closed.clone(),
        };
        let server = HttpServer {
            stream: String::new(),
            http: Arc::new(NoHttp),
            routes: Mutex::default(),
            served: Mutex::default(),
            offers,
            closed,
            stopped: CancellationToken::new(),
        };
        (server, Arc::new(shared))
    }

    fn get() -> Request {
        Request {
            method: Method::GET,
            path: "/get".into(),
            variables: Vec::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: Bytes::new(),
        }
    }

    fn whole(response: Response) -> (u16, String) {
        let HttpBody::Whole(body) = response.body else { panic!("a whole body") };
        (response.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_gets_one_batch() {
        let (server, shared) = server();
        let handler = Single(shared);
        let batch = [Message::new("one")];
        let (written, answer) = tokio::join!(server.write(&batch), handler.handle(get()));
        assert!(written.is_ok());
        assert_eq!(whole(answer), (200, "one".into()));
        assert_eq!(whole(handler.handle(get()).await), (408, "Timed out waiting for message\n".into()));
        server.close().await;
        assert_eq!(whole(handler.handle(get()).await), (503, "Server closed\n".into()));
    }

    #[tokio::test]
    async fn what_nobody_was_given_goes_to_the_next() {
        let (server, shared) = server();
        let handler = Single(Arc::clone(&shared));
        let batch = [Message::new("one")];
        let (written, answer) = tokio::join!(server.write(&batch), async {
            drop(shared.next().await);
            handler.handle(get()).await
        });
        assert!(written.is_ok());
        assert_eq!(whole(answer), (200, "one".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_goes_on_until_the_end() {
        let (server, shared) = server();
        let handler = Continuous(shared);
        let (response, ()) = tokio::join!(handler.handle(get()), async {
            server.write(&[Message::new("one")]).await.unwrap();
        });
        let HttpBody::Stream(mut pieces) = response.body else { panic!("a stream") };
        assert_eq!(pieces.recv().await.unwrap(), "one\n");
        server.write(&[Message::new("a"), Message::new("b")]).await.unwrap();
        assert_eq!(pieces.recv().await.unwrap(), "a\nb\n\n");
        server.close().await;
        assert_eq!(pieces.recv().await, None);
    }
}

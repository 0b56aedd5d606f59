//! `http_server`: takes messages that are sent to it over HTTP.

mod gzip;
mod request;
mod response;
mod websocket;

use crate::{
    listener::{CORS, CorsConfig, listener, routes, time_out},
    net::{TCP, TcpConfig},
};
use async_trait::async_trait;
use http::StatusCode;
use response::{Answer, AnswerConfig};
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use websocket::Talks;
use weir_bloblang::Message;
use weir_core::{
    ack::Failure,
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    field::Field,
    frame::MAX_BATCHES,
    http::{Handler, HttpHost, Request, Response, Route, Served},
    input::{InputComponent, Reader, Reading},
    log::Log,
    rate_limit::RateLimit,
    registry::InputSpec,
    slot::Slot,
    spec::{Body, Example, Status},
    sync_response::Responses,
    trace::{self, Tracer},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "http_server",
    summary: "Takes messages that are sent to it over HTTP.",
    description: include_str!("http_server.md"),
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("address", "Host and port of a listener of its own; empty: the server's.")
            .default("''"),
        Field::string("path", "Where messages are sent to; empty: nowhere.").default("/post"),
        Field::string("ws_path", "Where messages are sent to over websockets; empty: nowhere.")
            .default("/post/ws"),
        Field::string("ws_welcome_message", "What a websocket's client is greeted with.")
            .default("''")
            .advanced(),
        Field::string("ws_rate_limit_message", "What a websocket's client is told when it sends too much.")
            .default("''")
            .advanced(),
        Field::string("allowed_verbs", "The verbs that are taken.").list().default("[ POST ]"),
        Field::string(
            "timeout",
            "How long a request waits for its messages to be delivered. Later they may still be.",
        )
        .default("5s"),
        Field::string("rate_limit", "Label of a rate limit resource that every request asks.").default("''"),
        Field::string("cert_file", "Certificate in PEM of a listener of its own.").default("''").advanced(),
        Field::string("key_file", "Key in PEM of a listener of its own.").default("''").advanced(),
        CORS,
        Field::object("sync_response", "What a request is answered with.", response::FIELDS).advanced(),
        TCP,
    ]),
    examples: &[Example { title: "A path of its own", config: "path: /orders/{shop}" }],
    build: |node, context| {
        let config: Config = node.read()?;
        Ok(InputComponent::Reader(Box::new(HttpServer::new(config, context)?)))
    },
};

#[derive(Deserialize)]
struct Config {
    address: String,
    path: String,
    ws_path: String,
    ws_welcome_message: String,
    ws_rate_limit_message: String,
    allowed_verbs: Vec<String>,
    timeout: String,
    rate_limit: String,
    cert_file: String,
    key_file: String,
    cors: CorsConfig,
    sync_response: AnswerConfig,
    tcp: Option<TcpConfig>,
}

/// Requests that wait to be read; those beyond wait with the client.
const QUEUE: usize = 64;

struct HttpServer {
    stream: String,
    http: Arc<dyn HttpHost>,
    routes: Vec<Route>,
    served: Vec<Box<dyn Served>>,
    asked: mpsc::Receiver<Asked>,
    /// An input that serves no path waits: it has not ended.
    _ask: mpsc::Sender<Asked>,
}

/// The messages of one request.
struct Asked {
    batch: Vec<Message>,
    outcome: oneshot::Sender<Result<(), Failure>>,
}

impl HttpServer {
    fn new(config: Config, context: &mut dyn BuildContext) -> Result<Self, BuildError> {
        let reuse_port = config.tcp.is_some_and(|tcp| tcp.reuse_port);
        let files = (config.cert_file, config.key_file);
        let listener = listener(config.address, config.cors, files, reuse_port)?;
        let (to, asked) = mpsc::channel(QUEUE);
        let timeout = time_out(&config.timeout)?;
        let rate_limit = match &*config.rate_limit {
            "" => None,
            label => Some(context.rate_limit(label)?),
        };
        let (environment, log) = (context.environment().clone(), Log::new(context));
        let endpoint = Arc::new(Endpoint {
            to: to.clone(),
            verbs: config.allowed_verbs,
            timeout,
            rate_limit,
            answer: Answer::new(config.sync_response, log.clone())?,
            log,
            tracer: environment.tracer.clone(),
            soft_stop: environment.soft_stop.clone(),
            hard_stop: environment.hard_stop.clone(),
        });
        let talks =
            Talks::new(Arc::clone(&endpoint), config.ws_welcome_message, config.ws_rate_limit_message);
        let paths: [(String, &str, Arc<dyn Handler>); 2] = [
            (config.path, "Post a message into weir.", endpoint),
            (config.ws_path, "Post messages via websocket into weir.", Arc::new(talks)),
        ];
        let routes = routes(paths, listener.as_ref(), &environment)?;
        Ok(Self {
            stream: environment.stream,
            http: environment.http,
            routes,
            served: Vec::new(),
            asked,
            _ask: to,
        })
    }
}

fn add(reading: &mut Reading, asked: Asked) {
    let Asked { batch, outcome } = asked;
    // Nobody waits for it any more: it was answered with a time-out before it was read.
    if outcome.is_closed() {
        return;
    }
    reading.messages.extend(batch);
    reading.end_batch();
    reading.outcomes.push(Box::new(move |told| drop(outcome.send(told))));
}

#[async_trait]
impl Reader for HttpServer {
    fn is_served(&self) -> bool {
        true
    }

    async fn connect(&mut self) -> Result<(), Error> {
        for route in self.routes.drain(..) {
            self.served.push(self.http.serve(&self.stream, route)?);
        }
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        while reading.is_empty() {
            let first = self.asked.recv().await.ok_or(Error::EndOfInput)?;
            add(reading, first);
        }
        while reading.ends.len() < MAX_BATCHES
            && let Ok(next) = self.asked.try_recv()
        {
            add(reading, next);
        }
        Ok(())
    }

    fn replays(&self) -> bool {
        false
    }

    async fn close(&mut self) {
        self.served.clear();
        // Requests that were never read are told that it is over.
        self.asked.close();
        while self.asked.try_recv().is_ok() {}
    }
}

/// Answers requests with messages.
struct Endpoint {
    to: mpsc::Sender<Asked>,
    verbs: Vec<String>,
    timeout: Duration,
    rate_limit: Option<Slot<dyn RateLimit>>,
    answer: Answer,
    log: Log,
    tracer: Option<Arc<Tracer>>,
    soft_stop: CancellationToken,
    hard_stop: CancellationToken,
}

fn closing() -> Response {
    Response::error(StatusCode::SERVICE_UNAVAILABLE, "Server closing")
}

fn timed_out() -> Response {
    Response::error(StatusCode::REQUEST_TIMEOUT, "Request timed out")
}

impl Endpoint {
    /// The answer to a client that must wait, if it must.
    async fn limited(&self) -> Option<Response> {
        let failed = |reason: &dyn std::fmt::Display| {
            self.log.warn(format_args!("Failed to access rate limit: {reason}"));
            Some(Response::error(StatusCode::BAD_GATEWAY, "Server error"))
        };
        let Some(limit) = self.rate_limit.as_ref()?.get() else { return failed(&"it was removed") };
        match limit.access().await {
            Ok(None) => None,
            Ok(Some(wait)) => {
                let mut response = Response::error(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
                response.headers.insert(http::header::RETRY_AFTER, wait.as_secs().into());
                Some(response)
            }
            Err(error) => failed(&error),
        }
    }
}

#[async_trait]
impl Handler for Endpoint {
    async fn handle(&self, request: Request) -> Response {
        let compresses = gzip::is_taken(&request.headers);
        let response = self.answered(request).await;
        if compresses { gzip::compressed(response).await } else { response }
    }
}

impl Endpoint {
    async fn answered(&self, request: Request) -> Response {
        if self.soft_stop.is_cancelled() {
            return closing();
        }
        if !self.verbs.iter().any(|verb| *verb == request.method.as_str()) {
            return Response::error(StatusCode::METHOD_NOT_ALLOWED, "Incorrect method");
        }
        if let Some(response) = self.limited().await {
            return response;
        }
        let Some(mut batch) = request::messages(&request) else {
            self.log.warn("Request read failed: the body is not what its content type says");
            return Response::error(StatusCode::BAD_REQUEST, "Bad request");
        };
        if batch.is_empty() {
            return Response::new(StatusCode::OK, "");
        }
        let responses = Responses::attach(&mut batch);
        if let Some(tracer) = &self.tracer {
            let sender = request.headers.get("traceparent").and_then(|value| value.to_str().ok());
            tracer.begin(&mut batch, "input_http_server_post", sender.and_then(trace::parse));
        }
        let (outcome, told) = oneshot::channel();
        let sent = tokio::select! {
            () = self.soft_stop.cancelled() => return closing(),
            sent = timeout(self.timeout, self.to.send(Asked { batch, outcome })) => sent,
        };
        match sent {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return closing(),
            Err(_) => return timed_out(),
        }
        let outcome = tokio::select! {
            biased;
            outcome = timeout(self.timeout, told) => outcome,
            () = self.hard_stop.cancelled() => return closing(),
        };
        match outcome {
            Ok(Ok(Ok(()))) => self.answer.respond(&responses.take().concat()),
            Ok(Ok(Err(Failure { error: Error::Closed, .. })) | Err(_)) => closing(),
            Ok(Ok(Err(failure))) => Response::error(StatusCode::BAD_GATEWAY, &failure.error.to_string()),
            Err(_) => timed_out(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    fn request(method: Method, body: &'static str) -> Request {
        Request {
            method,
            path: "/post".into(),
            variables: Vec::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    fn endpoint() -> (Endpoint, mpsc::Receiver<Asked>) {
        let (to, asked) = mpsc::channel(QUEUE);
        let endpoint = Endpoint {
            to: to.clone(),
            verbs: vec!["POST".into()],
            timeout: Duration::from_secs(5),
            rate_limit: None,
            answer: Answer::plain(),
            log: Log::default(),
            tracer: None,
            soft_stop: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
        };
        (endpoint, asked)
    }

    async fn handled(endpoint: &Endpoint, request: Request) -> (u16, String) {
        let response = endpoint.handle(request).await;
        let weir_core::http::Body::Whole(body) = response.body else { panic!("a whole body") };
        (response.status.as_u16(), String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_request_is_answered_by_its_outcome() {
        let (endpoint, mut asked) = endpoint();
        for (outcome, wanted) in [
            (Ok(()), (200, "")),
            (Err(Failure::all(Error::failed("no"))), (502, "no\n")),
            (Err(Failure::all(Error::Closed)), (503, "Server closing\n")),
        ] {
            let answering = async {
                let asked: Asked = asked.recv().await.unwrap();
                assert_eq!(*asked.batch[0].content(), "x");
                asked.outcome.send(outcome).unwrap();
            };
            let ((status, body), ()) =
                tokio::join!(handled(&endpoint, request(Method::POST, "x")), answering);
            assert_eq!((status, &*body), wanted);
        }
        assert_eq!(handled(&endpoint, request(Method::GET, "x")).await.0, 405);
    }

    #[tokio::test]
    async fn what_comes_back_is_the_answer() {
        let (endpoint, mut asked) = endpoint();
        let answering = async {
            let mut asked: Asked = asked.recv().await.unwrap();
            asked.batch[0].set_content("back");
            assert!(Responses::add(&asked.batch));
            asked.outcome.send(Ok(())).unwrap();
        };
        let (answer, ()) = tokio::join!(handled(&endpoint, request(Method::POST, "x")), answering);
        assert_eq!(answer, (200, "back".into()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_outcome_is_a_time_out() {
        let (endpoint, _asked) = endpoint();
        assert_eq!(handled(&endpoint, request(Method::POST, "x")).await, (408, "Request timed out\n".into()));
    }
}

//! A server to talk to: HTTP/1.1 and 2, also by TLS. It keeps what it was asked.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// What is answered.
pub(crate) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// One request, its body read.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) verb: String,
    /// As it was written, with its query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) version: http::Version,
}

impl Asked {
    /// A header's value; empty when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The server; it goes away with the test's process.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// An answer of a status, with headers.
pub(crate) fn answer(status: u16, headers: &[(&'static str, &str)], body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed());
    *answer.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        answer.headers_mut().append(*name, HeaderValue::from_str(value).unwrap());
    }
    answer
}

/// Ends an answer with what gRPC says of a call that went well.
pub(crate) fn with_trailers(answer: Answer) -> Answer {
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    answer.map(|body| body.with_trailers(async { Some(Ok(trailers)) }).boxed())
}

impl Peer {
    /// Starts it; `respond` is given each request and how many came before.
    pub(crate) fn start(
        tls: Option<ServerConfig>,
        respond: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (kept, respond) = (Arc::clone(&asked), Arc::new(respond));
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        std::thread::spawn(move || {
            runtime.block_on(async move {
                let listener = TcpListener::from_std(socket).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    let (kept, respond, tls) = (Arc::clone(&kept), Arc::clone(&respond), tls.clone());
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (kept, respond) = (Arc::clone(&kept), Arc::clone(&respond));
                        async move {
                            let (head, body) = request.into_parts();
                            let asked = Asked {
                                verb: head.method.to_string(),
                                target: head.uri.to_string(),
                                headers: head.headers,
                                body: body.collect().await?.to_bytes(),
                                version: head.version,
                            };
                            let before = {
                                let mut kept = kept.lock().unwrap();
                                kept.push(asked.clone());
                                kept.len() - 1
                            };
                            Ok::<_, hyper::Error>(respond(before, &asked))
                        }
                    });
                    tokio::spawn(async move {
                        let server = auto::Builder::new(TokioExecutor::new());
                        // Whoever goes away or cannot talk is no fault of the server's.
                        match tls {
                            None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                                }
                            }
                        }
                    });
                }
            });
        });
        Self { address, asked }
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

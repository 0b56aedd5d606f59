//! HTTP as components see it: they give handlers, the server owns listeners, limits and time-outs.

use crate::build_error::BuildError;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use std::{fmt, pin::Pin, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

/// A request, its body read whole within the server's limit.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// The path that was asked for, undecoded.
    pub path: String,
    /// Variables of the route's pattern (`/post/{id}`), in order.
    pub variables: Vec<(String, String)>,
    /// The query, undecoded, without `?`.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The peer's address without the port, if known.
    pub remote: Option<String>,
    /// Who sent it.
    pub caller: Caller,
    /// The body.
    pub body: Bytes,
}

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// See what runs and what should, without secrets.
    Read,
    /// Change it, and see it as written.
    Write,
    /// See messages pass.
    Tap,
    /// Everything.
    Admin,
}

impl Scope {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Tap, Self::Admin];

    /// Its name in lists of tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Tap => "tap",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Who sent a request, as far as the server knows.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The name of a token or user.
    pub name: Arc<str>,
    /// What they may do.
    pub scopes: Arc<[Scope]>,
}

impl Caller {
    /// The name of those who are not known.
    pub const ANONYMOUS: &str = "anonymous";

    /// One who may do everything.
    pub fn everything(name: &str) -> Self {
        Self { name: name.into(), scopes: Arc::new([Scope::Admin]) }
    }

    /// Whether they may do this. Who may change things may read them.
    pub fn may(&self, scope: Scope) -> bool {
        let allowed = |held: &Scope| match held {
            Scope::Admin => true,
            Scope::Write => matches!(scope, Scope::Write | Scope::Read),
            held => *held == scope,
        };
        self.scopes.iter().any(allowed)
    }
}

impl Default for Caller {
    /// Somebody who may do nothing that is guarded.
    fn default() -> Self {
        Self { name: Self::ANONYMOUS.into(), scopes: Arc::new([]) }
    }
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}

/// An answer's body.
pub enum Body {
    /// All of it.
    Whole(Bytes),
    /// Pieces as they come, until the sender is dropped.
    Stream(mpsc::Receiver<Bytes>),
    /// None: the connection is handed over, once the answer, of status 101, is sent.
    Takeover(Takeover),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(bytes) => f.debug_tuple("Whole").field(bytes).finish(),
            Self::Stream(_) => f.write_str("Stream"),
            Self::Takeover(_) => f.write_str("Takeover"),
        }
    }
}

/// Bytes to and from a peer.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Who takes over a connection, for as long as the future lives.
pub type Takeover = Box<dyn FnOnce(Box<dyn Duplex>) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

impl Response {
    /// An answer without special headers.
    pub fn new(status: StatusCode, body: impl Into<Bytes>) -> Self {
        Self { status, headers: HeaderMap::new(), body: Body::Whole(body.into()) }
    }

    /// A plain text error, ended by a line break as the reference does.
    pub fn error(status: StatusCode, text: &str) -> Self {
        let mut response = Self::new(status, format!("{text}\n"));
        response
            .headers
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers.insert("x-content-type-options", http::HeaderValue::from_static("nosniff"));
        response
    }
}

/// Answers the requests of a route.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Answers one request.
    async fn handle(&self, request: Request) -> Response;

    /// Whether it changes what runs: such a path is guarded like those of the server that do.
    fn is_control(&self) -> bool {
        false
    }

    /// What the path says with status 503 for a while after its last owner is gone.
    fn closed(&self) -> &'static str {
        "Service unavailable"
    }
}

/// Cross-origin rules of a listener of its own.
#[derive(Debug, Clone, Default)]
pub struct Cors {
    /// Whether cross-origin requests are answered.
    pub enabled: bool,
    /// The origins; `*` for all.
    pub allowed_origins: Vec<String>,
}

/// A listener of its own, apart from the server's.
#[derive(Debug, Clone, Default)]
pub struct Listener {
    /// Host and port.
    pub address: String,
    /// PEM files of certificate and key; both or none.
    pub tls: Option<(String, String)>,
    /// Cross-origin rules.
    pub cors: Cors,
    /// Whether other processes may listen there as well.
    pub reuse_port: bool,
}

/// A path that a component wants served.
#[derive(Clone)]
pub struct Route {
    /// The pattern; `{name}` is one segment, a trailing `/` matches everything below.
    pub path: String,
    /// Said in `/endpoints`.
    pub description: String,
    /// A listener of its own; `None`: the server's, under the stream's prefix.
    pub listener: Option<Listener>,
    /// Who answers.
    pub handler: Arc<dyn Handler>,
}

/// Serves a route for as long as it lives.
pub trait Served: Send + Sync {}

/// Where routes are served.
pub trait HttpHost: Send + Sync {
    /// Checks at build that the path may be served: that it claims no path of the server and stays under its
    /// stream's prefix.
    fn check(&self, stream: &str, path: &str) -> Result<(), BuildError>;
    /// Begins to serve; the route ends when what is given back is dropped. The newest owner of a path serves it.
    fn serve(&self, stream: &str, route: Route) -> Result<Box<dyn Served>, crate::error::Error>;
}

/// Serves nothing: for runs without an HTTP server, and tests.
#[derive(Debug, Default)]
pub struct NoHttp;

impl Served for NoHttp {}

impl HttpHost for NoHttp {
    fn check(&self, _: &str, _: &str) -> Result<(), BuildError> {
        Ok(())
    }

    fn serve(&self, _: &str, _: Route) -> Result<Box<dyn Served>, crate::error::Error> {
        Ok(Box::new(Self))
    }
}

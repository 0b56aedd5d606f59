//! The HTTP server: a listener with limits, the table of routes, and the host where components open theirs.
//!
//! `listener` accepts connections and hands each request, its body read whole, to a [`Site`]; warp is the shell
//! around it. `path` and `table` match paths; `host` owns what components serve; `auth` and `cors` guard.

pub(crate) mod auth;
pub(crate) mod cors;
pub(crate) mod host;
pub(crate) mod listener;
pub(crate) mod path;
mod shell;
mod table;

pub(crate) use host::Host;
pub(crate) use listener::{Limits, Server};

use async_trait::async_trait;
use weir_core::http::{Request, Response};

/// Answers every request of a listener.
#[async_trait]
pub(crate) trait Site: Send + Sync + 'static {
    /// Answers one request, whatever its path.
    async fn answer(&self, request: Request) -> Response;

    /// The answer to a request to this path whose body was not taken.
    fn refusal(&self, _path: &str, status: http::StatusCode, text: &str) -> Response {
        Response::error(status, text)
    }
}

/// The answer for a path that nobody serves.
pub(crate) fn not_found() -> Response {
    Response::error(http::StatusCode::NOT_FOUND, "404 page not found")
}

/// The answer for a path that cannot be decoded.
pub(crate) fn bad_request() -> Response {
    let mut response = Response::new(http::StatusCode::BAD_REQUEST, "400 Bad Request");
    response.headers.insert(http::header::CONTENT_TYPE, TEXT);
    response
}

/// The content type of plain text.
pub(crate) const TEXT: http::HeaderValue = http::HeaderValue::from_static("text/plain; charset=utf-8");

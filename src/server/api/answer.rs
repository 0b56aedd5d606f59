//! Answers in the reference's words and forms.

use crate::http::TEXT;
use http::{HeaderValue, StatusCode, header};
use serde_json::Value;
use weir_core::http::{Body, Response};

/// JSON with a status.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(status, value.to_string());
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Plain text that went well.
pub(crate) fn text(text: impl Into<bytes::Bytes>) -> Response {
    let mut response = Response::new(StatusCode::OK, text);
    response.headers.insert(header::CONTENT_TYPE, TEXT);
    response
}

/// Nothing to say: it is done.
pub(crate) fn done() -> Response {
    Response {
        status: StatusCode::OK,
        headers: http::HeaderMap::new(),
        body: Body::Whole(bytes::Bytes::new()),
    }
}

/// `Error: …` with a status.
pub(crate) fn error(status: StatusCode, text: &str) -> Response {
    Response::error(status, &format!("Error: {text}"))
}

/// Lint errors under both names that clients know.
pub(crate) fn lints(lints: &[String]) -> Response {
    json(StatusCode::BAD_REQUEST, &serde_json::json!({ "lint_errors": lints, "linting_errors": lints }))
}

/// A verb that a route does not have.
pub(crate) fn verb(method: &http::Method) -> Response {
    error(StatusCode::BAD_REQUEST, &format!("verb not supported: {method}"))
}

/// There is no such stream.
pub(crate) fn no_stream() -> Response {
    Response::error(StatusCode::NOT_FOUND, "Stream not found")
}

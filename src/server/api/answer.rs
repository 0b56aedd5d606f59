//! Answers in the reference's words and forms.

use crate::http::TEXT;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;
use weir_control::record::Key;
use weir_core::http::{Body, Request, Response};

/// JSON with a status.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(status, value.to_string());
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A page of a list; where there is more, with a link to what comes before a revision, or after a key of that one.
pub(crate) fn page(entries: Vec<Value>, more: Option<(u64, Option<Key>)>, limit: usize) -> Response {
    let mut response = json(StatusCode::OK, &entries.into());
    if let Some((revision, key)) = more {
        let query = [("before", Some(revision.to_string())), ("after", key.map(|key| key.name()))];
        let query = query.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .append_pair("limit", &limit.to_string())
            .finish();
        let link = HeaderValue::from_str(&format!("<?{query}>; rel=\"next\""));
        response.headers.extend(link.map(|link| (header::LINK, link)));
    }
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

/// What the server's own paths refuse with.
pub(crate) fn refusal(status: StatusCode, text: &str) -> Response {
    json(status, &serde_json::json!({ "error": text }))
}

/// There is no such thing on the server's own paths.
pub(crate) fn missing(what: &str) -> Response {
    refusal(StatusCode::NOT_FOUND, &format!("{what} was not found"))
}

/// Refuses every verb but one.
pub(crate) fn only(request: &Request, method: &Method) -> Result<(), Response> {
    if request.method == *method {
        return Ok(());
    }
    let mut refused = refusal(StatusCode::METHOD_NOT_ALLOWED, &format!("this path only takes {method}"));
    refused.headers.extend(HeaderValue::from_str(method.as_str()).map(|verb| (header::ALLOW, verb)));
    Err(refused)
}

/// A time as the server's own paths write it; `null` for none.
pub(crate) fn time(milliseconds: u64) -> Value {
    let time = i64::try_from(milliseconds).ok().filter(|at| *at > 0);
    let time = time.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    time.map_or(Value::Null, |at| at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string().into())
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

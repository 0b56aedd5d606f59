//! Answers of servers as messages, and failures as the reference words them.

use crate::{metadata_filter::Filter, multipart};
use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::{Response, Url};
use std::{error::Error as _, fmt, io, time::Duration};
use weir_bloblang::{Message, Metadata, Text, Value};
use weir_core::error::Error;

/// The largest body that is taken.
const LARGEST: usize = 256 << 20;

/// Why a request failed.
#[derive(Debug, Default)]
pub(crate) struct HttpError {
    /// What is said of it.
    pub(crate) text: String,
    /// The status and headers, if there was an answer.
    pub(crate) answer: Option<Box<(u16, HeaderMap)>>,
    /// The answer did not come in time.
    pub(crate) timed_out: bool,
}

impl HttpError {
    /// How long the server wants to be left alone.
    pub(super) fn asked_to_wait(&self) -> Duration {
        let header = self.answer.as_ref().and_then(|answer| answer.1.get(RETRY_AFTER)?.to_str().ok());
        Duration::from_secs(header.and_then(|seconds| seconds.trim().parse().ok()).unwrap_or(0))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for HttpError {
    fn from(text: String) -> Self {
        Self { text, ..Self::default() }
    }
}

impl From<HttpError> for Error {
    fn from(error: HttpError) -> Self {
        if error.timed_out { Self::Timeout } else { Self::Failed(error.text) }
    }
}

/// Reads a body whole.
pub(super) async fn whole(mut response: Response) -> Result<Bytes, String> {
    let mut body = BytesMut::new();
    let mut first = None;
    while let Some(piece) = response.chunk().await.map_err(|error| cut(&error))? {
        if body.len() + piece.len() > LARGEST {
            return Err(format!("the answer is larger than {LARGEST} bytes"));
        }
        // Most answers are one piece, which is not copied.
        match (body.is_empty(), first.take()) {
            (true, None) => first = Some(piece),
            (_, begun) => {
                body.extend_from_slice(&begun.unwrap_or_default());
                body.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| body.freeze()))
}

/// Why a body ended before its end.
fn cut(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "context deadline exceeded (Client.Timeout or context cancellation while reading body)"
            .into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// Adds what an answer says about itself to a message's metadata.
pub(crate) fn annotate(metadata: &mut Metadata, status: u16, headers: &HeaderMap, extract: &Filter) {
    metadata.set("http_status_code", Value::Int(i64::from(status)));
    if extract.is_empty() {
        return;
    }
    for name in headers.keys().filter(|name| extract.takes(name.as_str())) {
        let mut values = headers.get_all(name).iter().map(|value| Value::string(Text::new(value.as_bytes())));
        let value = match (values.next(), values.next()) {
            (Some(only), None) => only,
            (Some(first), Some(second)) => [first, second].into_iter().chain(values).collect(),
            (None, _) => continue,
        };
        metadata.set(name.as_str(), value);
    }
}

/// The messages of an answer: its body, or the parts of it.
pub(super) async fn messages(response: Response, extract: &Filter) -> Result<Vec<Message>, HttpError> {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = whole(response).await?;
    let media =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(multipart::media_type);
    let contents = match media {
        Some((media, boundary)) if media.starts_with("multipart/") => {
            multipart::parts(&body, &boundary.unwrap_or_default())
                .ok_or_else(|| "the answer is no multipart as its content type says".to_owned())?
        }
        _ => vec![body],
    };
    let message = |content| {
        let mut message = Message::new(content);
        annotate(message.metadata_mut(), status, &headers, extract);
        message
    };
    Ok(contents.into_iter().map(message).collect())
}

/// An answer of an unwelcome status.
pub(super) async fn unexpected(response: Response) -> HttpError {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = whole(response).await.unwrap_or_default();
    let reason = status.canonical_reason().unwrap_or_default();
    let body = String::from_utf8_lossy(&body).replace('\n', "");
    let code = status.as_u16();
    let text =
        format!("HTTP request returned unexpected response code ({code}): {code} {reason}, Error: {body}");
    HttpError { text, answer: Some(Box::new((code, headers))), timed_out: false }
}

/// A request that got no answer.
pub(super) fn unanswered(verb: &str, url: &Url, shown: &str, error: &reqwest::Error) -> HttpError {
    let mut source = error.source();
    let mut reason = error.to_string();
    let mut cause = None;
    while let Some(inner) = source {
        reason = inner.to_string();
        cause = cause.or_else(|| inner.downcast_ref::<io::Error>().map(io::Error::kind));
        source = inner.source();
    }
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or(0));
    let reason = match cause {
        _ if error.is_timeout() => {
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".into()
        }
        Some(io::ErrorKind::ConnectionRefused) => {
            format!("dial tcp {host}:{port}: connect: connection refused")
        }
        _ if error.is_connect() => format!("dial tcp {host}:{port}: {reason}"),
        _ => reason,
    };
    let text = format!("{} \"{shown}\": {reason}", capitalised(verb));
    HttpError { text, answer: None, timed_out: error.is_timeout() }
}

/// `POST` as `Post`.
pub(super) fn capitalised(verb: &str) -> String {
    let mut letters = verb.chars();
    letters.next().into_iter().chain(letters.flat_map(char::to_lowercase)).collect()
}

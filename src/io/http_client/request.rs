//! Requests made of messages.

use super::reply::HttpError;
use crate::{metadata_filter::Filter, multipart};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header::CONTENT_TYPE};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap, fmt::Write};
use weir_bloblang::Message;
use weir_core::{build_error::BuildError, expression::Interpolated};

const BINARY: &str = "application/octet-stream";

/// What the body of each request is.
pub(crate) enum Body {
    /// The messages: one as it is, several as multipart.
    Messages,
    /// Nothing.
    Empty,
    /// This text.
    Text(Interpolated),
    /// These parts.
    Parts(Vec<PartConfig>),
}

/// One part of a multipart body.
#[derive(Deserialize)]
pub(crate) struct PartConfig {
    content_type: Interpolated,
    content_disposition: Interpolated,
    body: Interpolated,
}

/// How requests look.
pub(super) struct Template {
    url: Interpolated,
    method: Method,
    headers: Vec<(String, Interpolated)>,
    metadata: Filter,
    body: Body,
}

/// One request.
pub(super) struct Made {
    pub(super) url: String,
    /// The address as errors show it.
    pub(super) shown: String,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Bytes>,
}

/// Resolves an expression for a message; `what` begins the error.
fn resolved(text: &Interpolated, batch: &[Message], index: usize, what: &str) -> Result<Vec<u8>, HttpError> {
    text.resolve(batch, index).map_err(|error| format!("{what} interpolation error: {error}").into())
}

fn resolved_text(text: &Interpolated, batch: &[Message], what: &str) -> Result<String, HttpError> {
    Ok(String::from_utf8_lossy(&resolved(text, batch, 0, what)?).into_owned())
}

/// An address without its password, and with what no address may hold encoded.
fn shown(url: &str) -> String {
    let hidden = match url.split_once("://").and_then(|(scheme, rest)| {
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (user, host) = authority.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:xxxxx@{host}{path}"))
    }) {
        Some(hidden) => Cow::Owned(hidden),
        None => Cow::Borrowed(url),
    };
    hidden.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
        out
    })
}

fn add(headers: &mut HeaderMap, name: &str, value: &[u8]) -> Result<(), HttpError> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("net/http: invalid header field name {name:?}"))?;
    let value = HeaderValue::from_bytes(value)
        .map_err(|_| format!("net/http: invalid header field value for \"{name}\""))?;
    headers.append(name, value);
    Ok(())
}

impl Template {
    pub(super) fn new(
        url: Interpolated,
        verb: &str,
        headers: BTreeMap<String, Interpolated>,
        metadata: Filter,
        body: Body,
    ) -> Result<Self, BuildError> {
        let verb = if verb.is_empty() { "GET" } else { verb };
        let method = Method::from_bytes(verb.as_bytes())
            .map_err(|_| BuildError::new(format!("net/http: invalid method {verb:?}")).at("verb"))?;
        Ok(Self { url, method, headers: headers.into_iter().collect(), metadata, body })
    }

    /// The request of a batch, which may be empty.
    pub(super) fn make(&self, batch: &[Message]) -> Result<Made, HttpError> {
        let (body, content_type) = self.body(batch)?;
        let url = resolved_text(&self.url, batch, "url")?;
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let value = resolved(value, batch, 0, &format!("header '{name}'"))?;
            add(&mut headers, name, &value)?;
        }
        if let Some(first) = batch.first()
            && !self.metadata.is_empty()
        {
            for (key, value) in first.metadata().iter() {
                let key = String::from_utf8_lossy(key.as_bytes());
                if self.metadata.takes(&key) {
                    add(&mut headers, &key, value.to_text().as_bytes())?;
                }
            }
        }
        if let Some(content_type) = content_type {
            headers.remove(CONTENT_TYPE);
            add(&mut headers, CONTENT_TYPE.as_str(), content_type.as_bytes())?;
        }
        Ok(Made { shown: shown(&url), url, method: self.method.clone(), headers, body })
    }

    /// The body, and its content type where the headers do not say it.
    fn body(&self, batch: &[Message]) -> Result<(Option<Bytes>, Option<String>), HttpError> {
        let chosen = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()));
        let unless_chosen = || chosen.is_none().then(|| BINARY.to_owned());
        Ok(match (&self.body, batch) {
            (Body::Text(text), _) => (Some(resolved(text, batch, 0, "payload")?.into()), unless_chosen()),
            (Body::Parts(parts), _) => {
                let mut writer = multipart::Writer::new();
                for part in parts {
                    let kind = resolved_text(&part.content_type, batch, "content-type")?;
                    let disposition = resolved_text(&part.content_disposition, batch, "content-disposition")?;
                    let body = resolved(&part.body, batch, 0, "part body")?;
                    writer.part_of(&[("Content-Disposition", &disposition), ("Content-Type", &kind)], &body);
                }
                let (body, media) = writer.finish();
                (Some(body), Some(media))
            }
            (Body::Empty, _) | (Body::Messages, []) => (None, None),
            (Body::Messages, [only]) => (Some(only.content().clone()), unless_chosen()),
            (Body::Messages, several) => {
                let mut writer = multipart::Writer::new();
                for (index, message) in several.iter().enumerate() {
                    let kind = match chosen {
                        Some((_, value)) => {
                            let kind = resolved(value, batch, index, "content-type")?;
                            String::from_utf8_lossy(&kind).into_owned()
                        }
                        None => BINARY.to_owned(),
                    };
                    let taken: Vec<(String, String)> = message
                        .metadata()
                        .iter()
                        .map(|(key, value)| (key.to_string(), value.to_text().to_string()))
                        .filter(|(key, _)| self.metadata.takes(key))
                        .collect();
                    let mut head = vec![("Content-Type", &*kind)];
                    head.extend(taken.iter().map(|(key, value)| (&**key, &**value)));
                    writer.part_of(&head, message.content());
                }
                let (body, media) = writer.finish();
                (Some(body), Some(media))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_passwords() {
        assert_eq!(shown("http://me:pw@host:1/a?b=c@d"), "http://me:xxxxx@host:1/a?b=c@d");
        assert_eq!(shown("http://host/a b"), "http://host/a%20b");
        assert_eq!(shown("not a url"), "not%20a%20url");
    }
}

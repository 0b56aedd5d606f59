//! Answers made of the messages that came back.

use crate::{
    content_type,
    metadata_filter::{self, Filter, FilterConfig},
    multipart,
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    expression::Interpolated,
    field::Field,
    http::{Body, Response},
    log::Log,
};

/// The fields of `sync_response`.
pub(super) static FIELDS: &[Field] = &[
    Field::string("status", "The status.").default("'200'").interpolated().advanced(),
    Field::string("headers", "Headers by name.")
        .map()
        .default("{ Content-Type: application/octet-stream }")
        .interpolated()
        .advanced(),
    Field::object("metadata_headers", "Which metadata becomes headers, too.", metadata_filter::FIELDS)
        .advanced(),
];

#[derive(Deserialize)]
pub(super) struct AnswerConfig {
    status: Interpolated,
    headers: BTreeMap<String, Interpolated>,
    metadata_headers: FilterConfig,
}

/// How answers are made.
pub(super) struct Answer {
    status: Interpolated,
    headers: Vec<(String, Interpolated)>,
    metadata: Filter,
    log: Log,
}

impl Answer {
    pub(super) fn new(config: AnswerConfig, log: Log) -> Result<Self, BuildError> {
        Ok(Self {
            log,
            status: config.status,
            headers: config.headers.into_iter().collect(),
            metadata: Filter::new(config.metadata_headers).map_err(|error| error.at("metadata_headers"))?,
        })
    }

    #[cfg(test)]
    pub(super) fn plain() -> Self {
        let status = Interpolated::parse("200").unwrap();
        Self { status, headers: Vec::new(), metadata: Filter::default(), log: Log::default() }
    }

    /// The answer; nothing came back: an empty one.
    pub(super) fn respond(&self, batch: &[Message]) -> Response {
        let mut response = Response::new(StatusCode::OK, "");
        let [first, more @ ..] = batch else { return response };
        for (name, value) in &self.headers {
            match value.resolve_string(batch, 0) {
                Ok(value) => set(&mut response, name, value.as_bytes()),
                Err(error) => {
                    self.log.error(format_args!("Interpolation of response header {name} error: {error}"));
                }
            }
        }
        let Some(status) = self.status(batch) else {
            response.status = StatusCode::BAD_GATEWAY;
            return response;
        };
        response.status = status;
        batch.iter().for_each(|message| self.add_metadata(message, &mut response));
        if more.is_empty() {
            let content = first.content();
            if !response.headers.contains_key(header::CONTENT_TYPE) {
                set(&mut response, "content-type", content_type::guess(content).as_bytes());
            }
            response.body = Body::Whole(content.clone());
            return response;
        }
        // Written all lower case, the header is meant for the parts.
        let part_type = self.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value);
        let mut writer = multipart::Writer::new();
        for (index, message) in batch.iter().enumerate() {
            let guessed = || content_type::guess(message.content()).to_owned();
            let media = part_type.map_or_else(guessed, |media| {
                media.resolve_string(batch, index).unwrap_or_else(|error| {
                    self.log.error(format_args!("Interpolation of content-type header error: {error}"));
                    guessed()
                })
            });
            writer.part(&media, message.content());
        }
        let (body, media) = writer.finish();
        set(&mut response, "content-type", media.as_bytes());
        response.body = Body::Whole(body);
        response
    }

    fn status(&self, batch: &[Message]) -> Option<StatusCode> {
        let text = match self.status.resolve_string(batch, 0) {
            Ok(text) => text,
            Err(error) => {
                self.log.error(format_args!("Interpolation of response status code error: {error}"));
                return None;
            }
        };
        let status = text.parse::<u16>().ok().and_then(|status| StatusCode::from_u16(status).ok());
        if status.is_none() {
            self.log.error(format_args!("Failed to parse sync response status code expression: {text}"));
        }
        status
    }

    fn add_metadata(&self, message: &Message, response: &mut Response) {
        if self.metadata.is_empty() {
            return;
        }
        for (key, value) in message.metadata().iter() {
            let key = key.as_str();
            if self.metadata.takes(&key) {
                set(response, &key, value.to_text().as_bytes());
            }
        }
    }
}

/// Sets a header; what HTTP does not allow is left out.
fn set(response: &mut Response, name: &str, value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        response.headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_bloblang::Value;

    fn shown(answer: &Answer, contents: &[&'static str]) -> (u16, String, String) {
        let messages: Vec<Message> = contents
            .iter()
            .map(|content| {
                let mut message = Message::new(*content);
                message.metadata_mut().set("x-meta", Value::from("m"));
                message
            })
            .collect();
        let response = answer.respond(&messages);
        let Body::Whole(body) = response.body else { panic!("a whole body") };
        let headers =
            response.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()));
        let mut headers: Vec<String> = headers.collect();
        headers.sort();
        (response.status.as_u16(), headers.join(", "), String::from_utf8_lossy(&body).into_owned())
    }

    #[test]
    fn one_message_is_the_body() {
        let mut answer = Answer::plain();
        assert_eq!(
            shown(&answer, &["a"]),
            (200, "content-type: text/plain; charset=utf-8".into(), "a".into())
        );
        answer.status = Interpolated::parse("${! content().length() + 200 }").unwrap();
        answer.headers.push(("X-Thing".into(), Interpolated::parse("v-${! content() }").unwrap()));
        answer.metadata = Filter::by_prefix("x-");
        let headers = "content-type: text/plain; charset=utf-8, x-meta: m, x-thing: v-a";
        assert_eq!(shown(&answer, &["a"]), (201, headers.into(), "a".into()));
        answer.status = Interpolated::parse("abc").unwrap();
        assert_eq!(shown(&answer, &["a"]).0, 502);
        assert_eq!(shown(&answer, &[]), (200, String::new(), String::new()));
    }

    #[test]
    fn several_messages_are_parts() {
        let (_, headers, body) = shown(&Answer::plain(), &["a", "b"]);
        assert!(headers.starts_with("content-type: multipart/form-data; boundary="), "{headers}");
        assert_eq!(body.matches("Content-Type: text/plain; charset=utf-8\r\n\r\n").count(), 2);
    }
}

//! Messages of a request.

use crate::multipart;
use http::{HeaderName, header};
use weir_bloblang::{Message, Metadata, Text, Value};
use weir_core::http::Request;

/// The messages of a request, with its metadata; `None` if its body is not what its content type says.
pub(super) fn messages(request: &Request) -> Option<Vec<Message>> {
    let content_type = match request.headers.get(header::CONTENT_TYPE) {
        Some(value) if !value.is_empty() => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        _ => "application/octet-stream".into(),
    };
    let (media, boundary) = multipart::media_type(&content_type)?;
    let contents = if media.starts_with("multipart/") {
        multipart::parts(&request.body, &boundary?)?
    } else {
        vec![request.body.clone()]
    };
    let metadata = metadata(request);
    let message = |content| {
        let mut message = Message::new(content);
        *message.metadata_mut() = metadata.clone();
        message
    };
    Some(contents.into_iter().map(message).collect())
}

/// The metadata of messages that come over a websocket: what its request said, but not how it was asked.
pub(super) fn websocket_metadata(request: &Request) -> Metadata {
    let mut metadata = metadata(request);
    for name in ["http_server_request_path", "http_server_verb", "http_server_remote_ip"] {
        metadata.remove(name);
    }
    metadata
}

fn metadata(request: &Request) -> Metadata {
    let mut metadata = Metadata::default();
    let text = |bytes: &[u8]| Value::string(Text::new(bytes));
    let agent = request.headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    metadata.set("http_server_user_agent", text(agent));
    metadata.set("http_server_request_path", text(&decoded(&request.path, false).unwrap_or_default()));
    metadata.set("http_server_verb", Value::from(request.method.as_str()));
    if let Some(remote) = &request.remote {
        metadata.set("http_server_remote_ip", Value::from(remote.as_str()));
    }
    for name in request.headers.keys().filter(|name| *name != header::HOST) {
        if let Some(value) = request.headers.get(name) {
            metadata.set(canonical(name).as_str(), text(value.as_bytes()));
        }
    }
    for (name, value) in query(&request.query) {
        metadata.set(Text::new(&name), text(&value));
    }
    for (name, value) in &request.variables {
        metadata.set(name.as_str(), Value::from(value.as_str()));
    }
    for line in request.headers.get_all(header::COOKIE) {
        for (name, value) in cookies(line.as_bytes()) {
            metadata.set(Text::new(name), text(value));
        }
    }
    metadata
}

/// `x-custom` as `X-Custom`.
fn canonical(name: &HeaderName) -> String {
    let mut upper = true;
    let letters = name.as_str().chars().map(|letter| {
        let shown = if upper { letter.to_ascii_uppercase() } else { letter };
        upper = letter == '-';
        shown
    });
    letters.collect()
}

/// The first value of every parameter; what is not encoded well is left out.
fn query(query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let (Some(name), Some(value)) = (decoded(name, true), decoded(value, true))
            && !found.iter().any(|(known, _)| *known == name)
        {
            found.push((name, value));
        }
    }
    found
}

/// Bytes of a percent-encoded text, of which `+` may be a space.
fn decoded(text: &str, plus: bool) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            b'+' if plus => b' ',
            byte => byte,
        });
    }
    Some(out)
}

/// Names and values of a cookie line.
fn cookies(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    line.split(|byte| *byte == b';').filter_map(|part| {
        let part = part.trim_ascii();
        let (name, value) = match memchr::memchr(b'=', part) {
            Some(at) => (part.get(..at)?, part.get(at + 1..)?),
            None => (part, &b""[..]),
        };
        let value = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
        let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
        let is_value = value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && !matches!(byte, b'"' | b'\\'));
        (is_name && is_value).then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method};

    fn request(headers: &[(&'static str, &'static str)], query: &str, body: &'static str) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Request {
            method: Method::POST,
            path: "/in/a%20b".into(),
            variables: vec![("who".into(), "path".into())],
            query: query.into(),
            headers: map,
            remote: Some("127.0.0.1".into()),
            caller: weir_core::http::Caller::default(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn later_sources_of_metadata_win() {
        let headers =
            [("x-custom", "1"), ("x-custom", "2"), ("dup", "header"), ("cookie", "Dup=cookie; a=\"b\"; =x")];
        let messages =
            messages(&request(&headers, "who=query&Dup=query&z=%20y&z=2&bad=%zz&q+q", "hi")).unwrap();
        let [message] = &*messages else { panic!("one message") };
        let shown: Vec<String> = message
            .metadata()
            .iter()
            .map(|(key, value)| format!("{key}={value}", value = value.to_text()))
            .collect();
        assert_eq!(
            shown,
            [
                "Cookie=Dup=cookie; a=\"b\"; =x",
                "Dup=cookie",
                "X-Custom=1",
                "a=b",
                "http_server_remote_ip=127.0.0.1",
                "http_server_request_path=/in/a b",
                "http_server_user_agent=",
                "http_server_verb=POST",
                "q q=",
                "who=path",
                "z= y",
            ]
        );
    }

    #[test]
    fn parts_are_a_batch() {
        let body = "--X\r\nX-Part: yes\r\n\r\none\r\n--X\r\n\r\ntwo\r\n--X--\r\n";
        let messages =
            messages(&request(&[("content-type", "multipart/mixed; boundary=X")], "", body)).unwrap();
        assert_eq!(
            messages.iter().map(|message| message.content().clone()).collect::<Vec<_>>(),
            ["one", "two"]
        );
        assert!(super::messages(&request(&[("content-type", "multipart/mixed")], "", body)).is_none());
    }
}

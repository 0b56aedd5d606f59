//! `/streams/{id}/tap`: messages of a stream as they pass.

use super::{Streams, answer, events::server_sent, query::Query, routes::stream};
use crate::{runtime::RunningStream, secrets::hide};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout_at},
};
use weir_control::record;
use weir_core::http::{Caller, Request, Response, Scope};
use weir_engine::taps::Seen;

/// For how long a tap is open unless another time is asked for, and at most.
const TIME: (Duration, Duration) = (Duration::from_secs(30), Duration::from_hours(1));
/// How many places an error names.
const SHOWN: usize = 10;
/// What stands in for a value that is not to be seen.
const MASK: &str = "***";

/// What is said of a place that a stream does not have.
fn nowhere(at: &str, mut places: Vec<String>) -> String {
    places.retain(|place| place != "input" && place != "output");
    places.sort();
    places.truncate(SHOWN);
    let known = ["input", "output"].into_iter().chain(places.iter().map(String::as_str));
    format!(
        "parameter 'at' is no place of this stream: '{at}'; some are {}",
        known.collect::<Vec<_>>().join(", ")
    )
}

/// Masks what is at a path of fields, in every element of lists on the way.
fn mask(value: &mut Value, path: &[&str]) {
    match (value, path) {
        (Value::Array(items), _) => items.iter_mut().for_each(|item| mask(item, path)),
        (Value::Object(fields), [last]) => {
            if let Some(field) = fields.get_mut(*last) {
                *field = MASK.into();
            }
        }
        (Value::Object(fields), [first, rest @ ..]) => {
            if let Some(field) = fields.get_mut(*first) {
                mask(field, rest);
            }
        }
        _ => {}
    }
}

/// What is not to be seen of messages.
struct Hidden {
    /// Paths of fields, and names of metadata.
    fields: Vec<String>,
}

impl Hidden {
    /// A message as it is told.
    fn told(&self, at: &str, seen: Seen) -> Value {
        let Seen { content, truncated, metadata, error } = seen;
        let mut told = json!({ "time": answer::time(record::now()), "at": at });
        match String::from_utf8(content) {
            _ if truncated && !self.fields.is_empty() => told["content"] = MASK.into(),
            Ok(content) => told["content"] = hide(self.masked(content)).into(),
            Err(_) if !self.fields.is_empty() => told["content"] = MASK.into(),
            Err(error) => told["content_base64"] = STANDARD.encode(error.as_bytes()).into(),
        }
        let shown = |(name, value): (String, String)| {
            let value = if self.fields.contains(&name) { MASK.to_owned() } else { hide(value) };
            (name, Value::from(value))
        };
        told["metadata"] = Value::Object(metadata.into_iter().map(shown).collect());
        if let Some(error) = error {
            told["error"] = hide(error).into();
        }
        if truncated {
            told["truncated"] = true.into();
        }
        told
    }

    /// A content without its hidden fields; what is no JSON may hold anything.
    fn masked(&self, content: String) -> String {
        if self.fields.is_empty() {
            return content;
        }
        let Ok(mut value) = serde_json::from_str::<Value>(&content) else { return MASK.into() };
        for field in &self.fields {
            mask(&mut value, &field.split('.').collect::<Vec<_>>());
        }
        value.to_string()
    }
}

impl Streams {
    /// Why somebody may not see messages pass, if so. Who was given a token for it may in any case.
    pub(super) fn may_look_on(&self, caller: &Caller) -> Result<(), String> {
        if !caller.may(Scope::Tap) {
            return Err(format!("'{}' lacks the scope 'tap'", caller.name));
        }
        if !self.tap && &*caller.name == Caller::ANONYMOUS {
            return Err("taps are off: start the server with --tap".into());
        }
        Ok(())
    }

    /// `GET /streams/{id}/tap`
    pub(super) fn tap(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let query = Query::only(request, &["at", "limit", "for", "redact"])?;
        let refuse = |status, text: &str| answer::refusal(status, text);
        self.may_look_on(&request.caller).map_err(|why| refuse(StatusCode::FORBIDDEN, &why))?;
        let at = query.text("at").unwrap_or("output").to_owned();
        let limit = query.number("limit")?.unwrap_or(u64::MAX);
        let end = Instant::now() + query.duration("for")?.unwrap_or(TIME.0).min(TIME.1);
        let view =
            self.service.view(&stream(id)).ok_or_else(|| answer::missing(&format!("stream '{id}'")))?;
        let running = self.service.running(&view.key).filter(|_| view.status.active);
        let running = running.as_ref().and_then(RunningStream::of);
        let running = running.ok_or_else(|| refuse(StatusCode::CONFLICT, "the stream does not run"))?;
        let places = running.taps().places();
        if !["input", "output"].contains(&&*at) && !places.contains(&at) {
            return Err(refuse(StatusCode::BAD_REQUEST, &nowhere(&at, places)));
        }
        let mut seen = running.taps().open(&at).ok_or_else(|| {
            refuse(StatusCode::TOO_MANY_REQUESTS, "too many look on at this stream already")
        })?;
        let fields = query.text("redact").unwrap_or_default();
        let fields = fields.split(',').filter(|field| !field.is_empty()).map(str::to_owned).collect();
        let hidden = Hidden { fields };
        let (to, pieces) = mpsc::channel::<Bytes>(2);
        tokio::spawn(async move {
            let mut left = limit;
            while left > 0 {
                let next = tokio::select! {
                    next = timeout_at(end, seen.recv()) => next,
                    () = to.closed() => return,
                };
                let Ok(Some(next)) = next else { break };
                left -= 1;
                let piece = format!("data: {}\n\n", hidden.told(&at, next));
                // Who takes too long misses what passes meanwhile.
                if timeout_at(end, to.send(piece.into())).await.is_err() {
                    break;
                }
            }
        });
        Ok(server_sent(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_config::normalise::Form;
    use weir_core::registry::Registry;

    #[test]
    fn what_is_to_be_hidden_is_not_told() {
        let node = weir_core::yaml::parse("a: 'http://u:topsecret@h/'").unwrap();
        let _held = crate::secrets::hold(&node, Form::Sections(&[]), &Registry::new(&[]));
        let hidden = Hidden { fields: vec!["user.name".into(), "key".into()] };
        let seen = |content: &str| Seen {
            content: content.into(),
            truncated: false,
            metadata: vec![("key".into(), "k".into()), ("other".into(), "a topsecret".into())],
            error: None,
        };
        let told = hidden.told("output", seen(r#"{"user":[{"name":"ann","age":1}],"x":"topsecret"}"#));
        assert_eq!(told["content"], r#"{"user":[{"age":1,"name":"***"}],"x":"!!!SECRET_SCRUBBED!!!"}"#);
        assert_eq!(told["metadata"], json!({ "key": "***", "other": "a !!!SECRET_SCRUBBED!!!" }));
        assert_eq!(hidden.told("output", seen("ann"))["content"], "***");
        let open = Hidden { fields: Vec::new() };
        assert_eq!(open.told("output", seen("ann"))["content"], "ann");
        let bytes = Seen { content: vec![0xff], ..seen("") };
        assert_eq!(open.told("output", bytes)["content_base64"], "/w==");
    }

    #[test]
    fn who_asks_for_no_place_is_told_some() {
        let places = ["output", "pipeline.processors.0"].map(str::to_owned).to_vec();
        assert!(nowhere("x", places).ends_with("'x'; some are input, output, pipeline.processors.0"));
    }
}

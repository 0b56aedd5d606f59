//! What all writes share: their parameters, a PATCH's merge, and the answer.

use super::{
    Streams, answer,
    routes::stream,
    submit::{Refusal, canonical, refuse_lints, unplaced},
};
use crate::http::path::query_value;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use std::time::Duration;
use weir_config::{LintOptions, merge, sections, tokens, write::to_yaml};
use weir_control::{
    record::Desired,
    service::{Submission, WriteError, WriteOptions, Written},
    store::committer::Origin,
};
use weir_core::{
    duration,
    http::{Request, Response},
    lint,
};

/// How long an answer waits for the touched streams beyond the time that an old one may take to stop.
const WAIT: Duration = Duration::from_secs(30);

/// Says which generation an answer is about.
pub(super) fn tag(response: &mut Response, generation: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{generation}\"")) {
        response.headers.insert(header::ETAG, value);
    }
}

/// Whether lint errors are to be ignored: only this spelling counts.
pub(super) fn is_chilled(request: &Request) -> bool {
    query_value(&request.query, "chilled").as_deref() == Some("true")
}

/// The parameters of a write. A timeout that cannot be read is none.
pub(super) fn options(request: &Request) -> WriteOptions {
    let stop_timeout = query_value(&request.query, "timeout").and_then(|text| duration::parse(&text).ok());
    // What is no generation of ours matches none.
    let if_match = request.headers.get(header::IF_MATCH).filter(|value| *value != "*").map(|value| {
        value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok()).unwrap_or(u64::MAX)
    });
    let origin = Origin {
        actor: "anonymous".into(),
        verb: request.method.to_string(),
        note: query_value(&request.query, "note"),
    };
    WriteOptions { origin, if_match, stop_timeout, wait: Some(WAIT + stop_timeout.unwrap_or(WAIT)) }
}

/// The answer to a write.
pub(super) fn written(written: Result<Written, WriteError>) -> Response {
    let error = match written {
        Ok(written) => {
            let mut response = answer::done();
            if !written.settled {
                response.status = StatusCode::ACCEPTED;
            }
            if let Ok(value) = HeaderValue::from_str(&written.revision.to_string()) {
                response.headers.insert("revision", value);
            }
            if let [(_, Some(generation))] = written.touched.as_slice() {
                tag(&mut response, *generation);
            }
            return response;
        }
        Err(error) => error,
    };
    match error {
        WriteError::Exists(_) => Response::error(StatusCode::BAD_REQUEST, "Stream already exists"),
        WriteError::NotFound(_) => answer::no_stream(),
        WriteError::Conflict { current } => {
            let text = format!("the current generation is {current}");
            answer::json(StatusCode::PRECONDITION_FAILED, &json!({ "error": text, "generation": current }))
        }
        WriteError::Build(failures) => {
            let texts = failures.iter().map(|(_, failure)| failure.to_string());
            answer::error(StatusCode::BAD_REQUEST, &texts.collect::<Vec<_>>().join("\n"))
        }
        WriteError::Refused(text) => answer::error(StatusCode::BAD_REQUEST, &text),
        WriteError::Store(error) => answer::error(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
    }
}

impl Streams {
    /// Merges a change into a stream's config.
    pub(super) async fn patch(&self, id: &str, request: &Request) -> Response {
        let (chilled, options) = (is_chilled(request), options(request));
        let mut refused = None;
        let key = stream(id);
        let written = self.service.patch(&key, &options, |current| {
            self.patched(id, current, &request.body, chilled).map_err(|refusal| {
                refused = Some(refusal);
                WriteError::Refused(String::new())
            })
        });
        let written = written.await;
        match refused {
            Some(refusal) => refusal.answer(),
            None => self::written(written),
        }
    }

    /// Lays a patch over what is stored, and checks the result as a PUT of it would be. What the patch makes is
    /// written nowhere, so that it has no lines to name.
    fn patched(
        &self,
        id: &str,
        current: &Desired,
        body: &[u8],
        chilled: bool,
    ) -> Result<Submission, Refusal> {
        let error = |text: String| Refusal::Error(text);
        let change = std::str::from_utf8(body).map_err(|_| error("yaml: invalid UTF-8".into()))?;
        let mut words = tokens::Tokens::avoiding(&[&current.text, change]);
        let (base, change) = (words.hide(&current.text), words.hide(change));
        let parse = |text: &str| weir_core::yaml::parse(text).map_err(|fault| error(fault.to_string()));
        let (base, change) = (parse(&base)?, parse(&change)?);
        let merged = merge::patch(&base, &change);
        let unchanged = canonical(&merged) == canonical(&base);
        let source = if unchanged { current.text.clone() } else { words.show(&to_yaml(&merged)) };
        if unchanged {
            // What was accepted once is not linted again.
            let text = self.read_text(source, chilled || current.chilled)?;
            return Ok(self.ready(id, text, current.chilled));
        }
        let mut text = self.read_text(source, chilled)?;
        text.node = unplaced(&text.node);
        let registry = &self.runtime.engine().registry;
        lint::read::check(&text.node, sections::STREAM, registry)
            .map_err(|fault| error(fault.to_string()))?;
        if !chilled {
            let lints = lint::config(&text.node, sections::STREAM, registry, LintOptions::default());
            // The keys of another type stay behind where a patch changes the type, and null takes a section away.
            let excused = |text: &str| {
                text.contains(" is invalid when the component type is ")
                    || text == "expected object value, got !!null"
            };
            let kept = lints.iter().filter(|lint| !excused(&lint.message));
            refuse_lints(kept.map(ToString::to_string).collect())?;
        }
        Ok(self.ready(id, text, chilled))
    }
}

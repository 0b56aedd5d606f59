//! What all writes share: their parameters, a PATCH's merge, and the answer.

use super::{
    Streams, answer,
    query::Query,
    routes::stream,
    submit::{Refusal, canonical, checked, refuse_lints, unplaced},
};
use crate::http::path::query_value;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use std::time::Duration;
use weir_config::{LintOptions, merge, sections, tokens, write::to_yaml};
use weir_control::{
    record::{Desired, Key, Kind},
    service::{Submission, WriteError, WriteOptions, Written},
    status::{Phase, View},
    store::committer::Origin,
};
use weir_core::{
    duration,
    http::{Request, Response},
    lint,
};

/// How long an answer waits for the touched streams unless another time is asked for.
const WAIT: Duration = Duration::from_secs(30);
/// The longest that an answer waits, whatever was asked for.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// How many streams that are not there yet an answer names.
const NAMED: usize = 100;

/// Says which generation an answer is about.
pub(super) fn tag(response: &mut Response, generation: u64) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{generation}\"")) {
        response.headers.insert(header::ETAG, value);
    }
}

/// Says what a write left behind.
pub(super) fn stamp(response: &mut Response, written: &Written) {
    response.headers.insert("revision", written.revision.into());
    if let Some(current) = written.current {
        tag(response, current);
    }
}

/// Whether lint errors are to be ignored: only this spelling counts.
pub(super) fn is_chilled(request: &Request) -> bool {
    query_value(&request.query, "chilled").as_deref() == Some("true")
}

/// Parameters that every write takes.
pub(super) const PARAMETERS: [&str; 8] =
    ["dry_run", "note", "override", "probation", "reason", "timeout", "wait", "wait_timeout"];

/// The parameters of a write.
pub(super) fn options(request: &Request) -> Result<WriteOptions, Response> {
    options_of(request, request.method.as_str())
}

/// The parameters of a write that is called `verb`. A timeout that cannot be read is none.
pub(super) fn options_of(request: &Request, verb: &str) -> Result<WriteOptions, Response> {
    let query = Query::of(request);
    let stop_timeout = query.text("timeout").and_then(|text| duration::parse(text).ok());
    // What is no generation of ours matches none.
    let if_match = request.headers.get(header::IF_MATCH).filter(|value| *value != "*").map(|value| {
        value.to_str().ok().and_then(|text| text.trim_matches('"').parse().ok()).unwrap_or(u64::MAX)
    });
    let wait_timeout = query.duration("wait_timeout")?.unwrap_or(WAIT);
    let wait = match query.text("wait") {
        None | Some("applied") => Some(wait_timeout.min(LONGEST_WAIT)),
        Some("none") => None,
        Some(other) => {
            let text = format!("parameter 'wait' is neither applied nor none: '{other}'");
            return Err(answer::refusal(StatusCode::BAD_REQUEST, &text));
        }
    };
    let origin = Origin { actor: request.caller.name.to_string(), verb: verb.into(), note: query.note()? };
    let (probation, dry_run) = (query.duration("probation")?, query.flag("dry_run")?);
    let overriding = query.overriding()?;
    Ok(WriteOptions { origin, if_match, stop_timeout, wait, probation, overriding, dry_run })
}

/// The phases of those that are not there yet, of many the first.
fn underway(views: impl Iterator<Item = View>) -> Map<String, Value> {
    let late = views.filter(|View { status, .. }| {
        matches!(status.phase, Phase::Pending | Phase::Starting | Phase::Stopping)
            || status.running_generation.is_some_and(|running| running != status.desired_generation)
    });
    let named = late.map(|View { key, status, .. }| {
        let name = if key.kind == Kind::Stream { key.id.to_string() } else { key.name() };
        (name, json!(status.phase))
    });
    named.take(NAMED).collect()
}

/// The answer to a write that was refused, in the reference's words.
fn refused(error: WriteError) -> Response {
    match error {
        WriteError::Exists(_) => Response::error(StatusCode::BAD_REQUEST, "Stream already exists"),
        WriteError::NotFound(_) => answer::no_stream(),
        WriteError::Build(failures) => {
            let texts = failures.iter().map(|(_, failure)| failure.to_string());
            answer::error(StatusCode::BAD_REQUEST, &texts.collect::<Vec<_>>().join("\n"))
        }
        WriteError::Refused(text) => answer::error(StatusCode::BAD_REQUEST, &text),
        WriteError::Store(error) => answer::error(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
        other => refused_here(&other),
    }
}

/// The answer to a write that was refused on a path that the reference does not have.
pub(super) fn refused_here(error: &WriteError) -> Response {
    let status = match error {
        WriteError::Exists(_) | WriteError::Owned(..) => StatusCode::CONFLICT,
        WriteError::InUse(_, users) => {
            let users: Vec<String> = users.iter().map(Key::name).collect();
            let body = json!({ "error": error.to_string(), "dependents": users });
            return answer::json(StatusCode::CONFLICT, &body);
        }
        WriteError::NotFound(key) => return answer::missing(&key.to_string()),
        WriteError::Gone(_) => StatusCode::NOT_FOUND,
        WriteError::Conflict { current } => {
            let body = json!({ "error": error.to_string(), "generation": current });
            return answer::json(StatusCode::PRECONDITION_FAILED, &body);
        }
        WriteError::Build(_) | WriteError::Refused(_) => StatusCode::BAD_REQUEST,
        WriteError::Store(_) => StatusCode::INSUFFICIENT_STORAGE,
    };
    answer::refusal(status, &error.to_string())
}

impl Streams {
    /// The answer to a write.
    pub(super) async fn written(&self, written: Result<Written, WriteError>) -> Response {
        match written {
            Ok(written) => self.done(&written, false).await,
            Err(error) => refused(error),
        }
    }

    /// The answer to a write on a path that the reference does not have.
    pub(super) async fn changed(&self, written: Result<Written, WriteError>) -> Result<Response, Response> {
        match written {
            Ok(written) => Ok(self.done(&written, true).await),
            Err(error) => Err(refused_here(&error)),
        }
    }

    /// What was done, or would be; with the status of what was touched while it is not done, and where it is asked for.
    async fn done(&self, written: &Written, say: bool) -> Response {
        let mut response = match &written.plan {
            Some(plan) => {
                super::plan::answer(written.revision, plan.clone(), &self.runtime.engine().registry).await
            }
            None if written.settled && !say => answer::done(),
            None => {
                let mut views = written.touched.iter().filter_map(|(key, _)| self.service.view(key));
                let told = match (written.touched.len(), written.settled) {
                    (1, _) if let Some(one) = views.next() => super::status::status(&one),
                    (touched, true) => json!({ "revision": written.revision, "touched": touched }),
                    (touched, false) => json!({ "revision": written.revision, "touched": touched,
                        "underway": underway(views) }),
                };
                let status = if written.settled { StatusCode::OK } else { StatusCode::ACCEPTED };
                answer::json(status, &told)
            }
        };
        stamp(&mut response, written);
        response
    }

    /// Merges a change into a stream's config.
    pub(super) async fn patch(&self, id: &str, request: &Request) -> Response {
        let chilled = is_chilled(request);
        let options = match options(request) {
            Ok(options) => options,
            Err(refused) => return refused,
        };
        let mut refused = None;
        let key = stream(id);
        let written = self.service.patch(&key, &options, |current| {
            let patched = |chilled| self.patched(id, current, &request.body, chilled);
            checked(options.dry_run, chilled, patched).map_err(|refusal| {
                refused = Some(refusal);
                WriteError::Refused(String::new())
            })
        });
        let written = written.await;
        match refused {
            Some(refusal) => refusal.answer(),
            None => self.written(written).await,
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
        let lints = lint::config(&text.node, sections::STREAM, registry, LintOptions::default());
        // The keys of another type stay behind where a patch changes the type, and null takes a section away.
        let excused = |text: &str| {
            text.contains(" is invalid when the component type is ")
                || text == "expected object value, got !!null"
        };
        let kept = lints.iter().filter(|lint| !excused(&lint.message));
        let lints = refuse_lints(kept.map(ToString::to_string).collect(), chilled)?;
        Ok(Submission { lints, ..self.ready(id, text, chilled) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_half_a_minute_however_long_a_stop_may_take() {
        let request = |query: &str| Request {
            method: http::Method::PUT,
            path: String::new(),
            variables: Vec::new(),
            query: query.into(),
            headers: http::HeaderMap::new(),
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: bytes::Bytes::new(),
        };
        let wait = |query: &str| options(&request(query)).ok().and_then(|options| options.wait);
        let seconds = |number| Some(Duration::from_secs(number));
        assert_eq!((wait(""), wait("timeout=2m"), wait("wait=none")), (seconds(30), seconds(30), None));
        assert_eq!((wait("wait_timeout=1s"), wait("wait_timeout=2h")), (seconds(1), seconds(3600)));
    }
}

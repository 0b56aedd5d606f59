//! `/streams`, `/streams/{id}` and `/streams/{id}/stats`.

use super::{
    Streams, answer, either,
    query::Query,
    routes::stream,
    scrub::veiled,
    submit::checked,
    write::{is_chilled, options},
};
use crate::{
    runtime::RunningStream,
    telemetry::{
        metrics::{Group, json as metrics_json},
        renames::Renames,
    },
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::{sync::Arc, time::Duration};
use weir_config::{json::to_json, tokens};
use weir_control::{
    record::{Kind, Owner},
    service::{Submission, WriteOptions},
    status::View,
};
use weir_core::{
    duration::format as go_duration,
    http::{Request, Response, Scope},
};

/// Who decides, in a word.
fn owner(owner: &Owner) -> &'static str {
    match owner {
        Owner::Api => "api",
        Owner::File { .. } => "file",
    }
}

/// Adds what lists say of streams and resources alike.
pub(super) fn described(entry: &mut Value, view: &View) {
    if let Some(desired) = &view.desired {
        entry["generation"] = desired.generation.into();
        entry["owner"] = owner(&desired.owner).into();
    }
    if let Some(reason) = &view.status.reason {
        entry["reason"] = reason.as_str().into();
    }
}

/// A text as submitted, as JSON.
pub(super) fn config(text: &str) -> Value {
    tokens::parse(text).map_or(Value::Null, |node| to_json(&node))
}

impl Streams {
    /// `/streams`
    pub(super) async fn collection(&self, request: &Request) -> Response {
        match request.method {
            Method::GET => self.list(),
            Method::POST => either(self.post_all(request).await),
            _ => answer::error(StatusCode::BAD_REQUEST, "method not supported"),
        }
    }

    fn list(&self) -> Response {
        // Before the look: what is changed meanwhile is not what this revision says.
        let revision = self.service.revision();
        let mut all = Map::new();
        for view in self.service.list(Kind::Stream) {
            all.insert(view.key.id.to_string(), self.entry(&view));
        }
        let mut response = answer::json(StatusCode::OK, &Value::Object(all));
        super::write::tag(&mut response, revision);
        response
    }

    /// Whether its output is open, and for how long it has run. The stream itself knows before the control plane
    /// has taken its end down.
    fn activity(&self, view: &View) -> (bool, Duration) {
        let running = self.service.running(&view.key);
        match running.as_ref().and_then(RunningStream::of) {
            Some(stream) => (view.status.active && !stream.is_ended(), stream.uptime()),
            None => (view.status.active, Duration::from_millis(view.status.uptime)),
        }
    }

    /// What the list says of a stream.
    fn entry(&self, view: &View) -> Value {
        let (active, uptime) = self.activity(view);
        let mut entry = json!({
            "active": active,
            "uptime": uptime.as_secs_f64(),
            "uptime_str": go_duration(uptime),
            "phase": view.status.phase,
        });
        described(&mut entry, view);
        entry
    }

    /// `/streams/{id}`
    pub(super) async fn stream(&self, id: &str, request: &Request) -> Response {
        match request.method {
            Method::GET => either(self.get(id, request).await),
            Method::POST => either(self.post(id, request).await),
            Method::PUT => either(self.put(id, request).await),
            Method::PATCH => self.patch(id, request).await,
            Method::DELETE => either(self.delete(id, request).await),
            _ => answer::verb(&request.method),
        }
    }

    async fn get(&self, id: &str, request: &Request) -> Result<Response, Response> {
        let query = Query::of(request);
        if let Some(generation) = query.number("generation")? {
            return self.generation(id, generation, request.caller.may(Scope::Write)).await;
        }
        let view = self.service.view(&stream(id)).ok_or_else(answer::no_stream)?;
        let desired = view.desired.clone().ok_or_else(answer::no_stream)?;
        let (active, uptime) = self.activity(&view);
        let mut body = Map::new();
        body.insert("active".into(), active.into());
        body.insert("uptime".into(), uptime.as_secs_f64().into());
        body.insert("uptime_str".into(), go_duration(uptime).into());
        let registry = &self.runtime.engine().registry;
        let (text, config) = if request.caller.may(Scope::Write) {
            (desired.text.clone(), config(&desired.text))
        } else {
            veiled(&desired.text, Kind::Stream, registry)
        };
        body.insert("config".into(), config);
        // A client of the reference may count on these four.
        if query.flag("full")? {
            body.insert("status".into(), super::status::status(&view));
            body.insert("owner".into(), owner(&desired.owner).into());
            body.insert("generation".into(), desired.generation.into());
            body.insert("revision".into(), desired.revision.into());
            body.insert("text".into(), text.into());
        }
        let mut response = answer::json(StatusCode::OK, &Value::Object(body));
        super::write::tag(&mut response, desired.generation);
        Ok(response)
    }

    /// Reads a write: what is asked for, and how.
    async fn submission(&self, id: &str, request: &Request) -> Result<(Submission, WriteOptions), Response> {
        let (id, chilled, options) = (id.to_owned(), is_chilled(request), options(request)?);
        let dry_run = options.dry_run;
        let submission = self.off_thread(&request.body, move |streams, body| {
            checked(dry_run, chilled, |chilled| {
                streams.read(body, chilled).and_then(|text| streams.stream_submission(&id, text, chilled))
            })
        });
        Ok((submission.await.map_err(|refusal| refusal.answer())?, options))
    }

    async fn post(&self, id: &str, request: &Request) -> Result<Response, Response> {
        let (submission, options) = self.submission(id, request).await?;
        Ok(self.written(self.service.create(submission, &options).await).await)
    }

    async fn put(&self, id: &str, request: &Request) -> Result<Response, Response> {
        let (submission, options) = self.submission(id, request).await?;
        Ok(self.written(self.service.replace(submission, &options).await).await)
    }

    async fn delete(&self, id: &str, request: &Request) -> Result<Response, Response> {
        let options = options(request)?;
        Ok(self.written(self.service.delete(&stream(id), &options).await).await)
    }

    /// `/streams/{id}/stats`
    pub(super) fn stats(&self, id: &str, request: &Request, renames: Option<&Renames>) -> Response {
        if request.method != Method::GET {
            return answer::verb(&request.method);
        }
        let Some(view) = self.service.view(&stream(id)) else { return answer::no_stream() };
        let metrics = crate::runtime::metrics(self.service.running(&view.key).as_ref());
        let groups: Vec<Group> = metrics
            .into_iter()
            .map(|metrics| Group::new(Some(Arc::clone(&view.key.id)), &[metrics]))
            .collect();
        answer::json(StatusCode::OK, &metrics_json(&groups, Some(self.activity(&view).1), renames))
    }
}

//! What was: the history of a stream, its differences, the revisions of all, and the ways back.

use super::{
    Streams, answer,
    plan::unified,
    query::{PAGE, Query},
    routes::stream,
    scrub::{scrubbed, veiled},
    streams::config,
    write::{PARAMETERS, options_of},
};
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use weir_control::{
    ownership::Drift,
    record::{Changed, Desired, Outcome, Revision},
    store::StoreError,
};
use weir_core::{
    http::{Request, Response},
    registry::Registry,
};

fn unreadable(error: &StoreError) -> Response {
    answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

/// Of generations, the newest first, the one after each.
fn afters(all: &[Arc<Desired>]) -> impl Iterator<Item = Option<&Desired>> {
    std::iter::once(None).chain(all.iter().map(|one| Some(&**one)))
}

/// How a generation came and what became of it, which the one after it tells.
fn entry(past: &Desired, after: Option<&Desired>) -> Value {
    let failed = match past.probation.as_ref().and_then(|probation| probation.outcome.as_ref()) {
        Some(Outcome::Failed(reason)) => Some(reason),
        _ => None,
    };
    let gave_way =
        |after: &Desired| after.rolled_back.as_ref().is_some_and(|back| back.from == past.generation);
    let outcome = match (past.deleted.is_some() || !past.is_present(), after) {
        (true, _) => "deleted",
        (false, None) => "running",
        (false, Some(after)) if gave_way(after) => "rolled_back",
        (false, Some(_)) => "superseded",
    };
    let made = past.made.clone().unwrap_or_default();
    let time = if made.time > 0 { made.time } else { past.updated_at };
    let mut entry = json!({ "generation": past.generation, "revision": past.made_in(), "time": answer::time(time),
        "actor": made.actor, "verb": made.verb, "outcome": outcome });
    if let Some(reason) = failed {
        entry["reason"] = reason.as_str().into();
    }
    if let Some(note) = made.note {
        entry["note"] = note.into();
    }
    entry
}

fn revision(revision: &Revision) -> Value {
    let Revision { revision, time, actor, verb, note, changes, .. } = revision;
    let change = |one: &Changed| {
        let mut change = json!({ "kind": one.kind, "id": one.id, "action": one.action });
        for (name, generation) in [("before", one.before), ("after", one.after)] {
            if let Some(generation) = generation {
                change[name] = generation.into();
            }
        }
        change
    };
    let changes: Vec<Value> = changes.iter().map(change).collect();
    let mut told = json!({ "revision": revision, "time": answer::time(*time), "actor": actor, "verb": verb,
        "changes": changes });
    if let Some(note) = note {
        told["note"] = note.as_str().into();
    }
    told
}

/// A stream that differs from its file.
fn drift(drift: &Drift, registry: &Registry) -> Value {
    let Drift { desired, file, over, text } = drift;
    let names = (file.as_str(), format!("stream/{} now", desired.id));
    let now = if over.deleted { "" } else { &desired.text };
    let mut told = json!({ "actor": over.actor, "time": answer::time(over.at), "deleted": over.deleted });
    if let Some(reason) = &over.reason {
        told["reason"] = reason.as_str().into();
    }
    if let Some(expires) = over.expires_at {
        told["expires"] = answer::time(expires);
    }
    let diff = text
        .as_ref()
        .map(|text| scrubbed(unified(text, now, (names.0, &names.1)), desired.kind, &[text, now], registry));
    json!({ "id": desired.id, "file": file, "revision": desired.revision, "override": told, "diff": diff })
}

/// The number in a path.
fn number(text: &str) -> Result<u64, Response> {
    text.parse().map_err(|_| answer::missing(&format!("revision '{text}'")))
}

impl Streams {
    /// The generations of a stream that are kept, newest first.
    async fn kept(&self, id: &str) -> Result<Vec<Arc<Desired>>, Response> {
        let all = self.service.history(&stream(id)).await.map_err(|error| unreadable(&error))?;
        if all.is_empty() { Err(answer::missing(&format!("stream '{id}'"))) } else { Ok(all) }
    }

    /// `GET /streams/{id}/history`
    pub(super) async fn history(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let query = Query::only(request, &["before", "limit"])?;
        let (before, limit) = (query.number("before")?.unwrap_or(u64::MAX), query.limit()?);
        let all = self.kept(id).await?;
        let mut entries = all.iter().zip(afters(&all)).filter(|(past, _)| past.made_in() < before).peekable();
        let shown: Vec<_> = entries.by_ref().take(limit).collect();
        let last = shown.last().filter(|_| entries.peek().is_some()).map(|(past, _)| (past.made_in(), None));
        Ok(answer::page(shown.iter().map(|(past, after)| entry(past, *after)).collect(), last, limit))
    }

    /// `GET /streams/{id}?generation=N`
    pub(super) async fn generation(
        &self,
        id: &str,
        generation: u64,
        whole: bool,
    ) -> Result<Response, Response> {
        let all = self.kept(id).await?;
        let (past, after) = all
            .iter()
            .zip(afters(&all))
            .find(|(past, _)| past.generation == generation)
            .ok_or_else(|| answer::missing(&format!("generation {generation} of stream '{id}'")))?;
        let mut told = entry(past, after);
        let (text, config) = if whole {
            (past.text.clone(), config(&past.text))
        } else {
            veiled(&past.text, past.kind, &self.runtime.engine().registry)
        };
        told["text"] = text.into();
        told["config"] = config;
        Ok(answer::json(StatusCode::OK, &told))
    }

    /// `GET /streams/{id}/diff`
    pub(super) async fn difference(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let query = Query::only(request, &["from", "to"])?;
        let (from, to) = (query.number("from")?, query.number("to")?);
        let all = self.kept(id).await?;
        let find = |generation: u64| {
            all.iter()
                .find(|past| past.generation == generation)
                .ok_or_else(|| answer::missing(&format!("generation {generation} of stream '{id}'")))
        };
        let newest = all.first().map_or(0, |newest| newest.generation);
        let after = find(to.unwrap_or(newest))?;
        let before = match from {
            Some(from) => Some(find(from)?),
            None => all.iter().find(|past| past.generation < after.generation),
        };
        let name = |past: &Desired| format!("stream/{id} generation {}", past.generation);
        let names = (before.map_or_else(|| "/dev/null".into(), |before| name(before)), name(after));
        let (before, after) = (before.cloned(), Arc::clone(after));
        let registry = Arc::clone(&self.runtime.engine().registry);
        let text = tokio::task::spawn_blocking(move || {
            let before = before.as_ref().map_or("", |before| &before.text);
            let text = unified(before, &after.text, (&names.0, &names.1));
            scrubbed(text, after.kind, &[before, &after.text], &registry)
        });
        let text = text
            .await
            .map_err(|error| answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
        let mut response = answer::text(text);
        // What a browser would guess to be a page is none.
        response.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        Ok(response)
    }

    /// `GET /drift`
    pub(super) async fn drift(&self, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let page = Query::only(request, &PAGE)?.page()?;
        let (found, more) = self.service.drift(&page).await.map_err(|error| unreadable(&error))?;
        let registry = Arc::clone(&self.runtime.engine().registry);
        let told = tokio::task::spawn_blocking(move || {
            found.iter().map(|one| drift(one, &registry)).collect::<Vec<Value>>()
        })
        .await;
        let told =
            told.map_err(|error| answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))?;
        Ok(answer::page(told, more.map(|(revision, key)| (revision, Some(key))), page.limit))
    }

    /// `POST /streams/{id}/rollback`
    pub(super) async fn roll_back(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        let query = Query::only(request, &[&PARAMETERS[..], &["to"]].concat())?;
        let (to, options) = (query.number("to")?, options_of(request, "ROLLBACK")?);
        self.changed(self.service.roll_back(&stream(id), to, &options).await).await
    }

    /// `GET /revisions`
    pub(super) async fn revisions(&self, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let query = Query::only(request, &["before", "limit"])?;
        let (before, limit) = (query.number("before")?.unwrap_or(u64::MAX), query.limit()?);
        // One more than is shown tells whether there is more.
        let found = self.service.revisions(before, limit + 1).await.map_err(|error| unreadable(&error))?;
        let last = found.get(limit - 1).filter(|_| found.len() > limit).map(|last| (last.revision, None));
        Ok(answer::page(found.iter().take(limit).map(revision).collect(), last, limit))
    }

    /// `GET /revisions/{n}`
    pub(super) async fn revision(&self, text: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        Query::only(request, &[])?;
        let found = self.service.revision_record(number(text)?).await.map_err(|error| unreadable(&error))?;
        let found = found.ok_or_else(|| answer::missing(&format!("revision {text}")))?;
        Ok(answer::json(StatusCode::OK, &revision(&found)))
    }

    /// `POST /revisions/{n}/restore`
    pub(super) async fn restore(&self, text: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::POST)?;
        Query::only(request, &PARAMETERS)?;
        let (number, options) = (number(text)?, options_of(request, "RESTORE")?);
        self.changed(self.service.restore(number, &options).await).await
    }
}

//! `/resources`, `/resources/{type}` and `/resources/{type}/{id}`

use super::{
    Streams, answer, either,
    query::{PAGE, Query},
    scrub::veiled,
    streams::{config, described},
    submit::checked,
    write::{PARAMETERS, is_chilled, options},
};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use weir_control::{
    record::{Key, Kind as RecordKind},
    status::View,
};
use weir_core::http::{Request, Response, Scope};

const TYPES: &str =
    "Var `type` must be set to one of `cache`, `input`, `output`, `processor` or `rate_limit`";

/// The kind of resource of this name.
fn parse(kind: &str) -> Result<RecordKind, Response> {
    let found = RecordKind::parse(kind).filter(|kind| *kind != RecordKind::Stream);
    found.ok_or_else(|| answer::missing(&format!("resource type '{kind}'")))
}

/// What is said of a resource.
fn entry(view: &View, users: &[Key]) -> Value {
    let dependents: Vec<String> = users.iter().map(Key::name).collect();
    let mut entry = json!({ "id": &*view.key.id, "type": view.key.kind, "dependents": dependents,
        "phase": view.status.phase });
    described(&mut entry, view);
    entry
}

impl Streams {
    /// `/resources/{type}/{id}`
    pub(super) async fn resource(&self, kind: &str, id: &str, request: &Request) -> Response {
        match request.method {
            Method::POST => either(self.post_resource(kind, id, request).await),
            // To the reference a verb is wrong before a type is.
            Method::GET | Method::DELETE if parse(kind).is_err() => answer::verb(&request.method),
            Method::GET => either(self.get_resource(kind, id, request).await),
            Method::DELETE => either(self.delete_resource(kind, id, request).await),
            _ => answer::verb(&request.method),
        }
    }

    /// Creates or changes a resource.
    async fn post_resource(&self, kind: &str, id: &str, request: &Request) -> Result<Response, Response> {
        let found = RecordKind::parse(kind)
            .and_then(|record| Some((record, crate::runtime::component_kind(record)?)));
        let (record, kind) = found.ok_or_else(|| Response::error(StatusCode::BAD_REQUEST, TYPES))?;
        let (key, chilled, options) = (Key::new(record, id), is_chilled(request), options(request)?);
        let dry_run = options.dry_run;
        let submission = self.off_thread(&request.body, move |streams, body| {
            checked(dry_run, chilled, |chilled| {
                let text = streams.read(body, chilled)?;
                streams.resource_submission(key.clone(), kind, text, chilled)
            })
        });
        let submission = submission.await.map_err(|refusal| refusal.answer())?;
        Ok(self.written(self.service.put_resource(submission, &options).await).await)
    }

    async fn get_resource(&self, kind: &str, id: &str, request: &Request) -> Result<Response, Response> {
        Query::only(request, &[])?;
        let key = Key::new(parse(kind)?, id);
        let users = self.service.users().await.remove(&key).unwrap_or_default();
        let view = self.service.view(&key).ok_or_else(|| answer::missing(&key.to_string()))?;
        let mut told = entry(&view, &users);
        let desired = view.desired.ok_or_else(|| answer::missing(&key.to_string()))?;
        let (text, config) = if request.caller.may(Scope::Write) {
            (desired.text.clone(), config(&desired.text))
        } else {
            veiled(&desired.text, desired.kind, &self.runtime.engine().registry)
        };
        told["config"] = config;
        told["text"] = text.into();
        let mut response = answer::json(StatusCode::OK, &told);
        super::write::tag(&mut response, desired.generation);
        Ok(response)
    }

    async fn delete_resource(&self, kind: &str, id: &str, request: &Request) -> Result<Response, Response> {
        let query = Query::only(request, &[&PARAMETERS[..], &["force"]].concat())?;
        let (key, options) = (Key::new(parse(kind)?, id), options(request)?);
        let written = self.service.delete_resource(&key, query.flag("force")?, &options).await;
        self.changed(written).await
    }

    /// `GET /resources` and `/resources/{type}`: those that were changed last come first.
    pub(super) async fn resources(
        &self,
        kind: Option<&str>,
        request: &Request,
    ) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let page = Query::only(request, &PAGE)?.page()?;
        let kind = kind.map(parse).transpose()?;
        let users = self.service.users().await;
        let kinds = RecordKind::ALL.into_iter().filter(|one| *one != RecordKind::Stream);
        let kinds = kinds.filter(|one| kind.is_none_or(|kind| kind == *one));
        let revision = |view: &View| view.desired.as_ref().map_or(0, |desired| desired.revision);
        let all = kinds.flat_map(|kind| self.service.list(kind));
        let (shown, more) = page.of(all, |view| (revision(view), view.key.clone()));
        let users = |view: &View| users.get(&view.key).map_or(&[][..], Vec::as_slice);
        let entries = shown.iter().map(|view| {
            let mut entry = entry(view, users(view));
            entry["revision"] = revision(view).into();
            entry
        });
        let next = more.map(|(revision, key)| (revision, Some(key)));
        Ok(answer::page(entries.collect(), next, page.limit))
    }
}

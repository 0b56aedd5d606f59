//! Routes of the service as a whole: version, readiness, metrics, what there is.

use super::{
    App, MetricsForm, Streams, Subject, answer,
    query::Query,
    routes::{Endpoint, ROWS, STREAM_READY, stream},
    status::condition,
};
use crate::{
    http::{TEXT, not_found},
    runtime::{RunningStream, TERMINATED, is_over},
    secrets::hide,
    telemetry::metrics::{Group, json as metrics_json, prometheus},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};
use weir_config::{Node, json::to_json, write::to_yaml};
use weir_control::{record::Kind, service::Service, status::View};
use weir_core::{
    http::{Body, Request, Response, Scope},
    status::Connection,
};

/// The service's config as `/debug/config` shows it.
pub(crate) struct Debug(pub(crate) Node);

/// How long the readiness of one stream waits for the first try to connect.
const FIRST_TRY: Duration = Duration::from_millis(100);
/// Pieces of a long answer on their way to the client.
const PIECES: usize = 4;

/// What a person should know about; to those who are not trusted only of which type it is.
pub(super) fn alive(subject: &Subject, request: &Request) -> Result<Response, Response> {
    Query::only(request, &[])?;
    let trusted = request.caller.may(Scope::Read);
    let conditions = match subject {
        Subject::Streams(streams) => streams.service.conditions(),
        Subject::Single(_) => Vec::new(),
    };
    let shown =
        conditions.iter().map(|one| if trusted { condition(one) } else { json!({ "type": one.kind }) });
    Ok(answer::json(StatusCode::OK, &json!({ "conditions": shown.collect::<Vec<_>>() })))
}

pub(super) fn version() -> Response {
    answer::text(format!("{{\"version\":\"{}\", \"built\":\"unknown\"}}", env!("CARGO_PKG_VERSION")))
}

/// Every path with its description, as the reference lists them.
pub(super) async fn endpoints(app: &App) -> Response {
    let mut all = BTreeMap::new();
    for row in &ROWS {
        let listed = match row.endpoint {
            Endpoint::Metrics => app.settings.metrics_listed && app.settings.metrics != MetricsForm::None,
            Endpoint::DebugJson | Endpoint::DebugYaml => app.settings.debug.is_some(),
            // The reference's list is the contract.
            Endpoint::StreamReady | Endpoint::Livez => false,
            other if other.is_added() => false,
            other if other.is_api() => app.settings.api && matches!(app.subject, Subject::Streams(_)),
            _ => true,
        };
        if listed {
            let single = row.endpoint == Endpoint::Ready && matches!(app.subject, Subject::Single(_));
            let description = if single { STREAM_READY } else { row.description };
            all.insert(row.path.to_owned(), description.to_owned());
        }
    }
    app.host.describe(&mut all).await;
    if let Subject::Streams(streams) = &app.subject {
        for view in streams.service.list(Kind::Stream) {
            all.insert(format!("/{}/ready", view.key.id), STREAM_READY.to_owned());
        }
    }
    answer::text(json!(all).to_string())
}

/// Whether every stream that is active has connections on both sides, all of them up.
pub(super) fn ready(service: &Service) -> Response {
    let faulty: Vec<String> = service
        .list(Kind::Stream)
        .into_iter()
        .filter(|view| view.status.active && !is_connected(service, view))
        .map(|view| view.key.id.to_string())
        .collect();
    if faulty.is_empty() {
        return answer::text("OK");
    }
    Response::error(
        StatusCode::SERVICE_UNAVAILABLE,
        &format!("streams {} are not connected", faulty.join(", ")),
    )
}

fn is_connected(service: &Service, view: &View) -> bool {
    let running = service.running(&view.key);
    running.as_ref().and_then(RunningStream::of).is_some_and(|stream| {
        let seen = stream.view();
        all_up(seen) || stream.is_ended()
    })
}

fn all_up(seen: &weir_engine::View) -> bool {
    let up = |all: &[Arc<Connection>]| !all.is_empty() && all.iter().all(|one| one.is_up() || is_over(one));
    up(&seen.inputs.all()) && up(&seen.outputs.all())
}

/// One connection, its members in the reference's order; `over`: the stream has ended, and with it everything but
/// shared resources.
fn status(connection: &Connection, over: bool) -> String {
    let path = connection.component.path.strip_prefix("root.").unwrap_or(&connection.component.path);
    let shared = path.starts_with("input_resources") || path.starts_with("output_resources");
    let connected = connection.is_up() && (shared || !over);
    let label = Value::from(connection.component.label.as_str());
    let error = connection.error().filter(|_| !connected && !over).map(hide);
    let error = error.map(|error| format!(",\"error\":{}", Value::from(error))).unwrap_or_default();
    format!("{{\"label\":{label},\"path\":{},\"connected\":{connected}{error}}}", Value::from(path))
}

/// The reference gives the type of its JSON only when all is well.
fn readiness(error: Option<String>, statuses: &[String], ready: bool) -> Response {
    let error = error.map(|error| format!("\"error\":{},", Value::from(error))).unwrap_or_default();
    let body = format!("{{{error}\"statuses\":[{}]}}\n", statuses.join(","));
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = Response::new(status, body);
    let kind = if ready { HeaderValue::from_static("application/json") } else { TEXT };
    response.headers.insert(header::CONTENT_TYPE, kind);
    response
}

pub(super) fn single_ready(single: &weir_engine::View) -> Response {
    let statuses: Vec<String> = single.connections().iter().map(|one| status(one, false)).collect();
    readiness(None, &statuses, all_up(single))
}

impl Streams {
    /// Whether one stream is connected, and what is not.
    pub(super) async fn stream_ready(&self, id: &str) -> Response {
        let Some(view) = self.service.view(&stream(id)) else { return not_found() };
        let running = self.service.running(&view.key);
        let Some(running) = running.as_ref().and_then(RunningStream::of) else {
            let completed = view.desired.as_ref().is_some_and(|desired| desired.is_completed());
            let reason = if completed { Some(TERMINATED.into()) } else { view.status.reason };
            return readiness(reason, &[], false);
        };
        let seen = running.view();
        // A stream that has only just started has not tried to connect yet: a moment later there is more to say.
        let untried = || seen.connections().iter().any(|one| !one.is_up() && one.error().is_none());
        let until = Instant::now() + FIRST_TRY;
        while untried() && !running.is_ended() && Instant::now() < until {
            tokio::time::sleep(FIRST_TRY / 20).await;
        }
        let over = running.is_ended();
        let connections = seen.connections();
        let shown = connections.iter().filter(|one| over || !is_over(one));
        let statuses: Vec<String> = shown.map(|one| status(one, over)).collect();
        readiness(over.then(|| TERMINATED.into()), &statuses, !over && all_up(seen))
    }
}

/// What is counted of all streams, of the resources first.
pub(crate) fn groups(app: &App) -> Vec<Group> {
    let resources = app.engine.resources.metrics();
    match &app.subject {
        Subject::Single(single) => {
            vec![Group::new(None, &resources), Group::new(None, &[Arc::clone(&single.load().metrics)])]
        }
        Subject::Streams(streams) => {
            let mut groups = vec![Group::new(Some(Arc::from("")), &resources)];
            for view in streams.service.list(Kind::Stream) {
                if let Some(metrics) = crate::runtime::metrics(streams.service.running(&view.key).as_ref()) {
                    groups.push(Group::new(Some(Arc::clone(&view.key.id)), &[metrics]));
                }
            }
            groups
        }
    }
}

pub(super) fn metrics(app: &App) -> Response {
    if app.settings.metrics == MetricsForm::Json {
        return answer::json(
            StatusCode::OK,
            &metrics_json(&groups(app), None, app.settings.renames.as_deref()),
        );
    }
    let (to, pieces) = mpsc::channel(PIECES);
    // Ends with the client's connection, which drops the receiver.
    let (renames, form) = (app.settings.renames.clone(), Arc::clone(&app.settings.form));
    tokio::spawn(prometheus(groups(app), renames, form, own_metrics(app), to));
    let mut response = Response::new(StatusCode::OK, "");
    response
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response.body = Body::Stream(pieces);
    response
}

/// What the server counts of itself.
fn own_metrics(app: &App) -> String {
    let Subject::Streams(streams) = &app.subject else { return String::new() };
    let sizes = streams.service.sizes();
    let gauge = |name: &str, help: &str, value: u64| {
        format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n")
    };
    let mut text = gauge("weir_store_revision", "Revisions of the desired state.", sizes.revision);
    text +=
        &gauge("weir_store_journal_bytes", "Bytes of the journal since its snapshot.", sizes.journal_bytes);
    text += "# HELP weir_condition What a person should know about.\n# TYPE weir_condition gauge\n";
    let kinds: BTreeSet<_> = streams.service.conditions().iter().map(|condition| condition.kind).collect();
    text.extend(kinds.iter().map(|kind| format!("weir_condition{{type=\"{kind}\"}} 1\n")));
    let list = streams.service.list(Kind::Stream);
    text += &gauge("weir_streams", "Streams that are listed.", list.len() as u64);
    let mut phases: BTreeMap<String, u64> = BTreeMap::new();
    for view in &list {
        *phases.entry(format!("{:?}", view.status.phase)).or_default() += 1;
    }
    text += "# HELP weir_streams_in_phase Streams by where they are.\n# TYPE weir_streams_in_phase gauge\n";
    text.extend(
        phases.iter().map(|(phase, count)| format!("weir_streams_in_phase{{phase=\"{phase}\"}} {count}\n")),
    );
    let waiting = streams.service.waiting() as u64;
    text += &gauge("weir_reconcile_queue", "Streams and resources that wait for the reconciler.", waiting);
    let timing = streams.service.timing();
    let restarts = timing.restarts.load(Ordering::Relaxed);
    let logins = app.settings.guard.failed_logins();
    for (name, help, count) in [
        ("weir_restarts_total", "Starts after failures.", restarts),
        ("weir_failed_logins_total", "Logins that were refused.", logins),
    ] {
        text.extend([format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}\n")]);
    }
    for (name, help, spent) in [
        ("weir_reconcile_seconds", "Looks of the reconciler at one stream or resource.", &timing.passes),
        ("weir_commit_seconds", "Commits of writes, until they are durable.", &timing.commits),
    ] {
        let (count, sum) = spent.seen();
        let sum = sum.as_secs_f64();
        text.extend([format!(
            "# HELP {name} {help}\n# TYPE {name} summary\n{name}_sum {sum}\n{name}_count {count}\n"
        )]);
    }
    text
}

pub(super) fn debug_json(debug: Option<&Debug>) -> Response {
    let Some(Debug(node)) = debug else { return not_found() };
    answer::text(hide(to_json(node).to_string()))
}

pub(super) fn debug_yaml(debug: Option<&Debug>) -> Response {
    let Some(Debug(node)) = debug else { return not_found() };
    answer::text(hide(to_yaml(node)))
}

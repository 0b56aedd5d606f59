//! `/streams/{id}/status`: where a stream is, and why.

use super::{Streams, answer, query::Query, routes::stream};
use http::StatusCode;
use serde_json::{Value, json};
use weir_control::{
    runtime::Link,
    status::{LastError, View},
    store::folder::Condition,
};
use weir_core::http::{Request, Response};

/// What is said of a stream, or of a resource.
pub(super) fn status(view: &View) -> Value {
    let status = &view.status;
    json!({
        "phase": status.phase,
        "since": answer::time(status.since),
        "generation": { "desired": status.desired_generation, "running": status.running_generation },
        "reason": status.reason,
        "message": status.message,
        "restarts": status.restarts,
        "next_retry": status.next_retry.map_or(Value::Null, answer::time),
        "last_error": status.last_error.as_ref().map(last_error),
        "connections": view.links.iter().map(connection).collect::<Vec<_>>(),
        "counters": status.counters,
        "conditions": status.conditions.iter().map(condition).collect::<Vec<_>>(),
    })
}

fn last_error(error: &LastError) -> Value {
    let LastError { time, path, message, count } = error;
    json!({ "time": answer::time(*time), "path": path, "message": message, "count": count })
}

fn connection(link: &Link) -> Value {
    let Link { path, label, connected, error, since, .. } = link;
    let since = answer::time(*since);
    json!({ "path": path, "label": label, "connected": connected, "since": since, "error": error })
}

pub(super) fn condition(condition: &Condition) -> Value {
    let Condition { kind, since, message } = condition;
    json!({ "type": kind, "since": answer::time(*since), "message": message })
}

impl Streams {
    /// `GET /streams/{id}/status`
    pub(super) async fn status(&self, id: &str, request: &Request) -> Result<Response, Response> {
        answer::only(request, &http::Method::GET)?;
        let with_record = Query::only(request, &["record"])?.flag("record")?;
        let view = self.service.view(&stream(id));
        let mut told = status(&view.ok_or_else(|| answer::missing(&format!("stream '{id}'")))?);
        if let Some(flight) = self.flight.clone().filter(|_| with_record) {
            let id = id.to_owned();
            let record = tokio::task::spawn_blocking(move || flight.of(&id)).await.unwrap_or_default();
            told["record"] = record.into();
        }
        Ok(answer::json(StatusCode::OK, &told))
    }
}

//! `/events`: what happens, as it happens, and what happened lately.

use super::{Streams, answer, query::Query};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use tokio::sync::mpsc::{self, error::SendTimeoutError};
use weir_control::{
    events::{Event, Events, Read, What},
    record::Kind,
};
use weir_core::http::{Body, Request, Response};

/// Pieces on their way to a client, and events in one: what a client costs that does not read.
const PIECES: usize = 4;
const EVENTS: usize = 100;
/// How often a client hears something when nothing happens.
const BEAT: Duration = Duration::from_secs(15);
/// How long a client may take to read a piece.
const PATIENCE: Duration = Duration::from_secs(30);

/// An event as it is told.
pub(crate) fn event(event: &Event) -> Value {
    let Event { id, time, key, what, generation, revision } = event;
    let mut told = json!({ "id": id, "time": answer::time(*time) });
    match key.kind {
        Kind::Stream => told["stream"] = (*key.id).into(),
        _ => told["resource"] = key.name().into(),
    }
    told["type"] = match what {
        What::Phase(phase, reason) => {
            told["phase"] = json!(phase);
            if let Some(reason) = reason {
                told["reason"] = reason.as_str().into();
            }
            "phase"
        }
        What::Error(error) => {
            told["reason"] = error.message.as_str().into();
            told["count"] = error.count.into();
            if let Some(path) = &error.path {
                told["path"] = path.as_str().into();
            }
            "error"
        }
        What::Changed { deleted: false } => "changed",
        What::Changed { deleted: true } => "deleted",
    }
    .into();
    for (name, number) in [("generation", generation), ("revision", revision)] {
        if let Some(number) = number {
            told[name] = (*number).into();
        }
    }
    told
}

/// What a client is told whose events are not all kept.
const GONE: &str = ": some events between are gone\n\n";

/// Tells a client what comes after an event, until it goes away, is too slow, or the server ends.
async fn follow(events: Arc<Events>, mut at: u64, to: mpsc::Sender<Bytes>) {
    // Room for the last word to one that is too slow.
    let Ok(last) = to.clone().reserve_owned().await else { return };
    loop {
        let piece = match events.after(at, EVENTS) {
            Read::Next(next) => {
                let mut text = String::new();
                for one in &next {
                    at = one.id;
                    // Writing to a string cannot fail.
                    let _written = write!(text, "id: {}\ndata: {}\n\n", one.id, event(one));
                }
                text
            }
            Read::Nothing => {
                tokio::select! {
                    is_new = events.wait(at, BEAT) => if is_new { continue },
                    () = to.closed() => return,
                }
                ": nothing new\n\n".into()
            }
            Read::Missed => break,
            Read::Over => return,
        };
        match to.send_timeout(piece.into(), PATIENCE).await {
            Ok(()) => {}
            Err(SendTimeoutError::Timeout(_)) => break,
            Err(SendTimeoutError::Closed(_)) => return,
        }
    }
    last.send(": too slow, what follows is gone; ask again with Last-Event-ID\n\n".into());
}

/// An answer of server-sent events.
pub(super) fn server_sent(pieces: mpsc::Receiver<Bytes>) -> Response {
    let mut response = Response::new(StatusCode::OK, "");
    response.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.body = Body::Stream(pieces);
    response
}

impl Streams {
    /// `GET /events`
    pub(super) fn events(&self, request: &Request) -> Result<Response, Response> {
        answer::only(request, &Method::GET)?;
        let query = Query::only(request, &["since", "follow"])?;
        let (events, since) = (self.service.events(), query.number("since")?);
        if query.text("follow").is_some() && !query.flag("follow")? {
            let told: Vec<Value> = events.since(since).iter().map(event).collect();
            return Ok(answer::json(StatusCode::OK, &told.into()));
        }
        let resumed = request.headers.get("last-event-id").map(|id| {
            let id = id.to_str().ok().and_then(|id| id.parse::<u64>().ok());
            id.ok_or_else(|| answer::refusal(StatusCode::BAD_REQUEST, "Last-Event-ID is no id of an event"))
        });
        let resumed = resumed.transpose()?;
        let at = match (resumed, since) {
            // What is not kept any more is left out, rather than to refuse a client that was away for long.
            (Some(id), _) => id.min(events.newest()).max(events.before_oldest()),
            (None, Some(_)) => {
                events.since(since).first().map_or_else(|| events.newest(), |first| first.id - 1)
            }
            (None, None) => events.newest(),
        };
        let (to, pieces) = mpsc::channel(PIECES + 1);
        let gone = if resumed.is_some_and(|id| id < at) { GONE } else { "" };
        // Where it begins, so that a client can resume from there; when all is over there is no such place.
        if at < u64::MAX {
            // There is room.
            let _sent = to.try_send(format!("{gone}id: {at}\n\n").into());
        }
        tokio::spawn(follow(events, at, to));
        Ok(server_sent(pieces))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_too_slow_is_told_so_behind_what_waits() {
        let (to, mut pieces) = mpsc::channel(PIECES + 1);
        for _ in 0..PIECES {
            to.try_send("waits".into()).unwrap();
        }
        // Nothing that came after this event is kept.
        follow(Arc::new(Events::default()), 0, to).await;
        let mut told = Vec::new();
        while let Some(piece) = pieces.recv().await {
            told.push(piece);
        }
        assert_eq!(told.len(), PIECES + 1);
        assert!(told[PIECES].starts_with(b": too slow"), "{told:?}");
    }
}

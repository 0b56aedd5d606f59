//! The table of the server's own routes: what matches a request also says what there is.

use crate::http::path::{Path, Pattern};
use http::Method;
use std::sync::LazyLock;
use weir_control::record::Key;
use weir_core::http::Scope;

/// One route of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Ping,
    Livez,
    Version,
    Endpoints,
    OpenApi,
    Ready,
    Metrics,
    DebugJson,
    DebugYaml,
    Streams,
    Stream,
    StreamStats,
    StreamReady,
    StreamStatus,
    StreamTap,
    StreamPlan,
    StreamHistory,
    StreamDiff,
    StreamRollback,
    StreamPause,
    StreamResume,
    StreamRestart,
    StreamRevert,
    Drift,
    Plan,
    Revisions,
    Revision,
    RevisionRestore,
    Events,
    Resources,
    ResourcesOfType,
    Resource,
}

impl Endpoint {
    /// Whether it tells or changes what should run, or what there is.
    pub(crate) fn is_control(self) -> bool {
        self.is_api() || matches!(self, Self::Endpoints | Self::OpenApi | Self::DebugJson | Self::DebugYaml)
    }

    /// What a caller must be allowed to.
    pub(crate) fn scope(self, method: &Method) -> Option<Scope> {
        match self {
            Self::DebugJson | Self::DebugYaml => Some(Scope::Admin),
            Self::StreamTap => Some(Scope::Tap),
            other if !other.is_control() => None,
            // Plans too need the scope of a write: what is built for one may tell what variables and files hold.
            _ if matches!(*method, Method::GET | Method::HEAD) => Some(Scope::Read),
            _ => Some(Scope::Write),
        }
    }

    /// Whether it is about streams and resources.
    pub(crate) fn is_api(self) -> bool {
        matches!(self, Self::Streams | Self::Stream | Self::StreamStats | Self::Resource)
            || self.is_added() && self != Self::OpenApi
    }

    /// Whether the reference has no such path: it is not in `/endpoints`, and a stream's own path goes before it.
    pub(crate) fn is_added(self) -> bool {
        matches!(
            self,
            Self::OpenApi
                | Self::StreamStatus
                | Self::StreamTap
                | Self::StreamPlan
                | Self::StreamHistory
                | Self::StreamDiff
                | Self::StreamRollback
                | Self::StreamPause
                | Self::StreamResume
                | Self::StreamRestart
                | Self::StreamRevert
                | Self::Drift
                | Self::Plan
                | Self::Revisions
                | Self::Revision
                | Self::RevisionRestore
                | Self::Events
                | Self::Resources
                | Self::ResourcesOfType
        )
    }
}

/// A route, its pattern and what `/endpoints` says of it.
pub(crate) struct Row {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: &'static str,
    pub(crate) description: &'static str,
}

const fn row(endpoint: Endpoint, path: &'static str, description: &'static str) -> Row {
    Row { endpoint, path, description }
}

const LIVEZ: &str =
    "Returns 200 OK while the service answers, with the conditions that a person should know about.";
const METRICS: &str = "Exposes service-wide metrics in the format configured.";
const READY: &str = "Returns 200 OK if the inputs and outputs of all running streams are connected, otherwise a 503 is \
    returned. If there are no active streams 200 is returned.";
const RESOURCE: &str = "POST: Create or replace a given resource configuration of a specified type. Types supported \
    are `cache`, `input`, `output`, `processor` and `rate_limit`.";
const STREAMS: &str = "GET: List all streams along with their status and uptimes. POST: Post an object of stream ids to \
    stream configs, all streams will be replaced by this new set.";
const STREAM: &str = "Perform CRUD operations on streams, supporting POST (Create), GET (Read), PUT (Update), PATCH \
    (Patch update) and DELETE (Delete).";
/// What `/endpoints` says of one stream's readiness.
pub(crate) const STREAM_READY: &str =
    "Returns 200 OK if all inputs and outputs are connected, otherwise a 503 is returned.";

/// Every route; the first that matches is meant.
pub(crate) static ROWS: [Row; 33] = [
    row(Endpoint::Ping, "/ping", "Ping me."),
    row(Endpoint::Livez, "/livez", LIVEZ),
    row(Endpoint::Version, "/version", "Returns the service version."),
    row(Endpoint::Endpoints, "/endpoints", "Returns this map of endpoints."),
    row(Endpoint::OpenApi, "/openapi.json", "GET all of this as OpenAPI 3.1."),
    row(Endpoint::Ready, "/ready", READY),
    row(Endpoint::Metrics, "/metrics", METRICS),
    row(Endpoint::Metrics, "/stats", METRICS),
    row(Endpoint::DebugJson, "/debug/config/json", "DEBUG: Returns the loaded config as JSON."),
    row(Endpoint::DebugYaml, "/debug/config/yaml", "DEBUG: Returns the loaded config as YAML."),
    row(Endpoint::Streams, "/streams", STREAMS),
    row(Endpoint::Stream, "/streams/{id}", STREAM),
    row(
        Endpoint::StreamStats,
        "/streams/{id}/stats",
        "GET a structured JSON object containing metrics for the stream.",
    ),
    row(Endpoint::StreamStatus, "/streams/{id}/status", "GET where the stream is, and why."),
    row(Endpoint::StreamTap, "/streams/{id}/tap", "GET messages of the stream as they pass."),
    row(
        Endpoint::StreamPlan,
        "/streams/{id}/plan",
        "POST a spec to learn what it would change, in the data too.",
    ),
    row(Endpoint::StreamHistory, "/streams/{id}/history", "GET the stream's generations that are kept."),
    row(Endpoint::StreamDiff, "/streams/{id}/diff", "GET what differs between two generations."),
    row(Endpoint::StreamRollback, "/streams/{id}/rollback", "POST: An earlier generation becomes a new one."),
    row(Endpoint::StreamPause, "/streams/{id}/pause", "POST: Stop the stream and keep its position."),
    row(Endpoint::StreamResume, "/streams/{id}/resume", "POST: Let the stream run on from its position."),
    row(Endpoint::StreamRestart, "/streams/{id}/restart", "POST: Build the stream anew and run it again."),
    row(Endpoint::StreamRevert, "/streams/{id}/revert", "POST: What the stream's file says counts again."),
    row(Endpoint::Drift, "/drift", "GET the streams that differ from their files."),
    row(Endpoint::Plan, "/plan", "POST a whole set of streams to learn what it would change."),
    row(Endpoint::Revisions, "/revisions", "GET what was changed, newest first."),
    row(Endpoint::Revision, "/revisions/{n}", "GET what one revision changed."),
    row(Endpoint::RevisionRestore, "/revisions/{n}/restore", "POST: Everything becomes what it was then."),
    row(Endpoint::Events, "/events", "GET what happens as it happens, and what happened lately."),
    row(Endpoint::Resources, "/resources", "GET all resources, and who uses them."),
    row(Endpoint::ResourcesOfType, "/resources/{type}", "GET the resources of a type."),
    row(Endpoint::Resource, "/resources/{type}/{id}", RESOURCE),
    row(Endpoint::StreamReady, "/{id}/ready", STREAM_READY),
];

static PATTERNS: LazyLock<Vec<(Endpoint, Pattern)>> =
    LazyLock::new(|| ROWS.iter().map(|row| (row.endpoint, Pattern::new(row.path))).collect());

/// The route of a path, with the values of its variables.
pub(crate) fn find(path: &Path) -> Option<(Endpoint, Vec<String>)> {
    PATTERNS.iter().find_map(|(endpoint, pattern)| {
        let variables = pattern.variables(path)?;
        Some((*endpoint, variables.into_iter().map(|(_, value)| value).collect()))
    })
}

/// Why a stream's path is the server's own, if it is.
///
/// A stream named `streams` lies under the API's own paths whatever its paths are: they are refused only where a
/// route of the server has exactly that path.
pub(crate) fn reserved(pattern: &Pattern, stream: &str) -> Option<String> {
    let path = Path::parse(&pattern.exact()?).ok()??;
    let (endpoint, _) = find(&path).filter(|(endpoint, _)| !endpoint.is_added())?;
    let shadowed = matches!(endpoint, Endpoint::Stream | Endpoint::StreamStats | Endpoint::Resource)
        && path.segments().first().is_some_and(|first| first == stream);
    if shadowed {
        tracing::warn!(
            stream,
            "path {} belongs to the API, which answers it instead of the stream",
            pattern.text()
        );
        return None;
    }
    Some(format!("path {} is served by the server itself: choose another path", pattern.text()))
}

/// The key of a stream.
pub(crate) fn stream(id: &str) -> Key {
    Key::stream(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str) -> Option<(Endpoint, Vec<String>)> {
        find(&Path::parse(path).unwrap()?)
    }

    #[test]
    fn ids_are_literal_segments() {
        assert_eq!(found("/streams/a%20b"), Some((Endpoint::Stream, vec!["a b".into()])));
        assert_eq!(found("/streams/stats"), Some((Endpoint::Stream, vec!["stats".into()])));
        assert_eq!(found("/streams/x/stats"), Some((Endpoint::StreamStats, vec!["x".into()])));
        assert_eq!(found("/streams/ready"), Some((Endpoint::Stream, vec!["ready".into()])));
        assert_eq!(found("/ready"), Some((Endpoint::Ready, vec![])));
        assert_eq!(found("/a/ready"), Some((Endpoint::StreamReady, vec!["a".into()])));
        assert_eq!(found("/streams/"), None);
        assert_eq!(found("/streams/a%2Fb"), None);
        assert_eq!(found("/resources/cache"), Some((Endpoint::ResourcesOfType, vec!["cache".into()])));
    }

    #[test]
    fn exact_paths_of_the_server_are_refused() {
        let refused = |path: &str, stream: &str| {
            let pattern = Pattern::new(path);
            let pattern = if stream.is_empty() { pattern } else { pattern.under(stream) };
            reserved(&pattern, stream).is_some()
        };
        assert!(refused("/ready", "a"));
        assert!(refused("/ping", ""));
        assert!(refused("/streams/x", ""));
        assert!(!refused("/post", "a"));
        assert!(!refused("/post", "streams"));
        assert!(!refused("/post", "ready"));
    }
}

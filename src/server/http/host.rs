//! Where components open their routes: on the server's own listener, or on an address of their own.

use super::{
    Site, cors,
    listener::{Limits, Server, bind},
    path::{Path, Pattern},
    table::{Found, Table, vacated},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, time::Instant};
use weir_core::{
    build_error::BuildError,
    error::Error,
    http::{HttpHost, Listener, Request, Response, Route, Served},
};

/// How long a request waits for a stream that is being replaced or has just started.
const GAP: Duration = Duration::from_secs(5);
/// How long a list of paths waits for streams that are starting.
const LISTED_WITHIN: Duration = Duration::from_secs(1);
/// Paths of one stream that are remembered while it is built; requests do not wait for those beyond.
const CHECKED: usize = 1000;
/// How long a listener of its own stays open without routes.
const LINGER: Duration = Duration::from_secs(30);

/// Why the server serves a path itself, if it does: `(path with the prefix, stream)`.
pub(crate) type Reserved = dyn Fn(&Pattern, &str) -> Option<String> + Send + Sync;

/// The host of all routes that components open.
#[derive(Clone)]
pub(crate) struct Host(Arc<Inner>);

struct Inner {
    prefix: bool,
    reserved: Box<Reserved>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
    runtime: OnceLock<Handle>,
}

#[derive(Default)]
struct State {
    shared: Table,
    own: HashMap<String, Own>,
    /// Paths that were checked while a stream is built, by stream.
    checked: HashMap<String, Vec<Pattern>>,
    serving: u64,
}

/// A listener on an address of its own.
struct Own {
    table: Table,
    /// Accepts as long as this lives.
    server: Server,
    cors: cors::Rules,
}

impl Host {
    /// A host. With `prefix` a stream's paths are below its id; `reserved` says what is the server's own.
    pub(crate) fn new(prefix: bool, reserved: Box<Reserved>) -> Self {
        Self(Arc::new(Inner {
            prefix,
            reserved,
            state: Mutex::default(),
            changed: watch::Sender::new(()),
            runtime: OnceLock::new(),
        }))
    }

    /// Says where listeners of their own run; the first call counts.
    pub(crate) fn run_listeners_on(&self, runtime: Handle) {
        drop(self.0.runtime.set(runtime));
    }

    /// Answers a request on the server's listener; `None`: nobody serves the path.
    pub(crate) async fn answer(&self, path: &Path, request: Request) -> Option<Response> {
        self.0.answer(None, path, request).await
    }

    /// Whether anything answers a path of the server's listener.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        self.0.state().shared.find(path).is_some()
    }

    /// Whether whoever serves a path changes what runs.
    pub(crate) fn is_control(&self, path: &Path) -> bool {
        matches!(self.0.state().shared.find(path), Some(Found::Served(handler, _)) if handler.is_control())
    }

    /// Adds every path of the server's listener with its description, once those that start have come.
    pub(crate) async fn describe(&self, into: &mut BTreeMap<String, String>) {
        let mut changed = self.0.changed.subscribe();
        let deadline = Instant::now() + LISTED_WITHIN;
        while self.0.state().shared.is_awaited() {
            if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                break;
            }
        }
        self.0.state().shared.describe(into);
    }

    /// The paths that were checked while this stream was built: requests for them wait for its start.
    pub(crate) fn claims(&self, stream: &str) -> Claims {
        let mut state = self.0.state();
        let patterns = state.checked.remove(stream).unwrap_or_default();
        state.serving += 1;
        let claim = state.serving;
        for pattern in &patterns {
            state.shared.expect(pattern, claim, None);
        }
        Claims { inner: Arc::clone(&self.0), claim, patterns }
    }
}

/// Paths that a stream will serve once it is started. Dropped without a start, nothing waits for them any more.
pub(crate) struct Claims {
    inner: Arc<Inner>,
    claim: u64,
    patterns: Vec<Pattern>,
}

impl Claims {
    /// The stream is starting: requests wait for a moment only.
    pub(crate) fn start(mut self) {
        let until = Instant::now() + GAP;
        let patterns = std::mem::take(&mut self.patterns);
        let mut state = self.inner.state();
        for pattern in &patterns {
            state.shared.expect(pattern, self.claim, Some(until));
        }
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        if self.patterns.is_empty() {
            return;
        }
        let mut state = self.inner.state();
        for pattern in &self.patterns {
            state.shared.unexpect(pattern, self.claim);
        }
        drop(state);
        self.inner.changed.send_replace(());
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The path as it is served.
    fn pattern(&self, stream: &str, path: &str) -> Pattern {
        let pattern = Pattern::new(path);
        if self.prefix && !stream.is_empty() { pattern.under(stream) } else { pattern }
    }

    async fn answer(&self, own: Option<&str>, path: &Path, request: Request) -> Option<Response> {
        let mut changed = self.changed.subscribe();
        let deadline = Instant::now() + GAP;
        let (handler, variables) = loop {
            changed.mark_unchanged();
            let found = match (own, &*self.state()) {
                (None, state) => state.shared.find(path),
                (Some(address), state) => state.own.get(address).and_then(|own| own.table.find(path)),
            };
            match found? {
                Found::Served(handler, variables) => break (handler, variables),
                Found::Vacated(text) => return Some(vacated(text)),
                Found::Expected(text) => {
                    if tokio::time::timeout_at(deadline, changed.changed()).await.is_err() {
                        return Some(vacated(text));
                    }
                }
            }
        };
        Some(handler.handle(Request { variables, ..request }).await)
    }

    fn close(&self, own: Option<&str>, pattern: &Pattern, serving: u64) {
        let mut state = self.state();
        match own {
            None => state.shared.close(pattern, serving),
            Some(address) => {
                if let Some(own) = state.own.get_mut(address) {
                    own.table.close(pattern, serving);
                }
            }
        }
    }

    /// Opens an address, unless it is open.
    fn open_listener(self: &Arc<Self>, state: &mut State, listener: &Listener) -> Result<(), Error> {
        if state.own.contains_key(&listener.address) {
            return Ok(());
        }
        let tls =
            listener.tls.as_ref().map(|(certificate, key)| weir_io::tls::http_server(certificate, key, None));
        let tls = tls.transpose().map_err(|error| Error::failed(error.to_string()))?;
        let Some(runtime) = self.runtime.get() else {
            return Err(Error::failed(format!(
                "cannot listen on {}: the server has not started",
                listener.address
            )));
        };
        let cors =
            cors::Rules::new(listener.cors.enabled, &listener.cors.allowed_origins).map_err(Error::failed)?;
        let socket =
            bind(&listener.address, listener.reuse_port).map_err(|error| Error::failed(error.to_string()))?;
        let site = OwnSite { inner: Arc::downgrade(self), address: listener.address.clone() };
        let server = Server::start(socket, Arc::new(site), Limits::default(), tls, runtime)
            .map_err(|error| Error::failed(error.to_string()))?;
        tracing::info!("Listening for HTTP requests at: http://{}", server.address());
        state.own.insert(listener.address.clone(), Own { table: Table::default(), server, cors });
        Ok(())
    }
}

impl HttpHost for Host {
    fn check(&self, stream: &str, path: &str) -> Result<(), BuildError> {
        let inner = &self.0;
        if path.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(BuildError::new(format!(
                "path {path} leaves the stream's own prefix: remove its dots"
            )));
        }
        let pattern = inner.pattern(stream, path);
        if let Some(reason) = (inner.reserved)(&pattern, stream) {
            return Err(BuildError::new(reason));
        }
        let mut state = inner.state();
        let checked = state.checked.entry(stream.to_owned()).or_default();
        if !checked.contains(&pattern) && checked.len() < CHECKED {
            checked.push(pattern);
        }
        Ok(())
    }

    fn serve(&self, stream: &str, route: Route) -> Result<Box<dyn Served>, Error> {
        let inner = &self.0;
        let mut state = inner.state();
        state.serving += 1;
        let serving = state.serving;
        let (own, pattern) = match &route.listener {
            None => (None, inner.pattern(stream, &route.path)),
            Some(listener) => {
                inner.open_listener(&mut state, listener)?;
                (Some(listener.address.clone()), Pattern::new(&route.path))
            }
        };
        match own.as_ref().and_then(|address| state.own.get_mut(address)) {
            Some(own) => own.table.open(&pattern, serving, route.handler, route.description),
            None => state.shared.open(&pattern, serving, route.handler, route.description),
        }
        drop(state);
        inner.changed.send_replace(());
        Ok(Box::new(Serving { inner: Arc::clone(inner), own, pattern, number: serving }))
    }
}

/// A route that is served as long as this lives.
struct Serving {
    inner: Arc<Inner>,
    own: Option<String>,
    pattern: Pattern,
    number: u64,
}

impl Served for Serving {}

impl Drop for Serving {
    fn drop(&mut self) {
        self.inner.close(self.own.as_deref(), &self.pattern, self.number);
        let (Some(address), Some(runtime)) = (self.own.take(), self.inner.runtime.get()) else { return };
        let inner = Arc::clone(&self.inner);
        runtime.spawn(async move {
            tokio::time::sleep(LINGER).await;
            let mut state = inner.state();
            if state.own.get(&address).is_some_and(|own| own.table.is_idle())
                && let Some(own) = state.own.remove(&address)
            {
                tracing::info!("No longer listening at: http://{}", own.server.address());
            }
        });
    }
}

/// What a listener of its own answers with.
struct OwnSite {
    inner: Weak<Inner>,
    address: String,
}

#[async_trait]
impl Site for OwnSite {
    async fn answer(&self, request: Request) -> Response {
        let Some(inner) = self.inner.upgrade() else { return super::not_found() };
        let cors = inner.state().own.get(&self.address).map(|own| own.cors.clone()).unwrap_or_default();
        let headers = request.headers.clone();
        if let Some(response) = cors.preflight(&request) {
            return response;
        }
        let mut response = match Path::parse(&request.path) {
            Err(_) => super::bad_request(),
            Ok(None) => super::not_found(),
            Ok(Some(path)) => {
                inner.answer(Some(&self.address), &path, request).await.unwrap_or_else(super::not_found)
            }
        };
        cors.mark(&headers, &mut response);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::{HeaderMap, Method, StatusCode};
    use weir_core::http::Handler;

    struct Here;

    #[async_trait]
    impl Handler for Here {
        async fn handle(&self, _: Request) -> Response {
            Response::new(StatusCode::OK, "here")
        }
    }

    fn host() -> Host {
        Host::new(true, Box::new(|pattern, _| (pattern.text() == "/a/ready").then(|| "taken".into())))
    }

    fn request(path: &str) -> Request {
        Request {
            method: Method::GET,
            path: path.into(),
            variables: Vec::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            remote: None,
            caller: weir_core::http::Caller::default(),
            body: Bytes::new(),
        }
    }

    fn route(path: &str) -> Route {
        Route { path: path.into(), description: "text".into(), listener: None, handler: Arc::new(Here) }
    }

    async fn status(host: &Host, path: &str) -> Option<StatusCode> {
        let parsed = Path::parse(path).unwrap().unwrap();
        host.answer(&parsed, request(path)).await.map(|response| response.status)
    }

    #[tokio::test(start_paused = true)]
    async fn routes_are_below_the_id_and_literal() {
        let host = host();
        let _odd = host.serve("{x}", route("/post")).unwrap();
        let _resource = host.serve("", route("/bare")).unwrap();
        assert_eq!(status(&host, "/%7Bx%7D/post").await, Some(StatusCode::OK));
        assert_eq!(status(&host, "/y/post").await, None);
        assert_eq!(status(&host, "/post").await, None);
        assert_eq!(status(&host, "/bare").await, Some(StatusCode::OK));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_the_gap_of_a_replacement_waits() {
        let host = host();
        drop(host.serve("a", route("/post")).unwrap());
        assert_eq!(status(&host, "/a/post").await, Some(StatusCode::SERVICE_UNAVAILABLE));
        host.check("a", "/post").unwrap();
        let claims = host.claims("a");
        let waiting = tokio::spawn({
            let host = host.clone();
            async move { status(&host, "/a/post").await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        claims.start();
        let _served = host.serve("a", route("/post")).unwrap();
        assert_eq!(waiting.await.unwrap(), Some(StatusCode::OK));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_built_and_dropped_serves_no_paths() {
        let host = host();
        host.check("a", "/post").unwrap();
        drop(host.claims("a"));
        assert_eq!(status(&host, "/a/post").await, None);
    }

    #[test]
    fn control_paths_and_dots_are_refused_by_name() {
        let host = host();
        assert_eq!(host.check("a", "/ready").unwrap_err().message(), "taken");
        assert!(host.check("a", "/../b/post").unwrap_err().message().contains("/../b/post"));
        assert!(host.check("b", "/post").is_ok());
    }

    #[tokio::test]
    async fn an_address_of_its_own_is_shared_and_outlives_its_routes() {
        let host = host();
        host.run_listeners_on(Handle::current());
        let listener = Listener { address: "127.0.0.1:0".into(), ..Listener::default() };
        let first = host.serve("a", Route { listener: Some(listener.clone()), ..route("/one") }).unwrap();
        let address = host.0.state().own["127.0.0.1:0"].server.address();
        drop(first);
        let _second = host.serve("b", Route { listener: Some(listener), ..route("/two") }).unwrap();
        assert_eq!(host.0.state().own["127.0.0.1:0"].server.address(), address);
    }
}

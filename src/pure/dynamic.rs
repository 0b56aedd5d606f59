//! The REST interface of the `dynamic` input and output: members are listed, shown, put and removed by their ids.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};
use weir_bloblang::Value;
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    duration,
    error::Error,
    http::{Handler, Request, Response, Route, Served},
    kind::Kind,
    node::Node,
    workshop::{Shown, Workshop},
    yaml,
};

/// How long a member has to end what it has begun before it is stopped at once.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// How long it has then.
pub(crate) const LAST: Duration = Duration::from_secs(1);
/// How many members there may be.
const MAX_MEMBERS: usize = 4096;

/// What the paths act on.
#[async_trait]
pub(crate) trait Members: Send + Sync {
    /// Builds a member and starts it in place of the one of this id. Called once at a time, on the streams' runtime.
    async fn put(self: Arc<Self>, id: &str, node: Node) -> Result<(), String>;
    /// Stops the member of this id, if there is one.
    async fn remove(&self, id: &str) -> Result<(), Error>;
}

/// What is known of the members of one component, by id.
pub(crate) struct Register {
    kind: Kind,
    workshop: Arc<dyn Workshop>,
    entries: Mutex<BTreeMap<String, Entry>>,
    runtime: OnceLock<Handle>,
    changing: tokio::sync::Mutex<()>,
}

struct Entry {
    shown: Shown,
    /// As it was posted; posted again, nothing changes.
    posted: Option<Bytes>,
    /// When it was started; none once it has ended.
    since: Option<Instant>,
}

impl Register {
    pub(crate) fn new(kind: Kind, workshop: Arc<dyn Workshop>) -> Arc<Self> {
        let (entries, runtime, changing) = Default::default();
        Arc::new(Self { kind, workshop, entries, runtime, changing })
    }

    pub(crate) fn workshop(&self) -> &Arc<dyn Workshop> {
        &self.workshop
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a member's place is below the component.
    pub(crate) fn place(&self, id: &str) -> String {
        format!("dynamic.{}s.{id}", self.kind)
    }

    /// Where members run, once the component does.
    pub(crate) fn runtime(&self) -> &Handle {
        self.runtime.get_or_init(Handle::current)
    }

    /// Notes that a member was started.
    pub(crate) fn started(&self, id: &str, node: &Node) {
        let shown = self.workshop.shown(self.kind, node);
        let shown = shown.unwrap_or_else(|error| Shown { yaml: error.to_string(), json: "null".into() });
        let entry = Entry { shown, posted: None, since: Some(Instant::now()) };
        self.entries().insert(id.to_owned(), entry);
    }

    /// Notes that a member has ended by itself.
    pub(crate) fn ended(&self, id: &str) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.since = None;
        }
    }

    /// The component's routes, checked.
    pub(crate) fn routes(
        self: &Arc<Self>,
        prefix: &str,
        members: &Arc<dyn Members>,
        context: &dyn BuildContext,
    ) -> Result<Vec<Route>, BuildError> {
        let (kind, slash) = (self.kind, if prefix.starts_with('/') || prefix.is_empty() { "" } else { "/" });
        let base = format!("{slash}{}/{kind}s", prefix.trim_end_matches('/'));
        let environment = context.environment();
        let mut routes = Vec::with_capacity(3);
        for (ask, below, description) in [
            (Ask::List, "", format!("Lists the {kind}s of a dynamic {kind} with their uptimes and configs.")),
            (Ask::One, "/{id}", format!("Shows, puts and removes one {kind} of a dynamic {kind}.")),
            (Ask::Uptime, "/{id}/uptime", format!("Says how long one {kind} of a dynamic {kind} has run.")),
        ] {
            let path = format!("{base}{below}");
            environment.http.check(&environment.stream, &path)?;
            let rest = Rest { ask, register: Arc::clone(self), members: Arc::clone(members) };
            routes.push(Route { path, description, listener: None, handler: Arc::new(rest) });
        }
        Ok(routes)
    }

    /// Serves the routes from now on, for members that run on this runtime.
    pub(crate) fn serve(
        &self,
        routes: Vec<Route>,
        environment: &weir_core::context::Environment,
    ) -> Vec<Box<dyn Served>> {
        self.runtime();
        let serve = |route| match environment.http.serve(&environment.stream, route) {
            Ok(served) => Some(served),
            Err(error) => {
                tracing::error!("The members of a dynamic {} cannot be reached: {error}", self.kind);
                None
            }
        };
        routes.into_iter().filter_map(serve).collect()
    }

    fn list(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_json();
        let member = |(id, Entry { shown, since, .. }): (&String, &Entry)| {
            let (id, uptime, raw) = (quoted(id), quoted(&uptime(*since)), quoted(&shown.yaml));
            format!("{id}:{{\"uptime\":{uptime},\"config\":{},\"config_raw\":{raw}}}", shown.json)
        };
        let members: Vec<String> = self.entries().iter().map(member).collect();
        format!("{{{}}}", members.join(","))
    }

    async fn put(&self, members: Arc<dyn Members>, id: &str, body: Bytes) -> Result<(), String> {
        let _one_at_a_time = self.changing.lock().await;
        {
            let entries = self.entries();
            let known = entries.get(id);
            if known.is_some_and(|entry| entry.posted.as_ref() == Some(&body)) {
                return Ok(());
            }
            if known.is_none() && entries.len() >= MAX_MEMBERS {
                return Err(format!("there are {MAX_MEMBERS} {}s already: remove one first", self.kind));
            }
        }
        let text = std::str::from_utf8(&body).map_err(|error| error.to_string())?;
        let node = yaml::parse(text).map_err(|error| error.to_string())?;
        members.put(id, node).await?;
        if let Some(entry) = self.entries().get_mut(id) {
            entry.posted = Some(body);
        }
        Ok(())
    }

    async fn remove(&self, members: &dyn Members, id: &str) -> Result<(), String> {
        let _one_at_a_time = self.changing.lock().await;
        members.remove(id).await.map_err(|error| error.to_string())?;
        self.entries().remove(id);
        Ok(())
    }
}

/// What is wrong with a member's config, told as the reference does: where nothing of it was understood, by place.
pub(crate) fn refusal(error: &BuildError) -> String {
    match error.line() {
        Some(line) if error.path().is_empty() => format!("({line},1) {}", error.message()),
        _ => error.to_string(),
    }
}

fn uptime(since: Option<Instant>) -> String {
    since.map_or_else(|| "stopped".to_owned(), |since| duration::format(since.elapsed()))
}

/// Which of the paths.
#[derive(Clone, Copy)]
enum Ask {
    List,
    One,
    Uptime,
}

struct Rest {
    ask: Ask,
    register: Arc<Register>,
    members: Arc<dyn Members>,
}

fn ok(body: String, media: &'static str) -> Response {
    let mut response = Response::new(StatusCode::OK, body);
    response.headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Rest {
    /// Changes go on to their end even if whoever asked for them has gone.
    async fn change(&self, id: String, request: Request) -> Result<(), String> {
        let (register, members) = (Arc::clone(&self.register), Arc::clone(&self.members));
        let change = async move {
            match request.method {
                Method::POST => register.put(members, &id, request.body).await,
                Method::DELETE => register.remove(&*members, &id).await,
                other => Err(format!("verb not supported: {other}")),
            }
        };
        let ended = self.register.runtime().spawn(change).await;
        ended.unwrap_or_else(|error| Err(error.to_string()))
    }
}

#[async_trait]
impl Handler for Rest {
    async fn handle(&self, request: Request) -> Response {
        let register = &self.register;
        let id = request.variables.first().map(|(_, id)| id.clone()).unwrap_or_default();
        match self.ask {
            Ask::List => ok(register.list(), "application/json"),
            Ask::Uptime => {
                let known = register.entries().get(&id).map(|entry| uptime(entry.since));
                known.map_or_else(|| unknown(&id, "unknown"), |uptime| ok(uptime, TEXT))
            }
            Ask::One if request.method == Method::GET => {
                let known = register.entries().get(&id).map(|entry| entry.shown.yaml.clone());
                known.map_or_else(|| unknown(&id, "not active"), |yaml| ok(yaml, TEXT))
            }
            Ask::One => match self.change(id, request).await {
                Ok(()) => Response::new(StatusCode::OK, ""),
                Err(reason) => Response::error(StatusCode::BAD_GATEWAY, &format!("Error: {reason}")),
            },
        }
    }

    fn is_control(&self) -> bool {
        true
    }
}

fn unknown(id: &str, how: &str) -> Response {
    Response::error(StatusCode::NOT_FOUND, &format!("Dynamic component '{id}' is {how}"))
}

//! The Streams API and the service's own routes: one table says what there is, in the reference's order of checks.

#![allow(clippy::result_large_err, reason = "what is refused is an answer, made once a request")]

mod answer;
mod events;
mod openapi;
mod past;
mod plan;
mod query;
mod resources;
mod routes;
mod run;
mod scrub;
mod service;
mod status;
mod streams;
mod submit;
mod tap;
mod trial;
mod whole;
mod write;

pub(crate) use events::event;
pub(crate) use routes::reserved;
pub(crate) use service::{Debug, groups};
pub(crate) use submit::{Refusal, Text};

use crate::{
    flight::Flight,
    http::{Host, Site, auth::Guard, bad_request, cors, not_found, path::Path},
    runtime::{Lookup, Runtime},
    telemetry::{form::Form, renames::Renames},
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::StatusCode;
use routes::Endpoint;
use std::sync::Arc;
use weir_control::{record::Wanted, service::Service};
use weir_core::http::{Request, Response, Scope};
use weir_engine::Engine;

/// In what form metrics are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetricsForm {
    /// Prometheus' text.
    Prometheus,
    /// The reference's flat JSON.
    Json,
    /// Not at all.
    None,
}

/// What the service's config and flags say of the API.
pub(crate) struct Settings {
    /// A path under which everything is served as well, such as `/benthos`.
    pub(crate) root_path: String,
    /// Whether streams and resources can be read and changed.
    pub(crate) api: bool,
    /// Origins that may ask.
    pub(crate) cors: cors::Rules,
    /// Who may pass.
    pub(crate) guard: Guard,
    /// The form of `/metrics` and `/stats`.
    pub(crate) metrics: MetricsForm,
    /// What metrics are called.
    pub(crate) renames: Option<Arc<Renames>>,
    /// How they look as text.
    pub(crate) form: Arc<Form>,
    /// Whether the config asked for metrics, so that `/endpoints` lists them.
    pub(crate) metrics_listed: bool,
    /// The config for `/debug/config`, if it is served.
    pub(crate) debug: Option<Debug>,
}

/// Streams that are kept by the control plane.
#[derive(Clone)]
pub(crate) struct Streams {
    /// What should run, and keeping it so.
    pub(crate) service: Arc<Service>,
    /// Builds what is submitted.
    pub(crate) runtime: Runtime,
    /// Looks variables up.
    pub(crate) lookup: Lookup,
    /// What happened to each stream lately, if that is kept.
    pub(crate) flight: Option<Flight>,
    /// Whether messages may be looked at.
    pub(crate) tap: bool,
}

/// What the server serves.
pub(crate) enum Subject {
    /// Many streams.
    Streams(Streams),
    /// The one of `run`.
    Single(Arc<ArcSwap<weir_engine::View>>),
}

/// Everything that answers requests.
pub(crate) struct App {
    /// What streams share.
    pub(crate) engine: Arc<Engine>,
    /// Where components open their routes.
    pub(crate) host: Host,
    /// The streams.
    pub(crate) subject: Subject,
    /// Settings.
    pub(crate) settings: Settings,
    root: Vec<String>,
}

impl App {
    /// An app over these parts.
    pub(crate) fn new(engine: Arc<Engine>, host: Host, subject: Subject, settings: Settings) -> Self {
        let root = settings.root_path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        Self { engine, host, subject, settings, root }
    }

    /// The server's own route of a path, bare or under the root path, with its variables.
    fn own_route(&self, path: &Path) -> Option<(Endpoint, Vec<String>)> {
        let (endpoint, variables) =
            routes::find(path).filter(|(endpoint, _)| !endpoint.is_added() || !self.host.knows(path))?;
        let here = match (endpoint, &self.subject) {
            (Endpoint::StreamReady, Subject::Streams(streams)) => {
                variables.first().is_some_and(|id| streams.service.view(&routes::stream(id)).is_some())
            }
            (endpoint, _) => self.serves(endpoint),
        };
        here.then_some((endpoint, variables))
    }

    /// Whether a route is there at all, by the settings.
    fn serves(&self, endpoint: Endpoint) -> bool {
        let streams = matches!(self.subject, Subject::Streams(_));
        match endpoint {
            Endpoint::Metrics => self.settings.metrics != MetricsForm::None,
            Endpoint::DebugJson | Endpoint::DebugYaml => self.settings.debug.is_some(),
            Endpoint::StreamReady => streams,
            other if other.is_api() => self.settings.api && streams,
            _ => true,
        }
    }

    async fn route(&self, face: Face, path: &Path, request: &mut Option<Request>) -> Option<Response> {
        let own = self.own_route(path).filter(|(endpoint, _)| face.controls || !endpoint.is_control());
        let streams = face.streams && self.host.knows(path);
        if own.is_none() && !streams {
            return None;
        }
        let asked = request.as_mut()?;
        let needs = match &own {
            Some((endpoint, _)) => endpoint.scope(&asked.method),
            None => self.host.is_control(path).then_some(Scope::Write),
        };
        match self.settings.guard.admit(asked, needs, face.trusting).await {
            Ok(caller) => asked.caller = caller,
            Err(refused) => return Some(refused),
        }
        let Some((endpoint, variables)) = own else {
            return self.host.answer(path, request.take()?).await;
        };
        Some(self.own_answer(endpoint, &variables, request.take()?).await)
    }

    async fn own_answer(&self, endpoint: Endpoint, variables: &[String], request: Request) -> Response {
        let name = |index: usize| variables.get(index).map_or("", String::as_str);
        match (endpoint, &self.subject) {
            (Endpoint::Ping, _) => answer::text("pong"),
            (Endpoint::Livez, _) => either(service::alive(&self.subject, &request)),
            (Endpoint::Version, _) => service::version(),
            (Endpoint::Endpoints, _) => service::endpoints(self).await,
            (Endpoint::OpenApi, _) => either(openapi::document(&request, |endpoint| self.serves(endpoint))),
            (Endpoint::Ready, Subject::Streams(streams)) => service::ready(&streams.service),
            (Endpoint::Ready, Subject::Single(single)) => service::single_ready(&single.load()),
            (Endpoint::Metrics, _) => service::metrics(self),
            (Endpoint::DebugJson, _) => service::debug_json(self.settings.debug.as_ref()),
            (Endpoint::DebugYaml, _) => service::debug_yaml(self.settings.debug.as_ref()),
            (Endpoint::Streams, Subject::Streams(streams)) => streams.collection(&request).await,
            (Endpoint::Stream, Subject::Streams(streams)) => streams.stream(name(0), &request).await,
            (Endpoint::StreamStats, Subject::Streams(streams)) => {
                streams.stats(name(0), &request, self.settings.renames.as_deref())
            }
            (Endpoint::StreamReady, Subject::Streams(streams)) => streams.stream_ready(name(0)).await,
            (Endpoint::Resource, Subject::Streams(streams)) => {
                streams.resource(name(0), name(1), &request).await
            }
            (_, Subject::Single(_)) => not_found(),
            (added, Subject::Streams(streams)) => either(streams.added_answer(added, &name, &request).await),
        }
    }
}

impl Streams {
    /// Answers on the paths that the reference does not have.
    async fn added_answer<'a>(
        &self,
        endpoint: Endpoint,
        name: &(impl Fn(usize) -> &'a str + Sync),
        request: &Request,
    ) -> Result<Response, Response> {
        match endpoint {
            Endpoint::StreamStatus => self.status(name(0), request).await,
            Endpoint::StreamTap => self.tap(name(0), request),
            Endpoint::StreamPlan => self.trial(name(0), request).await,
            Endpoint::StreamHistory => self.history(name(0), request).await,
            Endpoint::StreamDiff => self.difference(name(0), request).await,
            Endpoint::StreamRollback => self.roll_back(name(0), request).await,
            Endpoint::StreamPause => self.run_state(name(0), ("PAUSE", Wanted::Paused, false), request).await,
            Endpoint::StreamResume => {
                self.run_state(name(0), ("RESUME", Wanted::Running, false), request).await
            }
            Endpoint::StreamRestart => {
                self.run_state(name(0), ("RESTART", Wanted::Running, true), request).await
            }
            Endpoint::StreamRevert => self.revert(name(0), request).await,
            Endpoint::Drift => self.drift(request).await,
            Endpoint::Plan => self.plan(request).await,
            Endpoint::Revisions => self.revisions(request).await,
            Endpoint::Revision => self.revision(name(0), request).await,
            Endpoint::RevisionRestore => self.restore(name(0), request).await,
            Endpoint::Events => self.events(request),
            Endpoint::Resources => self.resources(None, request).await,
            Endpoint::ResourcesOfType => self.resources(Some(name(0)), request).await,
            _ => Err(not_found()),
        }
    }
}

/// What was refused is answered like what was not.
fn either(answer: Result<Response, Response>) -> Response {
    answer.unwrap_or_else(|refused| refused)
}

/// What one listener serves of an app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face {
    /// What is about streams and resources.
    pub(crate) controls: bool,
    /// What streams serve.
    pub(crate) streams: bool,
    /// Whether everyone who gets here may do everything, unless names or tokens are asked for.
    pub(crate) trusting: bool,
}

/// An app as one listener shows it.
pub(crate) struct Shown {
    /// The app.
    pub(crate) app: Arc<App>,
    /// How it is shown.
    pub(crate) face: Face,
}

#[async_trait]
impl Site for Shown {
    fn refusal(&self, path: &str, status: StatusCode, text: &str) -> Response {
        let find = |path: &Path| self.app.own_route(path);
        let path = Path::parse(path).ok().flatten();
        let own = path.and_then(|path| find(&path).or_else(|| find(&path.below(&self.app.root)?)));
        match own {
            Some((endpoint, _)) if endpoint.is_added() => answer::refusal(status, text),
            _ => Response::error(status, text),
        }
    }

    async fn answer(&self, request: Request) -> Response {
        let app = &self.app;
        if let Some(preflight) = app.settings.cors.preflight(&request) {
            return preflight;
        }
        let headers = app.settings.cors.is_on().then(|| request.headers.clone());
        let mut response = match Path::parse(&request.path) {
            Err(_) => bad_request(),
            Ok(None) => not_found(),
            Ok(Some(path)) => {
                let mut request = Some(request);
                let mut response = app.route(self.face, &path, &mut request).await;
                if response.is_none()
                    && let Some(below) = path.below(&app.root)
                {
                    response = app.route(self.face, &below, &mut request).await;
                }
                response.unwrap_or_else(not_found)
            }
        };
        if let Some(headers) = headers {
            app.settings.cors.mark(&headers, &mut response);
        }
        response
    }
}

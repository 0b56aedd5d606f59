//! `weir run`: one stream, to its end.

use super::{
    Global,
    args::RunArgs,
    environment::Variables,
    source::{assignments, failed, read, report},
};
use crate::{
    api::{App, Face, Subject, reserved},
    http::{Host, Server, listener},
    resource_files::{self, Places},
    secrets::hold_all,
    serve::{own_tls, raise_limits, serve, settings, signal},
    telemetry::{
        export::Exporter,
        spans::Spans,
        start::{start, start_beside_data},
    },
    watch::changed,
};
use arc_swap::ArcSwap;
use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Duration};
use tokio::runtime::{Builder, Handle};
use weir_config::{
    LintOptions, Node,
    normalise::normalise,
    sections,
    service::{Http, ServiceConfig},
    set::set,
    stream::StreamConfig,
};
use weir_core::{pipe::Pipes, registry::Registry};
use weir_engine::{End, Engine, Resources, Stream};

/// How long answers under way may take when the stream has ended.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Runs the config's stream until it ends or a signal comes.
pub(super) fn run(global: &Global, args: &RunArgs, registry: Arc<Registry>) -> Result<ExitCode, String> {
    let path = match args.config.as_slice() {
        [] => None,
        [path] => Some(path.as_str()),
        _ => return Err("a maximum of one config must be specified with the run command".into()),
    };
    let variables = Variables::read(&global.env_file)?;
    let lookup = |name: &str| variables.get(name);
    let (node, lints) = read_config(&args.set, path, &registry, &lookup)?;
    let failed = |error: &dyn std::fmt::Display| failed(path.unwrap_or_default(), error);
    let stream = StreamConfig::read(&node, &registry).map_err(|error| failed(&error))?;
    let service = ServiceConfig::read(&node, &registry).map_err(|error| failed(&error))?;
    let _held = hold_all(&node, sections::CONFIG, &registry);
    // Data on stdout must stay apart from log lines.
    if stream.output.get("stdout").is_some() {
        start_beside_data(&service.logger, global.log_level.as_deref())?;
    } else {
        start(&service.logger, global.log_level.as_deref())?;
    }
    if let Some(path) = path {
        tracing::info!(path, "Running main config from specified file");
    }
    report(&lints, global.chilled)?;
    raise_limits();
    let threads = |error: std::io::Error| format!("threads cannot be started: {error}");
    let data =
        Builder::new_multi_thread().thread_name("weir-streams").enable_all().build().map_err(threads)?;
    let control = Builder::new_current_thread().enable_all().build().map_err(threads)?;
    let config = Config { node, stream, service };
    let started = Started { global, args, path, registry, lookup: &lookup };
    let ended = control.block_on(until_end(&started, &config, data.handle()));
    data.shutdown_timeout(Duration::from_millis(100));
    ended
}

/// The config as written, edits applied, and what is wrong with it.
fn read_config(
    set_by_user: &[String],
    path: Option<&str>,
    registry: &Registry,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Node, Vec<String>), String> {
    let name = path.unwrap_or_default();
    let mut source = read(path, lookup)?;
    weir_core::lint::read::check(&source.node, sections::CONFIG, registry)
        .map_err(|error| failed(name, &error))?;
    let mut lints: Vec<String> = source.missing.iter().map(|missing| format!("(1,1) {missing}")).collect();
    let found = source.lint(sections::CONFIG, registry, LintOptions::default(), false);
    lints.extend(found.iter().map(|lint| format!("{name}{lint}")));
    for assignment in assignments(set_by_user) {
        source.node = set(&source.node, assignment, sections::CONFIG, registry)
            .map_err(|error| failed(name, &format!("failed to set config field override: {error}")))?;
    }
    Ok((source.node, lints))
}

/// A config as written, and what was read from it.
struct Config {
    node: Node,
    stream: StreamConfig,
    service: ServiceConfig,
}

/// What the command was started with.
struct Started<'a> {
    global: &'a Global,
    args: &'a RunArgs,
    path: Option<&'a str>,
    registry: Arc<Registry>,
    lookup: &'a dyn Fn(&str) -> Option<String>,
}

impl Started<'_> {
    fn install_resources(
        &self,
        service: &ServiceConfig,
        engine: &Engine,
        data: &Handle,
    ) -> Result<(), String> {
        // What is replaced is closed where its streams run.
        let _entered = data.enter();
        let files = &self.args.extra.resources;
        resource_files::install(&service.resources, files, engine, self.lookup, self.global.chilled)
    }

    /// The stream of the config as it is written now.
    fn read_again(&self, engine: &Engine, data: &Handle) -> Result<Stream, String> {
        let (node, lints) = read_config(&self.args.set, self.path, &self.registry, self.lookup)?;
        report(&lints, self.global.chilled)?;
        let failed = |error: &dyn std::fmt::Display| failed(self.path.unwrap_or_default(), error);
        let stream = StreamConfig::read(&node, &self.registry).map_err(|error| failed(&error))?;
        let service = ServiceConfig::read(&node, &self.registry).map_err(|error| failed(&error))?;
        self.install_resources(&service, engine, data)?;
        build(engine, &stream, data)
    }

    /// The files that are watched.
    fn places(&self) -> Arc<Places> {
        let config = self.path.map(str::to_owned).into_iter();
        Arc::new(Places::new(config.chain(self.args.extra.resources.iter().cloned()).collect()))
    }
}

fn build(engine: &Engine, config: &StreamConfig, data: &Handle) -> Result<Stream, String> {
    let _entered = data.enter();
    engine.build("", config, &HashMap::new()).map_err(|error| error.to_string())
}

async fn until_end(
    started: &Started<'_>,
    Config { node, stream, service }: &Config,
    data: &Handle,
) -> Result<ExitCode, String> {
    let (mut spans, tracer) = Spans::new(&service.tracer, &started.registry)?;
    let host = Host::new(false, Box::new(reserved));
    host.run_listeners_on(data.clone());
    let engine = Arc::new(Engine {
        registry: Arc::clone(&started.registry),
        resources: Resources::default(),
        pipes: Arc::new(Pipes::default()),
        http: Arc::new(host.clone()),
        strict: service.strict,
        tracer,
    });
    let (places, mut taken) = (started.places(), started.places().find().facts);
    started.install_resources(service, &engine, data)?;
    let built = build(&engine, stream, data).map_err(|error| format!("service closing due to: {error}"))?;
    let mut claims = host.claims("");
    let view = Arc::new(ArcSwap::from_pointee(built.view().clone()));
    let shown = normalise(node, sections::SERVICE, &started.registry).map_err(|error| error.to_string())?;
    let settings = settings(service, node, &shown, false, &started.registry, None)?;
    let mut exporter = Exporter::new(&service.metrics, &started.registry)?;
    let subject = Subject::Single(Arc::clone(&view));
    let app = Arc::new(App::new(Arc::clone(&engine), host.clone(), subject, settings));
    let server = if service.http.enabled { http(&app, &service.http) } else { None };
    let mut running = built.start(data);
    let timeout = service.shutdown_timeout.0;
    let end = loop {
        tokio::select! {
            end = running.wait() => break end,
            () = exporter.keep(&app) => {}
            () = spans.keep() => {}
            signal = signal() => {
                tracing::info!("Received {}, the service is closing", signal?);
                tokio::select! {
                    () = tokio::time::sleep(service.shutdown_delay.0) => {}
                    () = signal_again() => {}
                }
                break running.stop(timeout).await;
            }
            () = changed(&places, &mut taken), if started.args.watcher => {
                match started.read_again(&engine, data) {
                    // A bad edit changes nothing.
                    Err(error) => tracing::error!("The changed config is refused: {error}"),
                    Ok(next) => {
                        tracing::info!("The config has changed: its stream is replaced");
                        let next_claims = host.claims("");
                        running.stop(timeout).await;
                        view.store(Arc::new(next.view().clone()));
                        next_claims.start();
                        claims = host.claims("");
                        running = next.start(data);
                    }
                }
            }
        }
    };
    exporter.end(&app).await;
    spans.end().await;
    drop(claims);
    if let Some(server) = server {
        server.stop(LAST_ANSWERS).await;
    }
    match end {
        End::Failed(reason) => Err(format!("service closing due to: {reason}")),
        End::Completed | End::Stopped => {
            tracing::info!("Pipeline has terminated. Shutting down the service");
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn signal_again() {
    drop(signal().await);
}

/// The service's own HTTP server: without it the stream runs all the same.
fn http(app: &Arc<App>, config: &Http) -> Option<Server> {
    let served = own_tls(config).and_then(|tls| {
        let socket = listener::bind(&config.address, false).map_err(|error| error.to_string())?;
        let face = Face { controls: true, streams: true, trusting: false };
        serve(Arc::clone(app), face, socket, tls, &Handle::current())
    });
    served.map_err(|error| tracing::error!("HTTP server error: {error}")).ok()
}

//! Streams mode from its parts: the store is opened, what is desired is taken over, requests are answered until a
//! signal comes.

use crate::{
    api::{App, Debug, Face, MetricsForm, Settings, Shown, Streams, Subject, reserved},
    deaths::Watch,
    files::Sources,
    flight::Flight,
    http::{Host, Limits, Server, auth, cors, listener},
    resource_files::{Own, ResourceFiles},
    runtime::{Lookup, Runtime},
    systemd::{self, READY, STOPPING},
    telemetry::{export::Exporter, form::Form, renames::Renames, spans::Spans},
    watch::{StreamFiles, watch as watch_files},
};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_rustls::rustls;
use weir_config::{
    Node,
    service::{Http, Resources, ServiceConfig},
};
use weir_control::{
    Options,
    record::Retention,
    service::Service,
    store::{
        committer::{Committer, Loaded},
        disk::{Disk, SystemDisk},
        folder,
    },
};
use weir_core::{pipe::Pipes, registry::Registry};
use weir_engine::Engine;

/// How long threads for large bodies and builds stay without work. The allocator gives freed memory back when a thread
/// ends, but only what has been free for a second.
const SPARE_THREADS: Duration = Duration::from_millis(1300);
/// How long answers under way may take when the server stops.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// What streams mode is made of.
pub(crate) struct Parts {
    /// Every component there is.
    pub(crate) registry: Arc<Registry>,
    /// The service's config.
    pub(crate) config: ServiceConfig,
    /// The same as written: tells what was set at all.
    pub(crate) written: Node,
    /// The same with its variables unexpanded.
    pub(crate) bare: Node,
    /// Where it was written.
    pub(crate) config_path: Option<String>,
    /// The same with its defaults and without secrets, for `/debug/config`.
    pub(crate) shown: Node,
    /// Files with resources, globs allowed.
    pub(crate) resource_files: Vec<String>,
    /// Stream files, folders of them, and globs.
    pub(crate) paths: Vec<String>,
    /// Whether files with lint errors are taken.
    pub(crate) chilled: bool,
    /// Whether files are watched.
    pub(crate) watch: bool,
    /// How long new generations are on probation.
    pub(crate) probation: Duration,
    /// How often in a row a stream is started again after a failure.
    pub(crate) max_restarts: Option<u32>,
    /// Whether messages of streams may be looked at.
    pub(crate) tap: bool,
    /// Whether the API changes streams of files only for a time and with a reason.
    pub(crate) strict_files: bool,
    /// How much of the past is kept.
    pub(crate) retention: Retention,
    /// Whether streams that the process dies of are kept from running.
    pub(crate) quarantine: bool,
    /// Whether the control routes are served.
    pub(crate) api: bool,
    /// Whether the paths of streams begin with their ids.
    pub(crate) prefix: bool,
    /// The state folder; `None` keeps nothing.
    pub(crate) state: Option<PathBuf>,
    /// Looks variables up.
    pub(crate) lookup: Lookup,
    /// Who may reach the control routes.
    pub(crate) access: Access,
}

/// Who may reach the control routes, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// A file of tokens beside those of `http.auth`.
    pub(crate) auth_file: Option<String>,
    /// An address of their own.
    pub(crate) control_address: Option<String>,
    /// Whether everyone may, from anywhere, unless names or tokens are asked for.
    pub(crate) insecure: bool,
}

/// Binds every address that is asked for, with what is served there.
fn listeners(http: &Http, access: &Access) -> Result<Vec<(TcpListener, Face)>, String> {
    let (own, apart) = (http.enabled.then_some(&http.address), access.control_address.as_ref());
    let wanted = [(own, apart.is_none(), true), (apart, true, false)];
    let wanted =
        wanted.into_iter().filter_map(|(address, controls, streams)| Some((address?, controls, streams)));
    let bound = wanted.map(|(address, controls, streams)| {
        let socket = listener::bind(address, false).map_err(|error| error.to_string())?;
        let loopback = socket.local_addr().is_ok_and(|address| address.ip().is_loopback());
        Ok((socket, Face { controls, streams, trusting: loopback || access.insecure }))
    });
    bound.collect()
}

/// The settings of the API that a config stands for.
pub(crate) fn settings(
    config: &ServiceConfig,
    written: &Node,
    shown: &Node,
    api: bool,
    registry: &Registry,
    auth_file: Option<&str>,
) -> Result<Settings, String> {
    let http = &config.http;
    let basic = &http.basic_auth;
    let basic = if basic.enabled {
        Some(auth::BasicAuth::new(&auth::BasicSettings {
            realm: basic.realm.clone(),
            username: basic.username.clone(),
            password_hash: basic.password_hash.clone(),
            algorithm: basic.algorithm.clone(),
            salt: basic.salt.clone(),
        })?)
    } else {
        None
    };
    let tokens = (auth_file.is_some() || !http.auth.is_empty())
        .then(|| auth::Tokens::new(&http.auth, auth_file))
        .transpose()?;
    let metrics = match config.metrics.entries().map(|(name, _)| name).find(|name| *name != "mapping") {
        Some("json_api") => MetricsForm::Json,
        Some("none" | "logger" | "statsd" | "influxdb") => MetricsForm::None,
        _ => MetricsForm::Prometheus,
    };
    let mapping = config.metrics.get("mapping").and_then(Node::as_str).unwrap_or_default();
    Ok(Settings {
        form: Arc::new(Form::new(&config.metrics, registry)?),
        renames: Renames::new(mapping)?.map(Arc::new),
        root_path: http.root_path.clone(),
        api,
        cors: cors::Rules::new(http.cors.enabled, &http.cors.allowed_origins)?,
        guard: auth::Guard::new(basic, tokens),
        metrics,
        metrics_listed: written.get("metrics").is_some(),
        debug: http.debug_endpoints.then(|| Debug(shown.clone())),
    })
}

/// The TLS of the service's own listener, if it is configured; its certificates are read again when they change.
pub(crate) fn own_tls(http: &Http) -> Result<Option<Arc<rustls::ServerConfig>>, String> {
    match (http.cert_file.as_str(), http.key_file.as_str()) {
        ("", "") if !http.client_ca_file.is_empty() => {
            Err("http.client_ca_file takes http.cert_file and http.key_file".into())
        }
        ("", "") => Ok(None),
        (certificate, key) if certificate.is_empty() || key.is_empty() => {
            Err("http.cert_file and http.key_file must be set together, or not at all".into())
        }
        (certificate, key) => {
            let clients = Some(http.client_ca_file.as_str()).filter(|path| !path.is_empty());
            let tls = weir_io::tls::http_server(certificate, key, clients);
            tls.map(Some).map_err(|error| format!("http.{error}"))
        }
    }
}

/// A listener for an app; its real address is logged.
pub(crate) fn serve(
    app: Arc<App>,
    face: Face,
    socket: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    runtime: &Handle,
) -> Result<Server, String> {
    let scheme = if tls.is_some() { "https" } else { "http" };
    let server = Server::start(socket, Arc::new(Shown { app, face }), Limits::default(), tls, runtime)
        .map_err(|error| format!("the HTTP server cannot start: {error}"))?;
    let what = if face.streams { "HTTP" } else { "control" };
    tracing::info!("Listening for {what} requests at: {scheme}://{}", server.address());
    Ok(server)
}

/// Threads of the streams: more than processors, so that a few mappings that spin on all of these leave the others
/// their share.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from) * 3
}

/// Opens the state folder; blocks.
fn open(state: Option<&Path>, retention: Retention) -> Result<(Committer, Loaded), String> {
    let opened = if let Some(path) = state {
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        folder::open(path, &disk).map_err(|error| error.to_string())?
    } else {
        tracing::warn!("Nothing is kept: streams and resources made over the API are gone after a restart");
        folder::Opened::in_memory()
    };
    for condition in &opened.conditions {
        tracing::warn!("{}: {}", condition.kind, condition.message);
    }
    Committer::keeping(opened, retention).map_err(|error| format!("the committer cannot start: {error}"))
}

/// Lets this process open as many files as the system grants: ten thousand streams need more than the usual 1,024.
pub(crate) fn raise_limits() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => tracing::debug!(files, "Raised the limit of open files"),
        Err(error) => tracing::warn!("The limit of open files cannot be raised: {error}"),
    }
}

/// Runs streams mode until a signal comes. The streams run on threads of their own; everything else on this one.
pub(crate) fn run(parts: &Parts) -> Result<(), String> {
    let files = StreamFiles::new(Sources::new(&parts.paths)?, parts.chilled);
    let own = Own {
        resources: parts.config.resources.clone(),
        bare: Resources::read(&parts.bare),
        path: parts.config_path.clone().unwrap_or_else(|| "the service config".into()),
    };
    let resources = ResourceFiles::new(own, &parts.resource_files, parts.chilled)?;
    let auth_file = parts.access.auth_file.as_deref();
    let settings =
        settings(&parts.config, &parts.written, &parts.shown, parts.api, &parts.registry, auth_file)?;
    let tls = own_tls(&parts.config.http)?;
    let sockets = listeners(&parts.config.http, &parts.access)?;
    raise_limits();
    let threads = |error: std::io::Error| format!("threads cannot be started: {error}");
    let data = tokio::runtime::Builder::new_multi_thread()
        .thread_name("weir-streams")
        .worker_threads(workers())
        .enable_all()
        .build()
        .map_err(threads)?;
    let control = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // What a thread that parsed and built keeps in reserve goes back with it.
        .thread_keep_alive(SPARE_THREADS)
        .build()
        .map_err(threads)?;
    let (committer, loaded) = open(parts.state.as_deref(), parts.retention)?;
    let ended = control.block_on(until_signal(
        parts,
        settings,
        (sockets, tls),
        (resources, files),
        data.handle(),
        &committer,
        loaded,
    ));
    committer.close();
    data.shutdown_timeout(Duration::from_secs(1));
    ended
}

async fn until_signal(
    parts: &Parts,
    settings: Settings,
    (sockets, tls): (Vec<(TcpListener, Face)>, Option<Arc<rustls::ServerConfig>>),
    (mut resources, mut files): (ResourceFiles, StreamFiles),
    data: &Handle,
    committer: &Committer,
    loaded: Loaded,
) -> Result<(), String> {
    let mut exporter = Exporter::new(&parts.config.metrics, &parts.registry)?;
    let (mut spans, tracer) = Spans::new(&parts.config.tracer, &parts.registry)?;
    let host = Host::new(parts.prefix, Box::new(reserved));
    host.run_listeners_on(data.clone());
    let engine = Arc::new(Engine {
        registry: Arc::clone(&parts.registry),
        resources: weir_engine::Resources::default(),
        pipes: Arc::new(Pipes::default()),
        http: Arc::new(host.clone()),
        strict: parts.config.strict,
        tracer,
    });
    let mut watch = parts.state.as_deref().filter(|_| parts.quarantine).and_then(|state| {
        let watch =
            Watch::begin(state).map_err(|error| tracing::warn!("No stream can be quarantined: {error}"));
        watch.ok()
    });
    let marks = watch.as_ref().map(|watch| Arc::clone(&watch.marks));
    let runtime =
        Runtime::new(Arc::clone(&engine), host.clone(), Arc::clone(&parts.lookup), data.clone(), marks);
    let timeout = parts.config.shutdown_timeout.0;
    let options = Options {
        stop_timeout: timeout,
        probation: parts.probation,
        max_restarts: parts.max_restarts,
        strict_files: parts.strict_files,
        ..Options::default()
    };
    let service = Arc::new(Service::new(Arc::new(runtime.clone()), committer.commits(), loaded, options));
    let flight = parts.state.as_deref().map(Flight::new);
    if let Some(flight) = flight.clone() {
        tokio::spawn(flight.keep(service.events()));
    }
    let streams = Streams {
        service: Arc::clone(&service),
        runtime,
        lookup: Arc::clone(&parts.lookup),
        flight,
        tap: parts.tap,
    };
    if let Some(watch) = &mut watch {
        watch.judge(&service).await.unwrap_or_else(|error| tracing::error!("{error}"));
    }
    service.boot_resources().await;
    // What cannot be stored is tried again when files are watched; what was stored runs in any case.
    for taken in [resources.take_all(&streams).await, files.take_all(&streams).await] {
        taken.unwrap_or_else(|error| tracing::error!("{error}"));
    }
    service.boot_streams();
    let watched = streams.clone();
    let app = Arc::new(App::new(engine, host, Subject::Streams(streams), settings));
    let servers = sockets
        .into_iter()
        .map(|(socket, face)| serve(Arc::clone(&app), face, socket, tls.clone(), &Handle::current()));
    let servers: Vec<Server> = servers.collect::<Result<_, _>>()?;
    let kept = Arc::clone(&service);
    tokio::spawn(async move { kept.end_overrides().await });
    let watching = async {
        if parts.watch {
            watch_files(&watched, resources, files).await;
        }
        std::future::pending::<()>().await;
    };
    systemd::tell(READY);
    tokio::select! {
        () = watching => {}
        () = exporter.keep(&app) => {}
        () = spans.keep() => {}
        () = systemd::live() => {}
        signal = signal() => tracing::info!("Received {}, the service is closing", signal?),
    }
    systemd::tell(STOPPING);
    if let Some(watch) = &watch {
        watch.stopping();
    }
    let delay = parts.config.shutdown_delay.0;
    if !delay.is_zero() {
        // A second signal cuts the wait short.
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            _ = signal() => {}
        }
    }
    tokio::select! {
        () = service.shutdown(timeout) => {}
        // Whoever asks twice has seen enough: what is in flight comes again after the next start.
        signal = signal() => {
            tracing::warn!("Received {} again, the service ends at once", signal?);
            return Ok(());
        }
    }
    exporter.end(&app).await;
    spans.end().await;
    for server in servers {
        server.stop(LAST_ANSWERS).await;
    }
    if let Some(watch) = watch {
        watch.end();
    }
    Ok(())
}

/// Waits for a signal to end.
pub(crate) async fn signal() -> Result<&'static str, String> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|error| format!("signals cannot be waited for: {error}"));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
    }
}

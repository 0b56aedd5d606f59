//! The engine as the control plane sees it: records are built, what is built is started, what runs is stopped.

use crate::{
    http::{Host, host::Claims},
    secrets::{self, Held},
};
use async_trait::async_trait;
use std::{
    any::Any,
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::runtime::Handle;
use weir_config::{
    Node, environment,
    normalise::Form,
    sections,
    stream::{OnBreach, StreamConfig},
};
use weir_control::{
    record::{Desired, Key, Kind as RecordKind, Owner},
    runtime::{BuildFailure, Builder, Changes, Counters, Ended, Expect, Link, Prepared, Running, Start},
    status::LastError,
};
use weir_core::{
    checkpoint::{self, Checkpoint},
    kind::Kind,
    metrics::{self, Metrics},
    status::{self, Connection},
    view::Uses,
};
use weir_engine::{
    BuiltResource, End, Engine, Stream, View,
    marks::{Mark, Marks},
    taps::Taps,
};

/// Looks variables up: the environment, and what files put over it.
pub(crate) type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Builds streams and resources with one engine, and starts them on one runtime.
#[derive(Clone)]
pub(crate) struct Runtime(Arc<Inner>);

struct Inner {
    engine: Arc<Engine>,
    host: Host,
    lookup: Lookup,
    /// Where the streams run: never where the API answers.
    data: Handle,
    /// Where threads say for which stream they work.
    marks: Option<Arc<Marks>>,
    /// Which start of a resource holds its label.
    holders: Mutex<HashMap<(Kind, String), u64>>,
    starts: Mutex<u64>,
}

impl Runtime {
    /// A runtime for `engine`, whose components open their routes at `host`.
    pub(crate) fn new(
        engine: Arc<Engine>,
        host: Host,
        lookup: Lookup,
        data: Handle,
        marks: Option<Arc<Marks>>,
    ) -> Self {
        let (holders, starts) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Inner { engine, host, lookup, data, marks, holders, starts }))
    }

    /// The engine.
    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Where the streams run.
    pub(crate) fn data(&self) -> &Handle {
        &self.0.data
    }

    /// Builds a stream from its text as parsed, variables expanded.
    pub(crate) fn stream(&self, id: &str, node: &Node) -> Result<Box<dyn Prepared>, BuildFailure> {
        self.generation(id, 0, node)
    }

    fn mark(&self, id: &str, generation: u64) -> Option<Mark> {
        self.0.marks.as_ref().map(|marks| marks.of(id, generation))
    }

    fn generation(&self, id: &str, generation: u64, node: &Node) -> Result<Box<dyn Prepared>, BuildFailure> {
        let registry = &self.0.engine.registry;
        let config =
            StreamConfig::read(node, registry).map_err(|error| BuildFailure::new(error.to_string()))?;
        let form = Form::Sections(sections::STREAM_FILE);
        let held = secrets::hold(node, form, registry);
        let (stream, claims) = self.build((id, generation), &config, &HashMap::new())?;
        Ok(Box::new(PreparedStream {
            runtime: self.clone(),
            id: id.to_owned(),
            config,
            stream,
            claims,
            held,
        }))
    }

    fn build(
        &self,
        (id, generation): (&str, u64),
        config: &StreamConfig,
        stored: &HashMap<String, Arc<str>>,
    ) -> Result<(Stream, Claims), BuildFailure> {
        let assemble = || self.0.engine.build(id, config, stored);
        let built = match self.mark(id, generation) {
            Some(mark) => mark.cover("build", assemble),
            None => assemble(),
        };
        // Taken whatever came of it: what was not built serves no paths.
        let claims = self.0.host.claims(id);
        built
            .map(|stream| (stream, claims))
            .map_err(|error| BuildFailure::new(secrets::hide(error.to_string())))
    }

    /// Builds a resource from its text as parsed, variables expanded. Its node's label is what errors, statuses and
    /// metrics call it.
    pub(crate) fn resource(
        &self,
        kind: Kind,
        id: &str,
        node: &Node,
    ) -> Result<Box<dyn Prepared>, BuildFailure> {
        let held = secrets::hold(node, Form::Component(kind), &self.0.engine.registry);
        let built = self.0.engine.build_resource(kind, id, node);
        drop(self.0.host.claims(""));
        let built = built.map_err(|error| BuildFailure::new(secrets::hide(error.to_string())))?;
        Ok(Box::new(PreparedResource { runtime: self.clone(), kind, id: id.to_owned(), built, held }))
    }
}

impl Builder for Runtime {
    fn build(&self, desired: &Desired) -> Result<Box<dyn Prepared>, BuildFailure> {
        let expanded = environment::expand(&desired.text, &*self.0.lookup)
            .map_err(|error| BuildFailure::new(error.to_string()))?;
        if let (Some(complaint), false) = (expanded.complaint(), desired.chilled) {
            return Err(BuildFailure::new(complaint));
        }
        let node =
            weir_core::yaml::parse(&expanded.text).map_err(|error| BuildFailure::new(error.to_string()))?;
        match component_kind(desired.kind) {
            None => self.generation(&desired.id, desired.generation, &node),
            Some(kind) => {
                let node = match desired.owner {
                    Owner::Api => unlabelled(&node),
                    Owner::File { .. } => node.with("label", Node::string(&*desired.id)),
                };
                self.resource(kind, &desired.id, &node)
            }
        }
    }

    fn changes(&self) -> Option<Changes> {
        Some(Changes {
            connections: status::changes(),
            checkpoints: checkpoint::changes(),
            faults: metrics::faults(),
        })
    }
}

/// A resource of the API goes by no label, as in the reference; it is known by its path.
pub(crate) fn unlabelled(node: &Node) -> Node {
    node.without("label")
}

/// The kind of component that a resource's record is about; `None` for a stream.
pub(crate) fn component_kind(kind: RecordKind) -> Option<Kind> {
    match kind {
        RecordKind::Stream => None,
        RecordKind::Cache => Some(Kind::Cache),
        RecordKind::RateLimit => Some(Kind::RateLimit),
        RecordKind::Processor => Some(Kind::Processor),
        RecordKind::Input => Some(Kind::Input),
        RecordKind::Output => Some(Kind::Output),
    }
}

/// The keys of resources that are used, each once.
fn keys(uses: &Uses) -> Vec<Key> {
    let key = |one: &Arc<(Kind, String)>| Some(Key::new(RecordKind::parse(one.0.name())?, one.1.as_str()));
    let keys: BTreeSet<Key> = uses.all().iter().filter_map(key).collect();
    keys.into_iter().collect()
}

struct PreparedStream {
    runtime: Runtime,
    id: String,
    config: StreamConfig,
    stream: Stream,
    claims: Claims,
    held: Option<Held>,
}

#[async_trait]
impl Prepared for PreparedStream {
    fn uses(&self) -> Vec<Key> {
        keys(&self.stream.view().uses)
    }

    async fn start(self: Box<Self>, start: Start) -> Result<Box<dyn Running>, String> {
        let Self { runtime, id, config, mut stream, mut claims, held } = *self;
        // Positions are read while a component is built, and they may be newer than this build.
        if !start.checkpoints.is_empty() && !stream.view().checkpoints.is_empty() {
            let (again, id, config, generation) =
                (runtime.clone(), id.clone(), config.clone(), start.generation);
            let built = tokio::task::spawn_blocking(move || {
                again.build((&id, generation), &config, &start.checkpoints)
            })
            .await;
            (stream, claims) =
                built.map_err(|error| error.to_string())?.map_err(|failure| failure.message)?;
        }
        claims.start();
        let stream = stream.marked(runtime.mark(&id, start.generation));
        let expect = config.expect.map(|expect| Expect {
            output_every: expect.output_every.0,
            restart: expect.on_breach == OnBreach::Restart,
        });
        let running = Arc::new(stream.start(&runtime.0.data));
        let ended = Arc::clone(&running);
        runtime.0.data.spawn(async move {
            start.end.end(match ended.wait().await {
                End::Completed => Ended::Completed,
                End::Stopped => Ended::Stopped,
                End::Failed(reason) => Ended::Failed(secrets::hide(reason)),
            });
        });
        Ok(Box::new(RunningStream(running, expect, held)))
    }
}

/// A stream that runs, or ran last.
///
/// It holds its config's secrets, so that they stay known as long as something may be said of it.
pub(crate) struct RunningStream(
    Arc<weir_engine::Running>,
    Option<Expect>,
    #[expect(dead_code, reason = "held")] Option<Held>,
);

impl RunningStream {
    /// What can be seen of it.
    pub(crate) fn view(&self) -> &View {
        self.0.view()
    }

    /// Where its messages can be looked at.
    pub(crate) fn taps(&self) -> &Taps {
        self.0.taps()
    }

    /// How long it has run, or did run.
    pub(crate) fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    /// Whether it is over.
    pub(crate) fn is_ended(&self) -> bool {
        self.0.ended().is_some()
    }

    /// The stream behind what the control plane knows, if it is one.
    pub(crate) fn of(running: &Arc<dyn Running>) -> Option<&Self> {
        let running: &dyn Any = &**running;
        running.downcast_ref()
    }
}

/// What the engine says of a connection whose component was closed, and of one that came to its end.
pub(crate) const TERMINATED: &str = "stream terminated";
const CLOSED: &str = "type was closed";

/// Whether a component has ended while the rest of its stream goes on, such as one input of a broker.
pub(crate) fn is_over(connection: &Connection) -> bool {
    !connection.is_up() && connection.error().is_some_and(|error| error == TERMINATED || error == CLOSED)
}

fn link(connection: &Arc<Connection>) -> Link {
    let path = &connection.component.path;
    Link {
        path: path.strip_prefix("root.").unwrap_or(path).to_owned(),
        label: connection.component.label.clone(),
        connected: connection.is_up(),
        error: connection.error().map(secrets::hide),
        since: connection.since(),
        failures: connection.failures(),
        over: is_over(connection),
    }
}

#[async_trait]
impl Running for RunningStream {
    fn links(&self) -> Vec<Link> {
        self.view().connections().iter().map(link).collect()
    }

    fn down(&self) -> Vec<Link> {
        self.view().connections().iter().filter(|one| !one.is_up()).map(link).collect()
    }

    fn uses(&self) -> Vec<Key> {
        keys(&self.view().uses)
    }

    fn expect(&self) -> Option<Expect> {
        self.1
    }

    fn oldest(&self) -> Option<Duration> {
        self.view().inputs.all().iter().filter_map(|input| input.oldest()).max()
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for series in self.view().metrics.all() {
            for (index, (name, _)) in series.family.counters.iter().enumerate() {
                let sum = match *name {
                    "input_received" => &mut counters.received,
                    "output_sent" => &mut counters.sent,
                    "processor_error" | "output_error" => &mut counters.errors,
                    "output_rejected" => &mut counters.rejected,
                    _ => continue,
                };
                *sum += series.count(index);
            }
        }
        counters
    }

    fn fault(&self) -> Option<LastError> {
        let all = self.view().metrics.all();
        let faults = all.iter().filter_map(|series| Some((series.last_fault()?, &series.component.path)));
        let (fault, path) = faults.max_by_key(|(fault, _)| fault.time)?;
        Some(LastError {
            time: fault.time,
            path: Some(path.strip_prefix("root.").unwrap_or(path).to_owned()),
            message: secrets::hide(fault.message),
            count: u32::try_from(fault.count).unwrap_or(u32::MAX),
        })
    }

    fn take_checkpoints(&self) -> Vec<(String, Arc<str>)> {
        let changed = |entry: &Arc<(String, Checkpoint)>| Some((entry.0.clone(), entry.1.take_changed()?));
        self.view().checkpoints.all().iter().filter_map(changed).collect()
    }

    async fn sync(&self) -> Result<(), String> {
        self.0.sync().await.map_err(|error| error.to_string())
    }

    async fn stop(&self, timeout: Duration) {
        self.0.stop(timeout).await;
    }
}

struct PreparedResource {
    runtime: Runtime,
    kind: Kind,
    id: String,
    built: BuiltResource,
    held: Option<Held>,
}

#[async_trait]
impl Prepared for PreparedResource {
    fn uses(&self) -> Vec<Key> {
        keys(&self.built.uses())
    }

    async fn start(self: Box<Self>, _: Start) -> Result<Box<dyn Running>, String> {
        let Self { runtime, kind, id, built, held } = *self;
        let uses = built.uses();
        let number = {
            let mut starts = runtime.0.starts.lock().unwrap_or_else(PoisonError::into_inner);
            *starts += 1;
            *starts
        };
        {
            let mut holders = runtime.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
            holders.insert((kind, id.clone()), number);
            // What it replaces may have to be closed, where its streams run.
            let _entered = runtime.0.data.enter();
            runtime.0.engine.install_resource(built);
        }
        Ok(Box::new(RunningResource { runtime, kind, id, number, uses, _held: held }))
    }
}

/// A resource that holds its label, or held it.
struct RunningResource {
    runtime: Runtime,
    kind: Kind,
    id: String,
    number: u64,
    uses: Arc<Uses>,
    _held: Option<Held>,
}

#[async_trait]
impl Running for RunningResource {
    fn uses(&self) -> Vec<Key> {
        keys(&self.uses)
    }

    async fn stop(&self, _: Duration) {
        let key = (self.kind, self.id.clone());
        let mut holders = self.runtime.0.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if holders.get(&key) == Some(&self.number) {
            holders.remove(&key);
            let _entered = self.runtime.0.data.enter();
            self.runtime.0.engine.remove_resource(self.kind, &self.id);
        }
    }
}

/// What is counted of a stream; of one that never ran, nothing.
pub(crate) fn metrics(running: Option<&Arc<dyn Running>>) -> Option<Arc<Metrics>> {
    running.and_then(RunningStream::of).map(|stream| Arc::clone(&stream.view().metrics))
}

//! From configuration nodes to assembled components.

use crate::{
    batching::{BatchedInput, BatchedOutput},
    buffered::CountedBuffer,
    chain::{Chain, Step},
    families,
    leaf_input::LeafInput,
    leaf_output::LeafOutput,
    processed::{ProcessedInput, ProcessedOutput},
    resources::{Resource, Resources},
    shop::Shop,
    stream::Stream,
    taps::Taps,
    traced::Traced,
};
use serde::Deserialize;
use std::{collections::HashMap, sync::Arc};
use tokio_util::sync::CancellationToken;
use weir_config::stream::StreamConfig;
use weir_core::{
    batch::{BATCH_CREATED, Policy},
    build_error::BuildError,
    cache::Cache,
    checkpoint::Checkpoint,
    component::Component,
    context::{BuildContext, Environment},
    expression::Mapping,
    field::{BATCHING, Field, FieldType},
    http::HttpHost,
    input::{Input, InputComponent},
    kind::Kind,
    metrics::{Custom, Family, Measure, Series},
    node::Node,
    output::{Output, OutputComponent},
    pipe::Pipes,
    processor::Processor,
    rate_limit::RateLimit,
    registry::{Chosen, Registry},
    scanner::Scanner,
    slot::Slot,
    spec::{Body, Spec},
    status::Connection,
    trace::Tracer,
    view::{Connections, View},
    workshop::Workshop,
};

/// What all streams of a process share; clones share it, too.
#[derive(Clone)]
pub struct Engine {
    /// Every component there is.
    pub registry: Arc<Registry>,
    /// Shared caches, rate limits, inputs, outputs and processors.
    pub resources: Resources,
    /// The named pipes of this process.
    pub pipes: Arc<Pipes>,
    /// Where HTTP paths are served.
    pub http: Arc<dyn HttpHost>,
    /// Strict error handling.
    pub strict: bool,
    /// Records spans, if any are wanted.
    pub tracer: Option<Arc<Tracer>>,
}

/// Processors that the reference does not count.
const UNCOUNTED: [&str; 4] = ["metric", "noop", "resource", "sync_response"];

impl Engine {
    /// Builds a stream. It reads local files and references at most, and opens nothing. `stored` are the
    /// stream's checkpoints by component path.
    pub fn build(
        &self,
        id: &str,
        config: &StreamConfig,
        stored: &HashMap<String, Arc<str>>,
    ) -> Result<Stream, BuildError> {
        let mut site = Site::new(self.environment(id), stored);
        let input = Builder::new(self, &mut site, "root").input("input", &config.input)?;
        let buffer = Builder::new(self, &mut site, "root").buffer(&config.buffer)?;
        let chain = Builder::new(self, &mut site, "root").chain("pipeline.processors", &config.processors)?;
        let output = Builder::new(self, &mut site, "root").output("output", &config.output)?;
        let threads = usize::try_from(config.pipeline_threads).ok().filter(|threads| *threads > 0);
        Ok(Stream {
            environment: site.environment,
            input,
            buffer,
            chain: Arc::new(chain),
            threads: threads.unwrap_or_else(cores).min(MAX_THREADS),
            output,
            view: site.view,
            taps: site.taps,
            mark: None,
        })
    }

    /// Builds a processor that belongs to no stream; its path is `root.{at}`.
    pub fn processor(&self, at: &str, node: &Node) -> Result<Arc<dyn Processor>, BuildError> {
        let stored = HashMap::new();
        let mut site = Site::new(self.environment(""), &stored);
        Builder::new(self, &mut site, "root").processor(at, node)
    }

    pub(crate) fn environment(&self, id: &str) -> Environment {
        Environment {
            stream: id.to_owned(),
            strict: self.strict,
            http: Arc::clone(&self.http),
            pipes: Arc::clone(&self.pipes),
            tracer: self.tracer.clone(),
            soft_stop: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
        }
    }
}

/// Templates may use templates, but not endlessly.
const MAX_TEMPLATES: usize = 64;

/// More workers than this never help, and a typing error must not cost a million tasks.
const MAX_THREADS: usize = 1024;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What the components of one stream, or of one resource, are built into.
pub(crate) struct Site<'a> {
    pub(crate) environment: Environment,
    pub(crate) view: View,
    pub(crate) taps: Arc<Taps>,
    stored: &'a HashMap<String, Arc<str>>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(environment: Environment, stored: &'a HashMap<String, Arc<str>>) -> Self {
        Self { environment, view: View::default(), taps: Arc::default(), stored }
    }

    fn uses(&self, kind: Kind, label: &str) {
        self.view.uses.push(Arc::new((kind, label.to_owned())));
    }

    pub(crate) fn stored(&self) -> &HashMap<String, Arc<str>> {
        self.stored
    }
}

/// Builds the children of one component.
pub(crate) struct Builder<'a, 'b> {
    engine: &'a Engine,
    site: &'a mut Site<'b>,
    component: Arc<Component>,
}

impl<'a, 'b> Builder<'a, 'b> {
    pub(crate) fn new(engine: &'a Engine, site: &'a mut Site<'b>, path: &str) -> Self {
        let component = Arc::new(Component { path: path.to_owned(), ..Component::default() });
        Self { engine, site, component }
    }

    /// Finds out which component is meant and gives its builder and its config, templates expanded.
    fn choose(
        &mut self,
        kind: Kind,
        at: &str,
        node: &Node,
    ) -> Result<(Chosen, Node, Builder<'_, 'b>), BuildError> {
        let (engine, path) = (self.engine, format!("{}.{at}", self.component.path));
        let mut node = node.clone();
        let mut chosen = engine.registry.infer(kind, &node)?;
        let mut component = identity(&chosen, &path);
        for _ in 0..MAX_TEMPLATES {
            let Some(template) = engine.registry.template(kind, chosen.name) else {
                let builder = Builder { engine, site: &mut *self.site, component: Arc::new(component) };
                return Ok((chosen, node, builder));
            };
            let failed =
                |error: BuildError| error.context(format!("failed to init {kind} {}", component.described()));
            let expanded = template(&chosen.body, &chosen.label).map_err(failed)?;
            node = joined(kind, &node, expanded);
            chosen = engine.registry.infer(kind, &node).map_err(failed)?;
            component = identity(&chosen, &path);
        }
        Err(BuildError::new(format!("{kind} template '{}' is made of itself", chosen.name)))
    }

    /// Says of which component an error is: only once, by the innermost; those around it say which child.
    fn placed(&self, kind: Kind, error: BuildError) -> BuildError {
        if is_placed(&error) {
            return error;
        }
        error.context(format!("failed to init {kind} {}", self.component.described()))
    }

    pub(crate) fn chain(&mut self, at: &str, nodes: &[Node]) -> Result<Chain, BuildError> {
        let steps: Result<Vec<Step>, BuildError> =
            nodes.iter().enumerate().map(|(index, node)| self.step(&format!("{at}.{index}"), node)).collect();
        Ok(Chain::new(steps?, self.site.environment.strict, &self.site.taps))
    }

    fn step(&mut self, at: &str, node: &Node) -> Result<Step, BuildError> {
        let (chosen, _, mut builder) = self.choose(Kind::Processor, at, node)?;
        let counted = !UNCOUNTED.contains(&chosen.name);
        let series = counted.then(|| builder.series(&families::PROCESSOR));
        let built = match builder.engine.registry.processor(chosen.name) {
            Some(spec) => spec.build(&chosen.body, &mut builder),
            None => Err(unknown(Kind::Processor, chosen.name)),
        };
        match built {
            Ok(processor) => {
                let (mut processor, component) = (Arc::from(processor), Arc::clone(&builder.component));
                builder.site.taps.add(&component);
                if counted && builder.site.environment.tracer.is_some() {
                    processor = Arc::new(Traced { processor, component: Arc::clone(&component) });
                }
                Ok(Step { processor, component, series })
            }
            Err(error) => Err(numbered(Kind::Processor, at, builder.placed(Kind::Processor, error))),
        }
    }

    fn buffer(&mut self, node: &Node) -> Result<Option<Arc<dyn weir_core::buffer::Buffer>>, BuildError> {
        let (chosen, _, mut builder) = self.choose(Kind::Buffer, "buffer", node)?;
        if chosen.name == "none" {
            return Ok(None);
        }
        match builder.engine.registry.buffer(chosen.name) {
            Some(spec) => match spec.build(&chosen.body, &mut builder) {
                Ok(buffer) => {
                    builder.site.taps.add(&builder.component);
                    let series = builder.series(&families::BUFFER);
                    let tracer = builder.site.environment.tracer.clone();
                    Ok(Some(Arc::new(CountedBuffer::new(buffer, series, tracer, chosen.name))))
                }
                Err(error) => Err(builder.placed(Kind::Buffer, error)),
            },
            None => Err(unknown(Kind::Buffer, chosen.name)),
        }
    }

    fn leaf_connection(&mut self, kind: Kind) -> Arc<Connection> {
        let connection = Arc::new(Connection::new(Arc::clone(&self.component)));
        self.connections(kind).push(Arc::clone(&connection));
        connection
    }

    /// Where an input or output inside another one shows its messages; those of the whole are shown by the stream.
    fn leaf_taps(&self) -> Option<Arc<Taps>> {
        let taps = &self.site.taps;
        taps.add(&self.component);
        (!["root.input", "root.output"].contains(&&*self.component.path)).then(|| Arc::clone(taps))
    }

    fn connections(&self, kind: Kind) -> &Connections {
        let view = &self.site.view;
        if kind == Kind::Input { &view.inputs } else { &view.outputs }
    }

    /// A node without children has nothing that could lose its connection: it counts as connected.
    fn childless_connection(&mut self, kind: Kind, before: usize) {
        if self.connections(kind).len() == before {
            self.leaf_connection(kind).up();
        }
    }

    fn whole_input(&mut self, chosen: &Chosen, node: &Node) -> Result<Box<dyn Input>, BuildError> {
        let spec =
            self.engine.registry.input(chosen.name).ok_or_else(|| unknown(Kind::Input, chosen.name))?;
        let before = self.site.view.inputs.len();
        let mut input = match spec.build(&chosen.body, self)? {
            InputComponent::Node(input) => {
                self.childless_connection(Kind::Input, before);
                input
            }
            InputComponent::Changing(input) => input,
            InputComponent::Reader(reader) => {
                let family = if reader.is_served() { &families::SERVED_INPUT } else { &families::INPUT };
                let (connection, series) = (self.leaf_connection(Kind::Input), self.series(family));
                let taps = self.leaf_taps();
                Box::new(LeafInput::new(reader, self.site.environment.clone(), connection, series, taps))
            }
        };
        if let Some(name) = batching_field(&spec.body)
            && let Some(batching) = chosen.body.get(name)
            && let Some(policy) = self.batching(&format!("{}.{name}", chosen.name), batching)?
        {
            input = Box::new(BatchedInput::new(input, policy, self.batching_series()));
        }
        let own = own_processors(node);
        if own.is_empty() {
            return Ok(input);
        }
        Ok(Box::new(ProcessedInput::new(input, self.own_chain(own)?)))
    }

    fn whole_output(&mut self, chosen: &Chosen, node: &Node) -> Result<Arc<dyn Output>, BuildError> {
        let spec =
            self.engine.registry.output(chosen.name).ok_or_else(|| unknown(Kind::Output, chosen.name))?;
        let before = self.site.view.outputs.len();
        let mut output = match spec.build(&chosen.body, self)? {
            OutputComponent::Node(output) => {
                self.childless_connection(Kind::Output, before);
                output
            }
            OutputComponent::Changing(output) => output,
            OutputComponent::Writer { writer, max_in_flight } => {
                let (connection, series) =
                    (self.leaf_connection(Kind::Output), self.series(&families::OUTPUT));
                let (environment, taps) = (self.site.environment.clone(), self.leaf_taps());
                Arc::new(LeafOutput::new(writer, max_in_flight, environment, connection, series, taps))
                    as Arc<dyn Output>
            }
        };
        if let Some(name) = batching_field(&spec.body)
            && let Some(batching) = chosen.body.get(name)
            && let Some(policy) = self.batching(&format!("{}.{name}", chosen.name), batching)?
        {
            output = Arc::new(BatchedOutput::new(output, policy, self.batching_series()));
        }
        let own = own_processors(node);
        if own.is_empty() {
            return Ok(output);
        }
        let chain = Arc::new(self.own_chain(own)?);
        Ok(Arc::new(ProcessedOutput { chain, output }))
    }

    /// The processors that an input or output has itself; their errors name the type, as in the reference.
    fn own_chain(&mut self, nodes: &[Node]) -> Result<Chain, BuildError> {
        let mut steps = Vec::with_capacity(nodes.len());
        for (index, node) in nodes.iter().enumerate() {
            let step = self.step(&format!("processors.{index}"), node).map_err(|error| {
                let name = self.engine.registry.infer(Kind::Processor, node).map_or("", |chosen| chosen.name);
                let inner = error.message().trim_start_matches(&format!("processor {index}: ")).to_owned();
                let text = format!("failed to create processor '{name}': {inner}");
                BuildError::new(text)
            });
            steps.push(step?);
        }
        Ok(Chain::new(steps, self.site.environment.strict, &self.site.taps))
    }
}

fn identity(chosen: &Chosen, path: &str) -> Component {
    Component { name: chosen.name.to_owned(), label: chosen.label.clone(), path: path.to_owned() }
}

/// What a template made, with the user's processors: nearer to the pipeline than the template's own.
fn joined(kind: Kind, written: &Node, expanded: Node) -> Node {
    let (user, own) = (own_processors(written), own_processors(&expanded));
    if user.is_empty() {
        return expanded;
    }
    let (first, last) = if kind == Kind::Output { (user, own) } else { (own, user) };
    expanded.with("processors", Node::list([first, last].concat()))
}

/// The field that holds the batch policy of an input or output.
fn batching_field(body: &Body) -> Option<&'static str> {
    let (Body::Fields(fields) | Body::Checked(fields, _)) = body else { return None };
    let names = |fields: &'static [Field]| fields.iter().map(|field| field.name);
    let is_policy =
        |field: &&Field| matches!(field.ty, FieldType::Object(policy) if names(policy).eq(names(BATCHING)));
    fields.iter().find(is_policy).map(|field| field.name)
}

fn own_processors(node: &Node) -> &[Node] {
    node.get("processors").and_then(Node::as_list).unwrap_or_default()
}

fn unknown(kind: Kind, name: &str) -> BuildError {
    BuildError::new(format!("{kind} type '{name}' was not recognised"))
}

fn is_placed(error: &BuildError) -> bool {
    error.message().contains("failed to init ")
}

/// Says which of several children it was, where the place ends with a number below a component's own list.
fn numbered(kind: Kind, at: &str, error: BuildError) -> BuildError {
    match at.rsplit_once('.') {
        Some((list, index))
            if list != "pipeline.processors" && index.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            error.context(format!("{kind} {index}"))
        }
        _ => error,
    }
}

/// The fields of a batch policy.
#[derive(Deserialize)]
struct PolicyConfig {
    count: i64,
    byte_size: i64,
    period: String,
    check: String,
    #[serde(default)]
    processors: Vec<Node>,
}

impl BuildContext for Builder<'_, '_> {
    fn component(&self) -> &Arc<Component> {
        &self.component
    }

    fn environment(&self) -> &Environment {
        &self.site.environment
    }

    fn series(&mut self, family: &'static Family) -> Arc<Series> {
        self.site.view.metrics.series(&self.component, family)
    }

    fn batching_series(&mut self) -> Arc<Series> {
        let path = format!("{}.batching", self.component.path);
        let component = Arc::new(Component { path, ..(*self.component).clone() });
        self.site.view.metrics.series(&component, &BATCH_CREATED)
    }

    fn custom_metric(&mut self, name: String, measure: Measure, labels: Vec<String>) -> Arc<Custom> {
        self.site.view.metrics.custom(&self.component, name, measure, labels)
    }

    fn checkpoint(&mut self) -> Checkpoint {
        let path = &self.component.path;
        let checkpoint = Checkpoint::stored(self.site.stored.get(path).cloned());
        self.site.view.checkpoints.push(Arc::new((path.clone(), checkpoint.clone())));
        checkpoint
    }

    fn input(&mut self, at: &str, node: &Node) -> Result<Box<dyn Input>, BuildError> {
        let (chosen, node, mut builder) = self.choose(Kind::Input, at, node)?;
        builder
            .whole_input(&chosen, &node)
            .map_err(|error| numbered(Kind::Input, at, outer(&builder, Kind::Input, error)))
    }

    fn output(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Output>, BuildError> {
        let (chosen, node, mut builder) = self.choose(Kind::Output, at, node)?;
        builder
            .whole_output(&chosen, &node)
            .map_err(|error| numbered(Kind::Output, at, outer(&builder, Kind::Output, error)))
    }

    fn processors(&mut self, at: &str, nodes: &[Node]) -> Result<Arc<dyn Processor>, BuildError> {
        Ok(Arc::new(self.chain(at, nodes)?))
    }

    fn processor(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Processor>, BuildError> {
        let step = self.step(at, node)?;
        Ok(Arc::new(Chain::new(vec![step], self.site.environment.strict, &self.site.taps)))
    }

    fn workshop(&mut self) -> Arc<dyn Workshop> {
        Arc::new(Shop::new(self.engine, self.site, &self.component.path))
    }

    fn scanner(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Scanner>, BuildError> {
        self.leaf(Kind::Scanner, at, node, Registry::scanner).map(Arc::from)
    }

    fn batching(&mut self, at: &str, node: &Node) -> Result<Option<Policy>, BuildError> {
        let config: PolicyConfig = weir_core::prepare::object(weir_core::field::BATCHING, node).read()?;
        let period = match config.period.as_str() {
            "" => None,
            text => Some(
                weir_core::duration::parse(text)
                    .map_err(|error| BuildError::new(format!("failed to parse duration string: {error}")))?,
            ),
        };
        let check = match config.check.as_str() {
            "" => None,
            text => Some(Mapping::parse(text)?),
        };
        let triggers = config.count > 0 || config.byte_size > 0 || period.is_some() || check.is_some();
        if !triggers && config.processors.is_empty() {
            return Ok(None);
        }
        if !triggers {
            return Err(BuildError::new("batch policy must have at least one active trigger"));
        }
        if config.count == 1
            && config.byte_size <= 0
            && period.is_none()
            && check.is_none()
            && config.processors.is_empty()
        {
            return Ok(None);
        }
        let processors = match config.processors.as_slice() {
            [] => None,
            nodes => Some(self.processors(&format!("{at}.processors"), nodes)?),
        };
        Ok(Some(Policy {
            count: usize::try_from(config.count).unwrap_or(0),
            byte_size: usize::try_from(config.byte_size).unwrap_or(0),
            period,
            check,
            processors,
        }))
    }

    fn cache(&mut self, label: &str) -> Result<Slot<dyn Cache>, BuildError> {
        self.site.uses(Kind::Cache, label);
        self.engine.resources.cache(label)
    }

    fn rate_limit(&mut self, label: &str) -> Result<Slot<dyn RateLimit>, BuildError> {
        self.site.uses(Kind::RateLimit, label);
        self.engine.resources.rate_limit(label)
    }

    fn processor_resource(&mut self, label: &str) -> Result<Slot<dyn Processor>, BuildError> {
        self.site.uses(Kind::Processor, label);
        self.engine.resources.processor(label)
    }

    fn output_resource(&mut self, label: &str) -> Result<Slot<dyn Output>, BuildError> {
        self.site.uses(Kind::Output, label);
        let (slot, connections) = self.engine.resources.output(label)?;
        self.site.view.outputs.join(&connections);
        Ok(slot)
    }

    fn input_resource(&mut self, label: &str) -> Result<Box<dyn Input>, BuildError> {
        self.site.uses(Kind::Input, label);
        let (input, connections) = self.engine.resources.input(label, &self.site.environment)?;
        self.site.view.inputs.join(&connections);
        Ok(input)
    }
}

impl Builder<'_, '_> {
    pub(crate) fn resource(&mut self, kind: Kind, at: &str, node: &Node) -> Result<Resource, BuildError> {
        match kind {
            Kind::Input => self.input(at, node).map(Resource::Input),
            Kind::Output => self.output(at, node).map(Resource::Output),
            Kind::Processor => self.processor(at, node).map(Resource::Processor),
            Kind::Cache => {
                self.leaf(kind, at, node, Registry::cache).map(|cache| Resource::Cache(Arc::from(cache)))
            }
            Kind::RateLimit => self
                .leaf(kind, at, node, Registry::rate_limit)
                .map(|limit| Resource::RateLimit(Arc::from(limit))),
            _ => Err(BuildError::new(format!("there are no {kind} resources"))),
        }
    }

    fn leaf<B>(
        &mut self,
        kind: Kind,
        at: &str,
        node: &Node,
        spec: fn(&Registry, &str) -> Option<&'static Spec<B>>,
    ) -> Result<B, BuildError> {
        let (chosen, _, mut builder) = self.choose(kind, at, node)?;
        let spec = spec(&builder.engine.registry, chosen.name).ok_or_else(|| unknown(kind, chosen.name))?;
        // A scanner is part of its input, which the error then names.
        spec.build(&chosen.body, &mut builder)
            .map_err(|error| if kind == Kind::Scanner { error } else { builder.placed(kind, error) })
    }
}

/// As [`Builder::placed`], but what an input's or output's own processors say is named by it too.
fn outer(builder: &Builder<'_, '_>, kind: Kind, error: BuildError) -> BuildError {
    if error.message().starts_with("failed to create processor ") {
        return error.context(format!("failed to init {kind} {}", builder.component.described()));
    }
    builder.placed(kind, error)
}

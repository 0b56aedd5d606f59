//! Every component there is, by kind and name: a value that is passed, never global.

use crate::{
    buffer::Buffer,
    build_error::BuildError,
    cache::Cache,
    infer,
    input::InputComponent,
    kind::Kind,
    node::Node,
    output::OutputComponent,
    processor::Processor,
    rate_limit::RateLimit,
    scanner::Scanner,
    spec::{Outline, Spec},
};
use std::{collections::BTreeMap, sync::Arc};

/// The spec of an input.
pub type InputSpec = Spec<InputComponent>;
/// The spec of a buffer.
pub type BufferSpec = Spec<Box<dyn Buffer>>;
/// The spec of a processor.
pub type ProcessorSpec = Spec<Box<dyn Processor>>;
/// The spec of an output.
pub type OutputSpec = Spec<OutputComponent>;
/// The spec of a cache.
pub type CacheSpec = Spec<Box<dyn Cache>>;
/// The spec of a rate limit.
pub type RateLimitSpec = Spec<Box<dyn RateLimit>>;
/// The spec of a scanner.
pub type ScannerSpec = Spec<Box<dyn Scanner>>;
/// The spec of a place where metrics or spans go: what is built is its prepared config.
pub type TelemetrySpec = Spec<Node>;

/// The components of one crate. `Table { inputs: input::SPECS, ..Table::EMPTY }`.
#[derive(Clone, Copy)]
pub struct Table {
    /// Inputs.
    pub inputs: &'static [&'static InputSpec],
    /// Buffers.
    pub buffers: &'static [&'static BufferSpec],
    /// Processors.
    pub processors: &'static [&'static ProcessorSpec],
    /// Outputs.
    pub outputs: &'static [&'static OutputSpec],
    /// Caches.
    pub caches: &'static [&'static CacheSpec],
    /// Rate limits.
    pub rate_limits: &'static [&'static RateLimitSpec],
    /// Scanners.
    pub scanners: &'static [&'static ScannerSpec],
    /// Places for metrics.
    pub metrics: &'static [&'static TelemetrySpec],
    /// Places for spans.
    pub tracers: &'static [&'static TelemetrySpec],
}

impl Table {
    /// No components.
    pub const EMPTY: Self = Self {
        inputs: &[],
        buffers: &[],
        processors: &[],
        outputs: &[],
        caches: &[],
        rate_limits: &[],
        scanners: &[],
        metrics: &[],
        tracers: &[],
    };
}

/// Specs of one kind by name.
struct Specs<B: 'static>(BTreeMap<&'static str, &'static Spec<B>>);

impl<B> Default for Specs<B> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// Makes the config of another component out of the body and the label of one that a template defines.
pub type Expand = Arc<dyn Fn(&Node, &str) -> Result<Node, BuildError> + Send + Sync>;

/// Every component there is.
#[derive(Default)]
pub struct Registry {
    templates: BTreeMap<(Kind, &'static str), Expand>,
    outlines: BTreeMap<Kind, BTreeMap<&'static str, Outline>>,
    inputs: Specs<InputComponent>,
    buffers: Specs<Box<dyn Buffer>>,
    processors: Specs<Box<dyn Processor>>,
    outputs: Specs<OutputComponent>,
    caches: Specs<Box<dyn Cache>>,
    rate_limits: Specs<Box<dyn RateLimit>>,
    scanners: Specs<Box<dyn Scanner>>,
    metrics: Specs<Node>,
    tracers: Specs<Node>,
}

/// A component's config taken apart: which one is meant, and its body.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The component's name.
    pub name: &'static str,
    /// Its own config as written; null if there is none.
    pub body: Node,
    /// The user's label; may be empty.
    pub label: String,
}

impl Registry {
    /// Collects the tables of the component crates.
    ///
    /// # Panics
    ///
    /// When two components of a kind share a name: a bug in a table, found by any test.
    pub fn new(tables: &[Table]) -> Self {
        let mut registry = Self::default();
        for table in tables {
            let outlines = &mut registry.outlines;
            add(outlines, Kind::Input, &mut registry.inputs, table.inputs);
            add(outlines, Kind::Buffer, &mut registry.buffers, table.buffers);
            add(outlines, Kind::Processor, &mut registry.processors, table.processors);
            add(outlines, Kind::Output, &mut registry.outputs, table.outputs);
            add(outlines, Kind::Cache, &mut registry.caches, table.caches);
            add(outlines, Kind::RateLimit, &mut registry.rate_limits, table.rate_limits);
            add(outlines, Kind::Scanner, &mut registry.scanners, table.scanners);
            add(outlines, Kind::Metrics, &mut registry.metrics, table.metrics);
            add(outlines, Kind::Tracer, &mut registry.tracers, table.tracers);
        }
        registry
    }

    /// Adds a component that a template defines; it hides what has its name already.
    pub fn add_template(&mut self, kind: Kind, outline: Outline, expand: Expand) {
        self.templates.insert((kind, outline.name), expand);
        self.outlines.entry(kind).or_default().insert(outline.name, outline);
    }

    /// What expands a component, if a template defines it.
    pub fn template(&self, kind: Kind, name: &'static str) -> Option<&Expand> {
        self.templates.get(&(kind, name))
    }

    /// An input's spec.
    pub fn input(&self, name: &str) -> Option<&'static InputSpec> {
        self.inputs.0.get(name).copied()
    }
    /// A buffer's spec.
    pub fn buffer(&self, name: &str) -> Option<&'static BufferSpec> {
        self.buffers.0.get(name).copied()
    }
    /// A processor's spec.
    pub fn processor(&self, name: &str) -> Option<&'static ProcessorSpec> {
        self.processors.0.get(name).copied()
    }
    /// An output's spec.
    pub fn output(&self, name: &str) -> Option<&'static OutputSpec> {
        self.outputs.0.get(name).copied()
    }
    /// A cache's spec.
    pub fn cache(&self, name: &str) -> Option<&'static CacheSpec> {
        self.caches.0.get(name).copied()
    }
    /// A rate limit's spec.
    pub fn rate_limit(&self, name: &str) -> Option<&'static RateLimitSpec> {
        self.rate_limits.0.get(name).copied()
    }
    /// A scanner's spec.
    pub fn scanner(&self, name: &str) -> Option<&'static ScannerSpec> {
        self.scanners.0.get(name).copied()
    }
    /// The spec of a place for metrics.
    pub fn metrics(&self, name: &str) -> Option<&'static TelemetrySpec> {
        self.metrics.0.get(name).copied()
    }
    /// The spec of a place for spans.
    pub fn tracer(&self, name: &str) -> Option<&'static TelemetrySpec> {
        self.tracers.0.get(name).copied()
    }

    /// What can be said of a component without building it.
    pub fn outline(&self, kind: Kind, name: &str) -> Option<&Outline> {
        self.outlines.get(&kind)?.get(name)
    }

    /// All components of a kind, by name.
    pub fn outlines(&self, kind: Kind) -> impl Iterator<Item = &Outline> {
        self.outlines.get(&kind).into_iter().flat_map(BTreeMap::values)
    }

    /// Finds out which component a config means. Errors carry the line.
    pub fn infer(&self, kind: Kind, node: &Node) -> Result<Chosen, BuildError> {
        infer::infer(self, kind, node)
    }
}

fn add<B>(
    outlines: &mut BTreeMap<Kind, BTreeMap<&'static str, Outline>>,
    kind: Kind,
    specs: &mut Specs<B>,
    table: &'static [&'static Spec<B>],
) {
    for spec in table {
        assert!(specs.0.insert(spec.name, spec).is_none(), "two {kind} components are named `{}`", spec.name);
        outlines.entry(kind).or_default().insert(spec.name, spec.outline());
    }
}

//! What a component may ask of the engine while it is built.

use crate::{
    batch::Policy,
    build_error::BuildError,
    cache::Cache,
    checkpoint::Checkpoint,
    component::Component,
    http::HttpHost,
    input::Input,
    metrics::{Custom, Family, Measure, Series},
    node::Node,
    output::Output,
    pipe::Pipes,
    processor::Processor,
    rate_limit::RateLimit,
    scanner::Scanner,
    slot::Slot,
    trace::Tracer,
    workshop::Workshop,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What surrounds the components of one stream.
#[derive(Clone)]
pub struct Environment {
    /// The stream's id; empty outside streams mode and for shared resources.
    pub stream: String,
    /// Whether failed messages skip processors and are refused by outputs (`error_handling.strict`).
    pub strict: bool,
    /// Where HTTP paths are served.
    pub http: Arc<dyn HttpHost>,
    /// The named pipes of this process (`inproc`).
    pub pipes: Arc<Pipes>,
    /// Records spans, if any are wanted.
    pub tracer: Option<Arc<Tracer>>,
    /// Cancelled when inputs are to stop reading and let what is in flight end.
    pub soft_stop: CancellationToken,
    /// Cancelled when everything is to end at once.
    pub hard_stop: CancellationToken,
}

/// The engine, as a component under construction sees it. Children are built and wrapped by it, so that a
/// broker never knows how a leaf is connected, retried or measured. `at` is the child's place under this
/// component, such as `broker.inputs.0`.
pub trait BuildContext {
    /// Who is being built.
    fn component(&self) -> &Arc<Component>;
    /// What surrounds it.
    fn environment(&self) -> &Environment;
    /// Counters of its own.
    fn series(&mut self, family: &'static Family) -> Arc<Series>;
    /// Counters of the batches that it makes, by [`Trigger`](crate::batch::Trigger).
    fn batching_series(&mut self) -> Arc<Series>;
    /// A metric that its config defines, with these labels.
    fn custom_metric(&mut self, name: String, measure: Measure, labels: Vec<String>) -> Arc<Custom>;
    /// Where it keeps how far its source is acknowledged.
    fn checkpoint(&mut self) -> Checkpoint;

    /// Builds a child input.
    fn input(&mut self, at: &str, node: &Node) -> Result<Box<dyn Input>, BuildError>;
    /// Builds a child output.
    fn output(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Output>, BuildError>;
    /// Builds child processors that run one after the other; each one's path is `at.N`.
    fn processors(&mut self, at: &str, nodes: &[Node]) -> Result<Arc<dyn Processor>, BuildError>;
    /// Builds one child processor, at `at` itself.
    fn processor(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Processor>, BuildError>;
    /// What builds children while the stream runs.
    fn workshop(&mut self) -> Arc<dyn Workshop>;
    /// Builds a child scanner.
    fn scanner(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Scanner>, BuildError>;
    /// Reads a batch policy; `None` if it does not batch. The `batching` field of an input or an output is not
    /// its business: the engine reads and applies it around what is built.
    fn batching(&mut self, at: &str, node: &Node) -> Result<Option<Policy>, BuildError>;

    /// A cache resource, which must exist.
    fn cache(&mut self, label: &str) -> Result<Slot<dyn Cache>, BuildError>;
    /// A rate limit resource, which must exist.
    fn rate_limit(&mut self, label: &str) -> Result<Slot<dyn RateLimit>, BuildError>;
    /// A processor resource, which must exist.
    fn processor_resource(&mut self, label: &str) -> Result<Slot<dyn Processor>, BuildError>;
    /// An output resource, which must exist.
    fn output_resource(&mut self, label: &str) -> Result<Slot<dyn Output>, BuildError>;
    /// A reader of an input resource, which must exist; all readers of a label compete for its messages.
    fn input_resource(&mut self, label: &str) -> Result<Box<dyn Input>, BuildError>;
}

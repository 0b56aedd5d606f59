//! A stream's config, read.

use crate::{Node, sections};
use serde::Deserialize;
use weir_core::{lint::read::ReadError, prepare, registry::Registry};

/// What one stream is made of. Its components are told but not built.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// The input.
    pub input: Node,
    /// The buffer.
    pub buffer: Node,
    /// How many batches are processed at once; -1 for one a CPU.
    pub pipeline_threads: i64,
    /// The pipeline's processors.
    pub processors: Vec<Node>,
    /// The output.
    pub output: Node,
}

#[derive(Deserialize)]
struct Pipeline {
    threads: i64,
    processors: Vec<Node>,
}

impl StreamConfig {
    /// Reads the stream's sections, whatever else there is. Anything but an object is an empty one.
    pub fn read(node: &Node, registry: &Registry) -> Result<Self, ReadError> {
        weir_core::lint::read::check(node, sections::STREAM, registry)?;
        let node = if node.as_map().is_some() { node.clone() } else { Node::map(Vec::new()) };
        let node = prepare::object(sections::STREAM, &node);
        let section = |name: &str| node.get(name).cloned().unwrap_or_else(Node::null);
        let pipeline = section("pipeline");
        let pipeline = if pipeline.as_map().is_some() {
            pipeline
        } else {
            prepare::object(sections::STREAM, &Node::map(Vec::new()))
                .get("pipeline")
                .cloned()
                .unwrap_or(pipeline)
        };
        let pipeline: Pipeline = pipeline.read().map_err(|error| error.at("pipeline"))?;
        Ok(Self {
            input: section("input"),
            buffer: section("buffer"),
            pipeline_threads: pipeline.threads,
            processors: pipeline.processors,
            output: section("output"),
        })
    }
}

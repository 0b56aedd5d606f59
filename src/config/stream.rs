//! A stream's config, read.

use crate::{Node, sections};
use serde::Deserialize;
use weir_core::{duration::Duration, lint::read::ReadError, prepare, registry::Registry};

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
    /// What it is to keep up.
    pub expect: Option<Expect>,
}

/// What a stream is to keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Expect {
    /// The longest that it may go without sending a message.
    pub output_every: Duration,
    /// What is done when it does.
    pub on_breach: OnBreach,
}

/// What is done when a stream does not keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBreach {
    /// It is told.
    Alert,
    /// The stream is started again.
    Restart,
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
        let expect = node.get("expect").filter(|expect| !expect.is_null());
        let expect = expect.map(|expect| expect.read().map_err(|error| error.at("expect"))).transpose()?;
        Ok(Self {
            input: section("input"),
            buffer: section("buffer"),
            pipeline_threads: pipeline.threads,
            processors: pipeline.processors,
            output: section("output"),
            expect,
        })
    }
}

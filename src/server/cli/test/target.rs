//! What a unit test is about: processors of a config with mocks in place, or the mapping of a file.

use super::super::{environment::Variables, walk::text};
use async_trait::async_trait;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};
use weir_bloblang::{Environment, Mapped, Message, Program, Scratch};
use weir_config::{Node, file::Source, labels::labels, sections, service::Resources, set::set_at};
use weir_core::{
    component::Component,
    error::Error,
    http::NoHttp,
    kind::Kind,
    lint::read,
    node::Value,
    pipe::Pipes,
    processor::{Batches, Processor, one},
    registry::Registry,
};
use weir_engine::Engine;

/// Processors that run one after the other.
pub(super) type Processors = Vec<Arc<dyn Processor>>;

/// A config that has tests.
pub(super) struct Target<'a> {
    pub(super) path: &'a str,
    pub(super) folder: &'a Path,
    pub(super) registry: &'a Arc<Registry>,
    /// Files of resources (`-r`).
    pub(super) resources: &'a [PathBuf],
    pub(super) variables: &'a Variables,
}

impl Target<'_> {
    /// The mapping of a file as a processor.
    pub(super) fn mapping(&self, path: &str) -> Result<Processors, String> {
        let path = self.folder.join(path);
        let source = text(&path.to_string_lossy())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let loader = |path: &Path| text(&path.to_string_lossy());
        let language = Environment::new().with_loader(Arc::new(loader), folder);
        let program = Program::parse(&source, &language).map_err(|error| error.without_position())?;
        Ok(vec![Arc::new(MappingFile { program, component: Component::default() })])
    }

    /// The processors that a reference means, with mocks in their places.
    pub(super) fn processors(&self, reference: &str, mocks: &[(String, Node)]) -> Result<Processors, String> {
        let (file, place) = self.resolve(reference)?;
        let mut node =
            self.read(&file).map_err(|error| format!("failed to parse config file '{file}': {error}"))?;
        self.mock(&mut node, mocks)?;
        read::check(&node, sections::CONFIG, self.registry)
            .map_err(|error| format!("failed to resolve case processors from '{file}': {error}"))?;
        let mut resources = Resources::read(&node);
        for path in self.resources {
            let path = path.to_string_lossy();
            let added = self.read(&path);
            let added =
                added.map_err(|error| format!("failed to parse resources config file '{path}': {error}"))?;
            resources.extend(Resources::read(&added));
        }
        let unresolved = |error: String| format!("failed to resolve case processors from '{file}': {error}");
        let path = if place.starts_with('/') {
            pointer(&place)
        } else {
            let mut labels = labels(&node, sections::CONFIG, self.registry);
            labels.remove(&place).ok_or_else(|| not_found("target", &place, "target resources"))?
        };
        let found = at(&node, &path).map_err(unresolved)?;
        let nodes = found.as_list().unwrap_or(std::slice::from_ref(found));
        for node in nodes {
            read::component(Kind::Processor, node, self.registry)
                .map_err(|error| unresolved(error.to_string()))?;
        }
        let engine = self.engine(&resources)?;
        let build = |(index, node): (usize, &Node)| {
            let built = engine.processor(&index.to_string(), node);
            built.map_err(|error| {
                let error = unplaced(&error.to_string(), index, node);
                format!("failed to initialise processor index '{index}': {error}")
            })
        };
        nodes.iter().enumerate().map(build).collect()
    }

    /// The file and the place in it that a reference means.
    fn resolve(&self, reference: &str) -> Result<(String, String), String> {
        let local = match reference.split_once("://") {
            Some(("file", path)) => path,
            Some(_) => {
                return Err(format!("target processors '{reference}' contains non-path scheme value"));
            }
            None => reference,
        };
        let (file, place) = match local.split_once('#').filter(|(_, place)| !place.is_empty()) {
            Some((file, place)) => (self.folder.join(file).to_string_lossy().into_owned(), place),
            None => (self.path.to_owned(), local),
        };
        if place.is_empty() {
            let why = "reference URI must contain a path or fragment";
            return Err(format!("failed to target processors '{reference}': {why}"));
        }
        Ok((file, place.to_owned()))
    }

    fn read(&self, path: &str) -> Result<Node, String> {
        let source = Source::read(&text(path)?, &|name| self.variables.get(name));
        source.map(|source| source.node).map_err(|error| error.to_string())
    }

    /// Puts mocks in their places: first those by path, then those by label.
    fn mock(&self, node: &mut Node, mocks: &[(String, Node)]) -> Result<(), String> {
        let (by_path, by_label): (Vec<_>, Vec<_>) = mocks.iter().partition(|(name, _)| name.starts_with('/'));
        for (name, mock) in by_path {
            self.put(node, name, mock, &pointer(name))?;
        }
        let labels =
            if by_label.is_empty() { HashMap::new() } else { labels(node, sections::CONFIG, self.registry) };
        for (name, mock) in by_label {
            let path = labels.get(name).ok_or_else(|| not_found("mock", name, "mock resources"))?;
            self.put(node, name, mock, path)?;
        }
        Ok(())
    }

    /// Puts a mock in place; unless it has a label, it takes over that of what was there.
    fn put(&self, node: &mut Node, name: &str, mock: &Node, path: &[String]) -> Result<(), String> {
        let before = at(node, path).ok().and_then(|node| node.get("label")).cloned();
        let mut mock = mock.clone();
        if let Some(label) = before.filter(|_| mock.as_map().is_some() && mock.get("label").is_none()) {
            mock = mock.with("label", label);
        }
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let failed = |error| format!("failed to set mock '{name}': {error}");
        *node = set_at(node, &path, &mock, sections::CONFIG, self.registry).map_err(failed)?;
        Ok(())
    }

    /// An engine of the case's own, with the resources that processors use.
    fn engine(&self, resources: &Resources) -> Result<Engine, String> {
        let engine = Engine {
            registry: Arc::clone(self.registry),
            resources: weir_engine::Resources::default(),
            pipes: Arc::new(Pipes::default()),
            http: Arc::new(NoHttp),
            strict: false,
            tracer: None,
        };
        let kinds = [
            (Kind::Cache, &resources.caches),
            (Kind::RateLimit, &resources.rate_limits),
            (Kind::Processor, &resources.processors),
        ];
        let mut left: Vec<(Kind, &Node)> =
            kinds.iter().flat_map(|(kind, nodes)| nodes.iter().map(|node| (*kind, node))).collect();
        // They may use each other in any order.
        while !left.is_empty() {
            let before = left.len();
            let mut failed = None;
            left.retain(|(kind, node)| {
                let label = node.get("label").and_then(Node::as_str).unwrap_or_default();
                let put = engine.put_resource(*kind, label, node);
                put.map_err(|error| failed = Some(error)).is_err()
            });
            if let Some(error) = failed.filter(|_| left.len() == before) {
                return Err(format!("failed to initialise resources: {error}"));
            }
        }
        Ok(engine)
    }
}

fn not_found(what: &str, label: &str, elsewhere: &str) -> String {
    let how = if what == "mock" { "could not be applied" } else { "failed" };
    format!(
        "{what} for label '{label}' {how} as the label was not found in the test target file, it is not currently possible to {elsewhere} imported separate to the test file"
    )
}

/// The parts of a JSON pointer.
fn pointer(text: &str) -> Vec<String> {
    text.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect()
}

/// The node at a path.
fn at<'n>(root: &'n Node, path: &[String]) -> Result<&'n Node, String> {
    let mut node = root;
    for (index, part) in path.iter().enumerate() {
        let place = || path.get(..=index).unwrap_or_default().join(".");
        node = match node.value() {
            Value::Map(_) => {
                node.get(part).ok_or_else(|| format!("{}: key not found in mapping", place()))?
            }
            Value::List(items) => {
                let index: usize =
                    part.parse().map_err(|_| format!("{}: this is not an index of an array", place()))?;
                items
                    .get(index)
                    .ok_or_else(|| format!("{}: target index greater than array length", place()))?
            }
            Value::Scalar(_) => return Err(format!("{}: there is nothing below a single value", place())),
        };
    }
    Ok(node)
}

/// A failure to build without the place, which means nothing outside a stream.
fn unplaced(error: &str, index: usize, node: &Node) -> String {
    let label = node.get("label").and_then(Node::as_str).unwrap_or_default();
    let (called, shown) = if label.is_empty() {
        ("<no label>".to_owned(), "<no label>".to_owned())
    } else {
        (label.to_owned(), format!("'{label}'"))
    };
    error.replacen(&format!("{called} path root.{index}:"), &format!("{shown}:"), 1)
}

/// The mapping of a file.
struct MappingFile {
    program: Program,
    component: Component,
}

#[async_trait]
impl Processor for MappingFile {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut scratch = Scratch::default();
        let mut out = Vec::with_capacity(batch.len());
        for (index, message) in batch.iter().enumerate() {
            match self.program.map(&batch, index, &mut scratch) {
                Ok(Mapped::Message(mapped)) => out.push(mapped),
                Ok(Mapped::Dropped) => {}
                Err(fault) => {
                    let mut message = message.clone();
                    self.component.fail(&mut message, fault.to_string());
                    out.push(message);
                }
            }
        }
        Ok(one(out))
    }
}

//! A stand-in for the engine: builds processors from YAML and runs batches through them.

use async_trait::async_trait;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    batch::Policy,
    build_error::BuildError,
    cache::Cache,
    checkpoint::Checkpoint,
    component::Component,
    context::{BuildContext, Environment},
    error::Error,
    http::NoHttp,
    input::Input,
    kind::Kind,
    metrics::{Custom, Family, Measure, Metrics, Series},
    node::Node,
    output::Output,
    pipe::Pipes,
    processor::{Batches, Processor},
    rate_limit::RateLimit,
    registry::Registry,
    scanner::Scanner,
    slot::Slot,
    view::View,
    workshop::{Apart, Shown, Workshop},
    yaml,
};

/// Runs one batch through a processor given as YAML, as the first of a pipeline.
pub(crate) async fn run(config: &str, messages: &[&str]) -> Vec<Vec<Message>> {
    let processor = try_build(config).unwrap_or_else(|error| panic!("{config}: {error}"));
    let batch = messages.iter().map(|message| Message::new(message.to_string())).collect();
    processor.process(batch).await.unwrap().into_vec()
}

/// The contents of batches.
pub(crate) fn shown(batches: &[Vec<Message>]) -> Vec<Vec<String>> {
    let text = |message: &Message| String::from_utf8_lossy(message.content()).into_owned();
    batches.iter().map(|batch| batch.iter().map(text).collect()).collect()
}

/// Builds a processor given as YAML.
pub(crate) fn try_build(config: &str) -> Result<Arc<dyn Processor>, BuildError> {
    Building::new().processor_at("root.pipeline.processors.0", &yaml::parse(config).unwrap())
}

pub(crate) struct Building {
    registry: Arc<Registry>,
    component: Arc<Component>,
    environment: Environment,
}

impl Building {
    pub(crate) fn new() -> Self {
        let environment = Environment {
            stream: String::new(),
            strict: false,
            http: Arc::new(NoHttp),
            pipes: Arc::new(Pipes::default()),
            tracer: None,
            soft_stop: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
        };
        Self { registry: Arc::new(Registry::new(&[crate::TABLE])), component: Arc::default(), environment }
    }

    /// The context of a component.
    pub(crate) fn of(&self, name: &str, label: &str, path: &str) -> Self {
        let component = Component { name: name.into(), label: label.into(), path: path.into() };
        Self {
            registry: Arc::clone(&self.registry),
            component: Arc::new(component),
            environment: self.environment.clone(),
        }
    }

    fn processor_at(&self, path: &str, node: &Node) -> Result<Arc<dyn Processor>, BuildError> {
        let chosen = self.registry.infer(Kind::Processor, node)?;
        let spec = self.registry.processor(chosen.name).unwrap();
        spec.build(&chosen.body, &mut self.of(chosen.name, &chosen.label, path)).map(Arc::from)
    }

    fn path(&self, at: &str) -> String {
        format!("{}.{at}", self.component.path)
    }
}

/// Builds nothing.
struct NoWorkshop;

impl Workshop for NoWorkshop {
    fn forget(&self) {}

    fn input(&self, _: &str, _: &Node) -> Result<Apart<Box<dyn Input>>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn output(&self, _: &str, _: &Node) -> Result<Apart<Arc<dyn Output>>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn show(&self, _: &View) {}

    fn shown(&self, _: Kind, _: &Node) -> Result<Shown, BuildError> {
        Err(BuildError::new("no test of this crate shows one"))
    }
}

/// Processors one after the other.
struct Chain(Vec<Arc<dyn Processor>>);

#[async_trait]
impl Processor for Chain {
    fn immediate(&self) -> bool {
        self.0.iter().all(|processor| processor.immediate())
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        let mut current: Vec<Message> = batch.iter_mut().map(std::mem::take).collect();
        for processor in &self.0 {
            let mut next = Vec::new();
            if !current.is_empty() {
                processor.rewrite(&mut current, &mut next);
            }
            current = next;
        }
        out.append(&mut current);
    }

    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        let mut batches = Batches::from_buf([batch]);
        for processor in &self.0 {
            let mut next = Batches::new();
            for batch in batches {
                next.extend(processor.process(batch).await?);
            }
            batches = next;
        }
        Ok(batches)
    }
}

impl BuildContext for Building {
    fn component(&self) -> &Arc<Component> {
        &self.component
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn batching_series(&mut self) -> Arc<Series> {
        self.series(&weir_core::batch::BATCH_CREATED)
    }

    fn series(&mut self, family: &'static Family) -> Arc<Series> {
        Metrics::default().series(&self.component, family)
    }

    fn custom_metric(&mut self, name: String, measure: Measure, labels: Vec<String>) -> Arc<Custom> {
        Metrics::default().custom(&self.component, name, measure, labels)
    }

    fn checkpoint(&mut self) -> Checkpoint {
        Checkpoint::default()
    }

    fn input(&mut self, _: &str, _: &Node) -> Result<Box<dyn Input>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn output(&mut self, _: &str, _: &Node) -> Result<Arc<dyn Output>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn processors(&mut self, at: &str, nodes: &[Node]) -> Result<Arc<dyn Processor>, BuildError> {
        let build = |(index, node)| self.processor_at(&self.path(&format!("{at}.{index}")), node);
        Ok(Arc::new(Chain(nodes.iter().enumerate().map(build).collect::<Result<_, _>>()?)))
    }

    fn processor(&mut self, at: &str, node: &Node) -> Result<Arc<dyn Processor>, BuildError> {
        self.processor_at(&self.path(at), node)
    }

    fn workshop(&mut self) -> Arc<dyn Workshop> {
        Arc::new(NoWorkshop)
    }

    fn scanner(&mut self, _: &str, _: &Node) -> Result<Arc<dyn Scanner>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn batching(&mut self, _: &str, node: &Node) -> Result<Option<Policy>, BuildError> {
        let count =
            node.get("count").and_then(Node::as_str).and_then(|count| count.parse().ok()).unwrap_or(0);
        Ok((count > 0).then(|| Policy { count, period: Some(Duration::from_secs(1)), ..Policy::default() }))
    }

    fn cache(&mut self, label: &str) -> Result<Slot<dyn Cache>, BuildError> {
        let spec = self.registry.cache(label).unwrap();
        let cache = spec.build(&Node::null(), &mut self.of(label, label, "root.cache_resources"))?;
        CACHES
            .with(|caches| Ok(caches.borrow_mut().get_or_insert_with(|| Slot::new(Arc::from(cache))).clone()))
    }

    fn rate_limit(&mut self, _: &str) -> Result<Slot<dyn RateLimit>, BuildError> {
        let body = yaml::parse("{ count: 2, interval: 1s }").unwrap();
        let spec = self.registry.rate_limit("local").unwrap();
        let limit = spec.build(&body, &mut self.of("local", "", "root.rate_limit_resources"))?;
        Ok(Slot::new(Arc::from(limit)))
    }

    fn processor_resource(&mut self, _: &str) -> Result<Slot<dyn Processor>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn output_resource(&mut self, _: &str) -> Result<Slot<dyn Output>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }

    fn input_resource(&mut self, _: &str) -> Result<Box<dyn Input>, BuildError> {
        Err(BuildError::new("no test of this crate builds one"))
    }
}

thread_local! {
    /// The cache that all processors of one test share: a test has a thread of its own.
    static CACHES: std::cell::RefCell<Option<Slot<dyn Cache>>> = const { std::cell::RefCell::new(None) };
}

/// Every spec keeps what the rest of the program relies on.
mod contract {
    use super::*;
    use weir_core::{
        field::{Field, FieldType},
        spec::{Body, Spec},
    };

    fn check_fields(at: &str, fields: &[Field]) {
        for field in fields {
            let at = format!("{at}.{}", field.name);
            assert!(field.doc.ends_with('.'), "{at}: the doc is a sentence");
            if let FieldType::Object(fields) = field.ty {
                check_fields(&at, fields);
            }
        }
    }

    fn check<B>(specs: &[&'static Spec<B>]) {
        assert!(specs.is_sorted_by_key(|spec| spec.name));
        for spec in specs {
            let name = spec.name;
            assert!(spec.summary.ends_with('.'), "{name}: the summary is a sentence");
            match &spec.body {
                Body::Fields(fields) | Body::Checked(fields, _) => check_fields(name, fields),
                Body::Single(field) | Body::List(field) | Body::Map(field) => check_fields(name, &[*field]),
                Body::Empty => {}
            }
            for example in spec.examples {
                let body = yaml::parse(example.config).unwrap();
                let mut context = Building::new().of(name, "", "root");
                if let Err(error) = spec.build(&body, &mut context) {
                    panic!("{name}: example `{}`: {error}", example.title);
                }
            }
        }
    }

    #[test]
    fn every_spec_is_complete_and_its_examples_build() {
        let table = crate::TABLE;
        check(table.processors);
        check(table.caches);
        check(table.rate_limits);
        check(table.buffers);
        check(table.metrics);
        check(table.tracers);
    }

    #[test]
    fn every_file_is_in_a_table() {
        let table = crate::TABLE;
        let names = |specs: &[&'static Spec<_>]| specs.iter().map(|spec| spec.name).collect::<Vec<_>>();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/processor");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none_or(|extension| extension != "md"))
            .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
            .filter(|stem| stem != "mod")
            .collect();
        files.sort();
        assert_eq!(files, names(table.processors));
    }
}

//! Resources: components that streams share by label, and that may be replaced while they are used.

use crate::builder::{Builder, Engine, Site};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Mutex;
use weir_core::{
    build_error::BuildError,
    cache::Cache,
    context::Environment,
    input::{Input, Next},
    kind::Kind,
    metrics::Metrics,
    node::Node,
    output::Output,
    processor::Processor,
    rate_limit::RateLimit,
    slot::Slot,
    status::Connection,
    view::{Connections, Uses, View},
};

/// A resource that was built.
pub(crate) enum Resource {
    Input(Box<dyn Input>),
    Output(Arc<dyn Output>),
    Processor(Arc<dyn Processor>),
    Cache(Arc<dyn Cache>),
    RateLimit(Arc<dyn RateLimit>),
}

/// A resource that was built and has no label yet.
pub struct BuiltResource {
    label: String,
    resource: Resource,
    environment: Environment,
    view: View,
}

/// The resources of a process, by kind and label; clones share them.
#[derive(Clone, Default)]
pub struct Resources {
    caches: Labelled<dyn Cache>,
    rate_limits: Labelled<dyn RateLimit>,
    processors: Labelled<dyn Processor>,
    outputs: Labelled<dyn Output>,
    inputs: Labelled<SharedInput>,
}

/// What a label stands for.
struct Entry<T: ?Sized> {
    slot: Slot<T>,
    around: Option<Around>,
    /// The connections of the present version.
    connections: Arc<Connections>,
}

impl<T: ?Sized> Default for Entry<T> {
    fn default() -> Self {
        Self { slot: Slot::default(), around: None, connections: Arc::default() }
    }
}

/// What belongs to one version of a resource, and goes with it.
struct Around {
    environment: Environment,
    connections: Vec<Arc<Connection>>,
    metrics: Arc<Metrics>,
}

impl<T: ?Sized> Entry<T> {
    fn shared(&self) -> Arc<Connections> {
        Arc::clone(&self.connections)
    }
}

struct Labelled<T: ?Sized>(Arc<RwLock<BTreeMap<String, Entry<T>>>>);

impl<T: ?Sized> Clone for Labelled<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Default for Labelled<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: ?Sized> Labelled<T> {
    fn find<R>(&self, kind: Kind, label: &str, give: impl FnOnce(&Entry<T>) -> R) -> Result<R, BuildError> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.get(label).filter(|entry| entry.slot.get().is_some());
        entry
            .map(give)
            .ok_or_else(|| BuildError::new(format!("{} resource '{label}' was not found", words(kind))))
    }

    /// Puts a version in, or takes it away; gives back the old one.
    fn put(&self, label: &str, next: Option<(Arc<T>, Around)>) -> Option<Arc<T>> {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(label.to_owned()).or_default();
        let (value, around) = next.unzip();
        let connections = around.as_ref().map(|around| around.connections.clone()).unwrap_or_default();
        entry.connections.replace(connections);
        let old_around = std::mem::replace(&mut entry.around, around);
        // The successor is there before the old input ends: a user who sees that end goes on with the new one.
        let old = entry.slot.put(value);
        if let Some(around) = &old_around {
            around.environment.soft_stop.cancel();
        }
        old
    }

    /// What is counted of the present versions.
    fn metrics(&self) -> Vec<Arc<Metrics>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let around = entries.values().filter_map(|entry| entry.around.as_ref());
        around.map(|around| Arc::clone(&around.metrics)).collect()
    }
}

fn words(kind: Kind) -> &'static str {
    if kind == Kind::RateLimit { "rate limit" } else { kind.name() }
}

impl Resources {
    /// What is counted of the resources; a version that is replaced takes it along.
    pub fn metrics(&self) -> Vec<Arc<Metrics>> {
        let Self { caches, rate_limits, processors, outputs, inputs } = self;
        [caches.metrics(), rate_limits.metrics(), processors.metrics(), outputs.metrics(), inputs.metrics()]
            .concat()
    }

    pub(crate) fn cache(&self, label: &str) -> Result<Slot<dyn Cache>, BuildError> {
        self.caches.find(Kind::Cache, label, |entry| entry.slot.clone())
    }

    pub(crate) fn rate_limit(&self, label: &str) -> Result<Slot<dyn RateLimit>, BuildError> {
        self.rate_limits.find(Kind::RateLimit, label, |entry| entry.slot.clone())
    }

    pub(crate) fn processor(&self, label: &str) -> Result<Slot<dyn Processor>, BuildError> {
        self.processors.find(Kind::Processor, label, |entry| entry.slot.clone())
    }

    pub(crate) fn output(&self, label: &str) -> Result<Connected<Slot<dyn Output>>, BuildError> {
        self.outputs.find(Kind::Output, label, |entry| (entry.slot.clone(), entry.shared()))
    }

    pub(crate) fn input(
        &self,
        label: &str,
        user: &Environment,
    ) -> Result<Connected<Box<dyn Input>>, BuildError> {
        self.inputs.find(Kind::Input, label, |entry| {
            let reader = InputUser { slot: entry.slot.clone(), environment: user.clone() };
            (Box::new(reader) as Box<dyn Input>, entry.shared())
        })
    }
}

impl BuiltResource {
    /// The other resources that it uses.
    pub fn uses(&self) -> Arc<Uses> {
        Arc::clone(&self.view.uses)
    }
}

impl Engine {
    /// Builds a resource and gives it its label, in place of what had it before. Of a failure nothing remains.
    pub fn put_resource(&self, kind: Kind, label: &str, node: &Node) -> Result<(), BuildError> {
        let named = node.with("label", Node::string(label));
        self.install_resource(self.build_resource(kind, label, &named)?);
        Ok(())
    }

    /// Builds a resource that nobody can use before it is installed. What it is called in errors and metrics is the
    /// label of its node, if it has one.
    pub fn build_resource(&self, kind: Kind, label: &str, node: &Node) -> Result<BuiltResource, BuildError> {
        let stored = HashMap::new();
        let mut site = Site::new(self.environment(""), &stored);
        let section = kind.resources().unwrap_or_default();
        let resource = Builder::new(self, &mut site, "root").resource(kind, section, node)?;
        Ok(BuiltResource {
            label: label.to_owned(),
            resource,
            environment: site.environment,
            view: site.view,
        })
    }

    /// Gives a resource its label, in place of what had it before.
    pub fn install_resource(&self, built: BuiltResource) {
        let BuiltResource { label, resource, environment, view } = built;
        let resources = &self.resources;
        let metrics = Arc::clone(&view.metrics);
        let around = |connections| Around { environment, connections, metrics };
        match resource {
            Resource::Cache(cache) => drop(resources.caches.put(&label, Some((cache, around(Vec::new()))))),
            Resource::RateLimit(limit) => {
                drop(resources.rate_limits.put(&label, Some((limit, around(Vec::new())))));
            }
            Resource::Processor(processor) => {
                drop(resources.processors.put(&label, Some((processor, around(Vec::new())))));
            }
            Resource::Output(output) => {
                close_later(resources.outputs.put(&label, Some((output, around(view.outputs.all())))));
            }
            Resource::Input(input) => {
                let shared =
                    Arc::new(SharedInput { input: Mutex::new(input), ended: AtomicBool::new(false) });
                drop(resources.inputs.put(&label, Some((shared, around(view.inputs.all())))));
            }
        }
    }

    /// Takes a resource away; false when there is none.
    pub fn remove_resource(&self, kind: Kind, label: &str) -> bool {
        let resources = &self.resources;
        match kind {
            Kind::Cache => resources.caches.put(label, None).is_some(),
            Kind::RateLimit => resources.rate_limits.put(label, None).is_some(),
            Kind::Processor => resources.processors.put(label, None).is_some(),
            Kind::Input => resources.inputs.put(label, None).is_some(),
            Kind::Output => {
                let old = resources.outputs.put(label, None);
                let was = old.is_some();
                close_later(old);
                was
            }
            _ => false,
        }
    }
}

/// Lets an output that was replaced end what it was given.
fn close_later(output: Option<Arc<dyn Output>>) {
    if let (Some(output), Ok(runtime)) = (output, tokio::runtime::Handle::try_current()) {
        runtime.spawn(async move { output.close().await });
    }
}

/// An input whose messages its users compete for.
pub(crate) struct SharedInput {
    input: Mutex<Box<dyn Input>>,
    ended: AtomicBool,
}

/// What a label stands for, with the connections behind it.
type Connected<T> = (T, Arc<Connections>);

struct InputUser {
    slot: Slot<SharedInput>,
    environment: Environment,
}

#[async_trait]
impl Input for InputUser {
    async fn next(&mut self) -> Next {
        loop {
            let Some(shared) = self.slot.get() else { return Next::End };
            let next = tokio::select! {
                biased;
                () = self.environment.soft_stop.cancelled() => return Next::End,
                mut input = shared.input.lock() => {
                    if shared.ended.load(Ordering::Acquire) {
                        Next::End
                    } else {
                        tokio::select! {
                            biased;
                            () = self.environment.soft_stop.cancelled() => return Next::End,
                            next = input.next() => next,
                        }
                    }
                }
            };
            if !matches!(next, Next::End) {
                return next;
            }
            if !shared.ended.swap(true, Ordering::AcqRel) {
                shared.input.lock().await.close().await;
            }
            // Ended because a successor took its place: go on with that.
            if self.slot.get().is_none_or(|current| Arc::ptr_eq(&current, &shared)) {
                return Next::End;
            }
        }
    }
}

//! Where components that change while they run have their children built.

use crate::{
    builder::{Builder, Engine, Site},
    taps::Taps,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use weir_config::{json::to_json, normalise::normalise, write::to_yaml};
use weir_core::{
    build_error::BuildError,
    context::{BuildContext, Environment},
    field::Field,
    input::Input,
    kind::Kind,
    node::Node,
    output::Output,
    view::View,
    workshop::{Apart, Shown, Workshop},
};

/// The workshop of one component.
pub(crate) struct Shop {
    engine: Engine,
    environment: Environment,
    /// The component's path.
    path: String,
    /// What can be seen of its stream.
    view: View,
    /// Where the messages of its stream are looked at.
    taps: Arc<Taps>,
    /// Checkpoints of its children; the first of a place goes on from there, whatever follows it starts afresh.
    stored: Mutex<HashMap<String, Arc<str>>>,
}

impl Shop {
    pub(crate) fn new(engine: &Engine, site: &Site<'_>, path: &str) -> Self {
        let below = site.stored().iter().filter(|(place, _)| is_below(place, path));
        Self {
            engine: engine.clone(),
            environment: site.environment.clone(),
            path: path.to_owned(),
            view: site.view.clone(),
            taps: Arc::clone(&site.taps),
            stored: Mutex::new(below.map(|(place, text)| (place.clone(), Arc::clone(text))).collect()),
        }
    }

    fn build<T>(
        &self,
        at: &str,
        build: impl FnOnce(&mut Builder<'_, '_>) -> Result<T, BuildError>,
    ) -> Result<Apart<T>, BuildError> {
        let path = format!("{}.{at}", self.path);
        let stored: HashMap<String, Arc<str>> = {
            let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
            stored.extract_if(|place, _| is_below(place, &path)).collect()
        };
        let environment = Environment {
            soft_stop: self.environment.soft_stop.child_token(),
            hard_stop: self.environment.hard_stop.child_token(),
            ..self.environment.clone()
        };
        let mut site = Site::new(environment, &stored);
        site.taps = Arc::clone(&self.taps);
        let component = build(&mut Builder::new(&self.engine, &mut site, &self.path))?;
        Ok(Apart { component, environment: site.environment, view: site.view })
    }
}

/// Whether a place is another one or below it.
fn is_below(place: &str, other: &str) -> bool {
    place.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl Workshop for Shop {
    fn input(&self, at: &str, node: &Node) -> Result<Apart<Box<dyn Input>>, BuildError> {
        self.build(at, |builder| builder.input(at, node))
    }

    fn output(&self, at: &str, node: &Node) -> Result<Apart<Arc<dyn Output>>, BuildError> {
        self.build(at, |builder| builder.output(at, node))
    }

    fn forget(&self) {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn show(&self, view: &View) {
        self.view.metrics.join(&view.metrics);
        self.view.checkpoints.join(&view.checkpoints);
        self.view.inputs.join(&view.inputs);
        self.view.outputs.join(&view.outputs);
        self.view.uses.join(&view.uses);
    }

    fn shown(&self, kind: Kind, node: &Node) -> Result<Shown, BuildError> {
        static INPUT: &[Field] = &[Field::input("input", "")];
        static OUTPUT: &[Field] = &[Field::output("output", "")];
        let section = if kind == Kind::Input { INPUT } else { OUTPUT };
        let whole = normalise(&Node::single(kind.name(), node.clone()), section, &self.engine.registry)?;
        let shown = whole.get(kind.name()).unwrap_or(node);
        Ok(Shown { yaml: to_yaml(shown), json: to_json(shown).to_string() })
    }
}

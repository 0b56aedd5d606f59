//! Building components while their stream runs.

use crate::{
    build_error::BuildError, context::Environment, input::Input, kind::Kind, node::Node, output::Output,
    view::View,
};
use std::sync::Arc;

/// A component that can be stopped by itself, with what is to be seen of it.
pub struct Apart<T> {
    /// The component.
    pub component: T,
    /// Its surroundings: the tokens stop this component alone, and are cancelled with those of the stream.
    pub environment: Environment,
    /// What can be seen of it, once it is [shown](Workshop::show).
    pub view: View,
}

/// A config as it is shown to users: fields in order, secrets hidden.
#[derive(Debug, Clone)]
pub struct Shown {
    /// As YAML.
    pub yaml: String,
    /// As JSON.
    pub json: String,
}

/// Builds children of one component, while the stream is built and later.
pub trait Workshop: Send + Sync {
    /// Builds a child input.
    fn input(&self, at: &str, node: &Node) -> Result<Apart<Box<dyn Input>>, BuildError>;
    /// Builds a child output.
    fn output(&self, at: &str, node: &Node) -> Result<Apart<Arc<dyn Output>>, BuildError>;
    /// Has all that is built from now on begin afresh, whatever is stored of where it stood.
    fn forget(&self);
    /// Lets what is built be seen with the stream for as long as it lives: what it counts, its checkpoints, and
    /// its connections.
    fn show(&self, view: &View);
    /// A child's config as it is shown.
    fn shown(&self, kind: Kind, node: &Node) -> Result<Shown, BuildError>;
}

//! What a component says about itself: name, fields, docs, examples, constructor.

use crate::{
    build_error::BuildError,
    context::BuildContext,
    field::{Check, Field},
    node::Node,
};

/// How settled a component is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Status {
    /// Will not change in ways that break configs.
    #[default]
    Stable,
    /// Nearly so.
    Beta,
    /// May change.
    Experimental,
    /// Only kept for old configs.
    Deprecated,
}

/// What the config of a component looks like.
#[derive(Debug, Clone, Copy)]
pub enum Body {
    /// An object of fields.
    Fields(&'static [Field]),
    /// An object of fields that is also looked at as a whole.
    Checked(&'static [Field], Check),
    /// A single value, such as a mapping; the field's name is empty.
    Single(Field),
    /// A list of values; the field's name is empty.
    List(Field),
    /// Named values; the field's name is empty.
    Map(Field),
    /// An object that holds nothing.
    Empty,
}

/// A documented config that a test builds.
#[derive(Debug, Clone, Copy)]
pub struct Example {
    /// Title in the docs.
    pub title: &'static str,
    /// YAML of the component's own body.
    pub config: &'static str,
}

/// Everything the rest of the program knows about a component that is built to a `B`.
pub struct Spec<B: 'static> {
    /// Its name in configs.
    pub name: &'static str,
    /// First paragraph of the docs, a sentence.
    pub summary: &'static str,
    /// The rest of the docs, Markdown; may be empty.
    pub description: &'static str,
    /// How settled it is.
    pub status: Status,
    /// What its config looks like.
    pub body: Body,
    /// Documented configs.
    pub examples: &'static [Example],
    /// Makes one of a prepared body: unknown keys are gone and defaults are filled in.
    pub build: fn(&Node, &mut dyn BuildContext) -> Result<B, BuildError>,
}

/// What can be said of a component without building it.
#[derive(Debug, Clone, Copy)]
pub struct Outline {
    /// Its name in configs.
    pub name: &'static str,
    /// First paragraph of the docs.
    pub summary: &'static str,
    /// The rest of the docs.
    pub description: &'static str,
    /// How settled it is.
    pub status: Status,
    /// What its config looks like.
    pub body: Body,
    /// Documented configs.
    pub examples: &'static [Example],
}

impl<B> Spec<B> {
    /// The spec without its constructor.
    pub const fn outline(&self) -> Outline {
        Outline {
            name: self.name,
            summary: self.summary,
            description: self.description,
            status: self.status,
            body: self.body,
            examples: self.examples,
        }
    }

    /// Prepares a body and builds the component. Children are built through the context.
    pub fn build(&self, body: &Node, context: &mut dyn BuildContext) -> Result<B, BuildError> {
        (self.build)(&crate::prepare::body(&self.body, body)?, context)
    }
}

//! Configuration text to nodes, and back: environment variables, the sections of a config, its typed form, edits of
//! it, and the forms in which it is shown.

pub mod dotenv;
pub mod environment;
pub mod excerpt;
pub mod file;
pub mod json;
pub mod labels;
pub mod merge;
pub mod normalise;
pub mod sections;
pub mod service;
pub mod set;
pub mod stream;
pub mod template;
pub mod tokens;
pub mod write;

pub use weir_core::{
    lint::{Lint, LintOptions},
    node::Node,
};

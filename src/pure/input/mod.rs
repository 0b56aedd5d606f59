//! Inputs that read nothing of the outside.

mod broker;
mod generate;
mod inproc;
mod resource;

use weir_core::registry::InputSpec;

/// Every input of this folder, sorted by name.
pub(crate) static SPECS: &[&InputSpec] = &[&broker::SPEC, &generate::SPEC, &inproc::SPEC, &resource::SPEC];

//! Inputs that read nothing of the outside.

mod batched;
mod broker;
mod dynamic;
mod generate;
mod given;
mod inproc;
mod read_until;
mod resource;
mod sequence;

use weir_core::registry::InputSpec;

/// Every input of this folder, sorted by name.
pub(crate) static SPECS: &[&InputSpec] = &[
    &batched::SPEC,
    &broker::SPEC,
    &dynamic::SPEC,
    &generate::SPEC,
    &inproc::SPEC,
    &read_until::SPEC,
    &resource::SPEC,
    &sequence::SPEC,
];

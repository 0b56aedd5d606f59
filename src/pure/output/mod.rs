//! Outputs that write nothing outside, or pass messages to other outputs.

mod broker;
mod cache;
mod drop;
mod drop_on;
mod dynamic;
mod fallback;
mod inproc;
mod kept;
mod reject;
mod reject_errored;
mod resend;
mod resource;
mod retry;
mod switch;
mod sync_response;

use weir_core::registry::OutputSpec;

/// Every output of this folder, sorted by name.
pub(crate) static SPECS: &[&OutputSpec] = &[
    &broker::SPEC,
    &cache::SPEC,
    &drop::SPEC,
    &drop_on::SPEC,
    &dynamic::SPEC,
    &fallback::SPEC,
    &inproc::SPEC,
    &reject::SPEC,
    &reject_errored::SPEC,
    &resource::SPEC,
    &retry::SPEC,
    &switch::SPEC,
    &sync_response::SPEC,
];

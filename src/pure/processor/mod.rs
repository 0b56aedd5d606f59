//! Processors.

mod archive;
mod benchmark;
mod bloblang;
mod bounds_check;
mod branch;
mod cache;
mod cached;
mod catch;
mod compress;
mod crash;
mod decompress;
mod dedupe;
mod for_each;
mod grok;
mod group_by;
mod group_by_value;
mod insert_part;
mod jmespath;
mod jq;
mod json_schema;
mod log;
mod mapping;
mod metric;
mod mutation;
mod noop;
mod parallel;
mod parse_log;
mod processors;
mod rate_limit;
mod resource;
mod retry;
mod select_parts;
mod sleep;
mod split;
mod switch;
mod sync_response;
mod r#try;
mod try_catch;
pub(crate) mod unarchive;
mod r#while;
mod workflow;

use crate::{log::Log, scratch::with_scratch};
use std::sync::Arc;
use weir_bloblang::{Message, MessageError};
use weir_core::{
    build_error::BuildError, context::BuildContext, expression::Mapping, node::Node, processor::Processor,
    registry::ProcessorSpec,
};

/// Every processor of this crate, by name.
pub(crate) static SPECS: &[&ProcessorSpec] = &[
    &archive::SPEC,
    &benchmark::SPEC,
    &bloblang::SPEC,
    &bounds_check::SPEC,
    &branch::SPEC,
    &cache::SPEC,
    &cached::SPEC,
    &catch::SPEC,
    &compress::SPEC,
    &crash::SPEC,
    &decompress::SPEC,
    &dedupe::SPEC,
    &for_each::SPEC,
    &grok::SPEC,
    &group_by::SPEC,
    &group_by_value::SPEC,
    &insert_part::SPEC,
    &jmespath::SPEC,
    &jq::SPEC,
    &json_schema::SPEC,
    &log::SPEC,
    &mapping::SPEC,
    &metric::SPEC,
    &mutation::SPEC,
    &noop::SPEC,
    &parallel::SPEC,
    &parse_log::SPEC,
    &processors::SPEC,
    &rate_limit::SPEC,
    &resource::SPEC,
    &retry::SPEC,
    &select_parts::SPEC,
    &sleep::SPEC,
    &split::SPEC,
    &switch::SPEC,
    &sync_response::SPEC,
    &r#try::SPEC,
    &try_catch::SPEC,
    &unarchive::SPEC,
    &r#while::SPEC,
    &workflow::SPEC,
];

/// Flags a message as failed without saying where: only some components name themselves in the error.
fn flag(message: &mut Message, text: impl Into<String>) {
    message.set_error(Some(Arc::new(MessageError { text: text.into(), ..MessageError::default() })));
}

/// A mapping that may be left out; `what` it is called in errors.
fn optional_mapping(text: &str, what: &str) -> Result<Option<Mapping>, BuildError> {
    if text.is_empty() {
        return Ok(None);
    }
    Mapping::parse(text).map(Some).map_err(|error| error.context(format!("failed to parse {what}")))
}

/// Builds children that are run one by one, not as a chain.
fn children(
    context: &mut dyn BuildContext,
    at: &str,
    node: &Node,
) -> Result<Vec<Arc<dyn Processor>>, BuildError> {
    let nodes = node.as_list().unwrap_or_default();
    nodes.iter().enumerate().map(|(index, node)| context.processor(&format!("{at}.{index}"), node)).collect()
}

/// Whether a query is true for a message; one that fails is false, and nobody is flagged.
fn flagless_check(check: &Mapping, batch: &[Message], index: usize, log: &Log) -> bool {
    with_scratch(|scratch| check.check(batch, index, scratch)).unwrap_or_else(|error| {
        log.error(format_args!("Check failed: {error}"));
        false
    })
}

//! Processors.

mod archive;
mod bloblang;
mod branch;
mod cache;
mod catch;
mod for_each;
mod log;
mod mapping;
mod mutation;
mod noop;
mod processors;
mod rate_limit;
mod resource;
mod select_parts;
mod sleep;
mod switch;
mod sync_response;
mod r#try;
mod unarchive;

use std::sync::Arc;
use weir_bloblang::{Message, MessageError};
use weir_core::{
    build_error::BuildError, context::BuildContext, expression::Mapping, node::Node, processor::Processor,
    registry::ProcessorSpec,
};

/// Every processor of this crate, by name.
pub(crate) static SPECS: &[&ProcessorSpec] = &[
    &archive::SPEC,
    &bloblang::SPEC,
    &branch::SPEC,
    &cache::SPEC,
    &catch::SPEC,
    &for_each::SPEC,
    &log::SPEC,
    &mapping::SPEC,
    &mutation::SPEC,
    &noop::SPEC,
    &processors::SPEC,
    &rate_limit::SPEC,
    &resource::SPEC,
    &select_parts::SPEC,
    &sleep::SPEC,
    &switch::SPEC,
    &sync_response::SPEC,
    &r#try::SPEC,
    &unarchive::SPEC,
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

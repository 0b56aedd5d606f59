//! Secrets in texts that are shown: what is marked so, and passwords in URLs.

use crate::runtime::component_kind;
use weir_config::{
    normalise::{Form, scrub, secrets},
    sections, tokens,
};
use weir_control::record::Kind;
use weir_core::registry::Registry;

/// A text made of these texts as submitted, with their secrets put out of sight.
pub(super) fn scrubbed(shown: String, kind: Kind, texts: &[&str], registry: &Registry) -> String {
    let form = component_kind(kind).map_or(Form::Sections(sections::STREAM_FILE), Form::Component);
    let found = |text: &&str| Some(secrets(&tokens::parse(text).ok()?, form, registry));
    let mut all: Vec<String> = texts.iter().filter_map(found).flatten().collect();
    // The longest first: another may be a part of it.
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    scrub(shown, &all)
}

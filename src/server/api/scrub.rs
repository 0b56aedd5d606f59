//! Secrets in texts that are shown: what is marked so, and passwords in URLs.

use super::streams::config;
use crate::{runtime::component_kind, secrets::hide};
use serde_json::Value;
use weir_config::{
    normalise::{Form, scrub, secrets},
    sections, tokens,
};
use weir_control::record::Kind;
use weir_core::registry::Registry;

/// A config as it is shown to who may not change it.
pub(super) fn veiled(text: &str, kind: Kind, registry: &Registry) -> (String, Value) {
    let mut config = config(text);
    let all = found(kind, &[text], registry);
    veil(&mut config, &all);
    (scrub(text.to_owned(), &all), config)
}

/// Puts secrets in a config out of sight.
fn veil(value: &mut Value, all: &[String]) {
    match value {
        Value::String(text) => *text = scrub(std::mem::take(text), all),
        Value::Array(items) => items.iter_mut().for_each(|item| veil(item, all)),
        Value::Object(fields) => fields.values_mut().for_each(|field| veil(field, all)),
        // A password of digits.
        Value::Number(number) if all.contains(&number.to_string()) => {
            *value = scrub(number.to_string(), all).into();
        }
        _ => {}
    }
}

/// A text made of these texts as submitted, with their secrets put out of sight.
pub(super) fn scrubbed(shown: String, kind: Kind, texts: &[&str], registry: &Registry) -> String {
    // What variables stand for now may be written out elsewhere.
    scrub(hide(shown), &found(kind, texts, registry))
}

/// The secrets of texts as submitted, the longest first: another may be a part of it.
fn found(kind: Kind, texts: &[&str], registry: &Registry) -> Vec<String> {
    let form = component_kind(kind).map_or(Form::Sections(sections::STREAM_FILE), Form::Component);
    let found = |text: &&str| Some(secrets(&tokens::parse(text).ok()?, form, registry));
    let mut all: Vec<String> = texts.iter().filter_map(found).flatten().collect();
    all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_secrets_and_those_of_digits_are_hidden_in_a_config() {
        let registry = Registry::new(&[weir_pure::TABLE, weir_io::TABLE]);
        let text = "output: { http_client: { url: 'http://ab:x@ab/', basic_auth: { password: 1234 } } }\n";
        let (shown, config) = veiled(text, Kind::Stream, &registry);
        for part in ["x@", "1234"] {
            assert!(!shown.contains(part) && !config.to_string().contains(part), "{part}: {shown} {config}");
        }
        assert!(
            shown.contains("http://ab:") && config["output"]["http_client"]["url"].is_string(),
            "{shown}"
        );
    }
}

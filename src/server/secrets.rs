//! Secrets of the configs that are in use: wherever a text leaves the server, they are put out of sight.
//!
//! What streams say of themselves goes through `hide` where it comes in, and every log line where it goes out.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{PoisonError, RwLock},
};
use weir_config::{
    Node,
    normalise::{Form, SHORTEST, scrub, secrets},
};
use weir_core::{field::Field, node::Value, registry::Registry};

/// Those that are known, with how many configs hold each. The longest go first, for another may be a part of it.
static KNOWN: RwLock<BTreeMap<(std::cmp::Reverse<usize>, String), usize>> = RwLock::new(BTreeMap::new());

/// Values that variables of configs had: one is a secret wherever a secret was made of it.
static VARIABLES: RwLock<BTreeSet<String>> = RwLock::new(BTreeSet::new());

/// Endings of the names of fields that hold secrets: other configs need not be looked through.
const ENDINGS: [&str; 4] = ["password", "secret", "key", "root_cas"];
/// Shorter values of variables may stand for anything.
const LONG: usize = 8;

/// Secrets that are known as long as this lives.
pub(crate) struct Held(Vec<String>);

/// Whether a config may hold a secret at all.
fn is_suspect(node: &Node) -> bool {
    match node.value() {
        Value::Scalar(scalar) => scalar.text.contains("://") && scalar.text.contains('@'),
        Value::List(items) => items.iter().any(is_suspect),
        Value::Map(entries) => entries.iter().any(|(key, value)| {
            ENDINGS.iter().any(|ending| key.key_text().ends_with(ending)) || is_suspect(value)
        }),
    }
}

/// The secrets of a stream's or resource's config, variables expanded; `None` for the many that hold none.
pub(crate) fn hold(node: &Node, form: Form, registry: &Registry) -> Option<Held> {
    if is_suspect(node) { hold_these(secrets(node, form, registry)) } else { None }
}

/// The secrets of a config that the process itself runs by; to be held before the first log line.
pub(crate) fn hold_all(node: &Node, sections: &'static [Field], registry: &Registry) -> Option<Held> {
    hold_these(secrets(node, Form::Sections(sections), registry))
}

/// Notes a variable's value that goes into a config, as it is and as `base64decode` makes it.
pub(crate) fn note_variable(value: &str) {
    let is_known = || VARIABLES.read().unwrap_or_else(PoisonError::into_inner).contains(value);
    if value.len() < LONG || is_known() {
        return;
    }
    let decoded = STANDARD.decode(value).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let values = [Some(value.to_owned()), decoded].into_iter().flatten().filter(|value| value.len() >= LONG);
    VARIABLES.write().unwrap_or_else(PoisonError::into_inner).extend(values);
}

fn hold_these(mut found: Vec<String>) -> Option<Held> {
    // `Bearer ${TOKEN}` makes a secret of the variable's value too, and so does `Bearer TOKEN` of the token.
    let words = found.iter().flat_map(|secret| secret.split_whitespace()).filter(|word| word.len() >= LONG);
    let variables = VARIABLES.read().unwrap_or_else(PoisonError::into_inner);
    let values = variables.iter().filter(|value| found.iter().any(|secret| secret.contains(*value)));
    let parts: Vec<String> = words.chain(values.map(String::as_str)).map(str::to_owned).collect();
    drop(variables);
    found.extend(parts);
    // In answers and in the log they may be written as JSON, and in URLs with percent signs.
    let escaped: Vec<String> =
        found.iter().map(|secret| serde_json::Value::from(secret.as_str()).to_string()).collect();
    found.extend(
        escaped.iter().filter_map(|text| Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned())),
    );
    found.retain(|secret| secret.len() >= SHORTEST);
    found.sort();
    found.dedup();
    if found.is_empty() {
        return None;
    }
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for secret in &found {
        *known.entry((std::cmp::Reverse(secret.len()), secret.clone())).or_default() += 1;
    }
    drop(known);
    Some(Held(found))
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        for secret in self.0.drain(..) {
            let key = (std::cmp::Reverse(secret.len()), secret);
            if let Some(count) = known.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    known.remove(&key);
                }
            }
        }
    }
}

/// A text without the secrets that are known.
pub(crate) fn hide(text: String) -> String {
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
    known.keys().fold(text, |text, (_, secret)| scrub(text, std::slice::from_ref(secret)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::{field::FieldType, kind::Kind, spec::Body};

    #[test]
    fn a_secret_is_hidden_as_long_as_a_config_holds_it() {
        let registry = Registry::new(&[]);
        let node = |text: &str| weir_core::yaml::parse(text).unwrap();
        for none in ["a: 'http://host/'", "key: k", "a: 'http://user@host/'"] {
            assert!(hold(&node(none), Form::Sections(&[]), &registry).is_none(), "{none}");
        }
        let first = hold(&node("a: 'http://u:once-hidden@h/'"), Form::Sections(&[]), &registry);
        let second = hold(&node("b: 'http://u:once-hidden@h/'"), Form::Sections(&[]), &registry);
        drop(first);
        assert_eq!(hide("at once-hidden!".into()), "at !!!SECRET_SCRUBBED!!!!");
        drop(second);
        assert_eq!(hide("at once-hidden!".into()), "at once-hidden!");
    }

    #[test]
    fn the_value_of_a_variable_is_hidden_with_the_secret_that_was_made_of_it() {
        ["variable-a", "dmFyaWFibGUtYg==", "variable-c"].iter().for_each(|value| note_variable(value));
        let node = weir_core::yaml::parse("a: 'http://u:pre-variable-a:variable-b@h/variable-c'").unwrap();
        let held = hold(&node, Form::Sections(&[]), &Registry::new(&[]));
        let hidden = "!!!SECRET_SCRUBBED!!!";
        for (text, wanted) in [
            ("no variable-a here", format!("no {hidden} here")),
            ("variable-b", hidden.to_owned()),
            ("variable-c", "variable-c".to_owned()),
        ] {
            assert_eq!(hide(text.into()), wanted, "{text}");
        }
        drop(held);
    }

    fn marked(fields: &[Field], found: &mut Vec<&'static str>) {
        for field in fields {
            if field.secret {
                found.push(field.name);
            }
            if let FieldType::Object(inner) = field.ty {
                marked(inner, found);
            }
        }
    }

    #[test]
    fn every_field_that_holds_a_secret_is_suspect() {
        let registry = Registry::new(&[weir_pure::TABLE, weir_io::TABLE]);
        let mut found = Vec::new();
        for kind in [Kind::Input, Kind::Output, Kind::Processor, Kind::Cache, Kind::Metrics] {
            for outline in registry.outlines(kind) {
                if let Body::Fields(fields) | Body::Checked(fields, _) = &outline.body {
                    marked(fields, &mut found);
                }
            }
        }
        assert!(found.len() > 5, "{found:?}");
        assert!(found.iter().all(|name| ENDINGS.iter().any(|ending| name.ends_with(ending))), "{found:?}");
    }
}

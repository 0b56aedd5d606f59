//! Why a case fails, as far as its config tells.

use super::{
    Case,
    todo::{DIFFERS, NOT_BUILT},
};
use serde_yaml::Value;
use weir_core::{kind::Kind, registry::Registry};

/// The reason to give for a failing case.
pub(crate) fn reason(case: &Case) -> &'static str {
    let registry = Registry::new(&[weir_pure::TABLE, weir_io::TABLE]);
    let mut texts = vec![case.text("config").to_owned()];
    let files = case.value.get("files").and_then(serde_json::Value::as_object);
    texts.extend(files.into_iter().flatten().filter_map(|(_, text)| text.as_str().map(str::to_owned)));
    for step in super::steps::list(&case.value, "steps") {
        texts.extend(step.get("body").and_then(|body| body.as_str().map(str::to_owned)));
    }
    let missing = |text: &String| serde_yaml::from_str(text).is_ok_and(|tree| lacks(&registry, &tree));
    if texts.iter().any(missing) { NOT_BUILT } else { DIFFERS }
}

/// What a key of a config holds: a component of a kind, or several.
fn kind_of(key: &str) -> Option<Kind> {
    Some(match key {
        "try" | "catch" | "for_each" => Kind::Processor,
        "fallback" => Kind::Output,
        _ => {
            let key = key.strip_suffix("_resources").unwrap_or(key);
            Kind::from_name(key).or_else(|| Kind::from_name(key.strip_suffix('s')?))?
        }
    })
}

/// Whether a component is named that there is not.
fn lacks(registry: &Registry, tree: &Value) -> bool {
    match tree {
        Value::Mapping(map) => map.iter().any(|(key, value)| {
            let kind = key.as_str().and_then(kind_of);
            let unknown = |one: &Value| kind.is_some_and(|kind| is_unknown(registry, kind, one));
            let here = match value {
                Value::Sequence(list) => list.iter().any(unknown),
                other => unknown(other),
            };
            here || lacks(registry, value)
        }),
        Value::Sequence(list) => list.iter().any(|value| lacks(registry, value)),
        _ => false,
    }
}

/// Whether a config has a shape like a component's, and is of none that there is.
fn is_unknown(registry: &Registry, kind: Kind, config: &Value) -> bool {
    let Value::Mapping(map) = config else { return false };
    let known = |name: &str| registry.outline(kind, name).is_some();
    if let Some(name) = map.get("type").and_then(Value::as_str) {
        return !known(name);
    }
    let mut names =
        map.keys().filter_map(Value::as_str).filter(|name| !kind.reserved().contains(name)).peekable();
    names.peek().is_some() && !names.any(known)
}

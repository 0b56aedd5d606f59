//! Which component a config means.

use crate::{
    build_error::BuildError,
    kind::Kind,
    node::{Node, Value},
    registry::{Chosen, Registry},
};

pub(crate) fn infer(registry: &Registry, kind: Kind, node: &Node) -> Result<Chosen, BuildError> {
    let node = &node.merged();
    if !matches!(node.value(), Value::Map(_)) {
        return Err(node.error(format!("invalid type {}, expected object", node.tag())));
    }
    let name = match node.get("type") {
        Some(explicit) => {
            let name = explicit.as_str().unwrap_or("");
            let known = registry.outline(kind, name).map(|outline| outline.name);
            known.ok_or_else(|| node.error(format!("{kind} type '{name}' was not recognised")))?
        }
        None => inferred(registry, kind, node)?,
    };
    let body = node.get(name).or_else(|| node.get("plugin")).cloned();
    let body = body.unwrap_or_else(|| Node::null().with_position(node.position()));
    let label = node.get("label").and_then(Node::as_str).unwrap_or("").to_owned();
    Ok(Chosen { name, body, label })
}

/// The only known component among the keys.
fn inferred(registry: &Registry, kind: Kind, node: &Node) -> Result<&'static str, BuildError> {
    let candidates: Vec<&str> =
        node.entries().map(|(key, _)| key).filter(|key| !kind.reserved().contains(key)).collect();
    let mut known: Vec<&'static str> = candidates
        .iter()
        .filter_map(|name| registry.outline(kind, name).map(|outline| outline.name))
        .collect();
    known.sort_unstable();
    match known.as_slice() {
        [name] => Ok(name),
        [first, .., last] => {
            Err(node
                .error(format!("unable to infer {kind} type, multiple candidates '{first}' and '{last}'")))
        }
        [] if candidates.is_empty() => Err(node.error(format!("an explicit {kind} type must be specified"))),
        [] => {
            let mut candidates = candidates;
            candidates.sort_unstable();
            Err(node
                .error(format!("unable to infer {kind} type from candidates: [{}]", candidates.join(" "))))
        }
    }
}

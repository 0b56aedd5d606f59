//! Edits of whole configs: what a PATCH does, and what a file of resources adds.

use crate::Node;
use weir_core::node::Value;

/// Lays `patch` over `base`: objects merge, anything else replaces. Members set to null stay null, and a patch that
/// is no object changes nothing. Of keys that are new, their order in the patch is kept.
#[must_use]
pub fn patch(base: &Node, patch: &Node) -> Node {
    if patch.as_map().is_none_or(<[_]>::is_empty) {
        return base.clone();
    }
    lay(base, patch)
}

fn lay(base: &Node, patch: &Node) -> Node {
    let (Value::Map(_), Value::Map(changes)) = (base.value(), patch.value()) else { return patch.clone() };
    let merged = base.merged();
    let mut entries: Vec<(Node, Node)> = merged.as_map().unwrap_or_default().to_vec();
    for (key, change) in changes {
        let name = key.key_text();
        match entries.iter_mut().rev().find(|(existing, _)| existing.key_text() == name) {
            Some((_, value)) => *value = lay(value, change),
            None => entries.push((key.clone(), change.clone())),
        }
    }
    base.with_value(Value::Map(entries))
}

/// Adds the resources of another file behind those of this config.
#[must_use]
pub fn resources(base: &Node, file: &Node) -> Node {
    let sections = crate::sections::RESOURCES.iter().map(|field| field.name);
    let mut result = base.clone();
    for name in sections {
        let Some(added) = file.get(name).and_then(Node::as_list) else { continue };
        let mut items = result.get(name).and_then(Node::as_list).unwrap_or_default().to_vec();
        items.extend_from_slice(added);
        result = result.with(name, Node::list(items));
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::to_yaml;

    fn patched(base: &str, change: &str) -> String {
        let parse = |text: &str| weir_core::yaml::parse(text).unwrap();
        to_yaml(&patch(&parse(base), &parse(change)))
    }

    #[test]
    fn objects_merge_and_everything_else_replaces() {
        assert_eq!(
            patched("a: { b: 1, c: [ 1 ] }\nd: x", "a: { c: [ 2 ], e: ~ }"),
            "a:\n  b: 1\n  c:\n    - 2\n  e: ~\nd: x\n"
        );
        assert_eq!(patched("a: [ 1 ]", "a: { b: 1 }"), "a:\n  b: 1\n");
        for nothing in ["", "null", "{}", "[ 1 ]", "x"] {
            assert_eq!(patched("a: 1", nothing), "a: 1\n", "{nothing}");
        }
    }

    #[test]
    fn merge_keys_are_resolved_before_they_are_edited() {
        assert_eq!(
            patched("x: &x { a: 1 }\ny: { <<: *x, b: 2 }", "y: { a: 3 }"),
            "x:\n  a: 1\ny:\n  b: 2\n  a: 3\n"
        );
    }
}

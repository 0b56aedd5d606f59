//! Configs made of specs: every field with its default, or with what it lacks.

use weir_config::{Node, write::to_yaml};
use weir_core::{
    field::{Field, FieldType, Shape},
    prepare::default_node,
    spec::{Body, Outline},
};

/// A component's config as YAML lines: its name and its fields. Without `advanced` those are left out.
pub(super) fn component(outline: &Outline, advanced: bool) -> Vec<String> {
    match &outline.body {
        Body::Fields(fields) | Body::Checked(fields, _) => nested(outline.name, &object(fields, advanced)),
        Body::Single(field) => value(outline.name, field, field.shape, advanced),
        Body::List(field) => value(outline.name, field, Shape::List, advanced),
        Body::Map(field) => value(outline.name, field, Shape::Map, advanced),
        Body::Empty => vec![format!("{}: {{}}", outline.name)],
    }
}

/// A list of things, each of one or more lines.
pub(super) fn items(items: &[Vec<String>]) -> Vec<String> {
    let mark = |(index, line): (usize, &String)| format!("{}{line}", if index == 0 { "- " } else { "  " });
    items.iter().flat_map(|lines| lines.iter().enumerate().map(mark)).collect()
}

/// Lines below a key.
pub(super) fn nested(name: &str, lines: &[String]) -> Vec<String> {
    if lines.iter().all(|line| line.trim_start().starts_with('#')) {
        return vec![format!("{name}: {{}}")];
    }
    let mut all = vec![format!("{name}:")];
    all.extend(lines.iter().map(|line| format!("  {line}")));
    all
}

fn object(fields: &[Field], advanced: bool) -> Vec<String> {
    let shown = fields.iter().filter(|field| !field.deprecated && (advanced || !field.advanced));
    shown.flat_map(|field| value(field.name, field, field.shape, advanced)).collect()
}

fn value(name: &str, field: &Field, shape: Shape, advanced: bool) -> Vec<String> {
    if let Some(default) = field.default {
        let text = to_yaml(&Node::map(vec![(Node::string(name), default_node(default))]));
        return text.lines().map(str::to_owned).collect();
    }
    let zero = match (shape, field.ty) {
        (Shape::List | Shape::ListOfLists, _) => "[]",
        (Shape::One, FieldType::Object(fields)) if !field.optional => {
            return nested(name, &object(fields, advanced));
        }
        (Shape::Map, _) | (_, FieldType::Object(_) | FieldType::Component(_)) => "{}",
        (_, FieldType::Int | FieldType::Float) => "0",
        (_, FieldType::Bool) => "false",
        (_, FieldType::Any) => "null",
        _ => "\"\"",
    };
    // What may be absent is only mentioned: a config with it would mean something else.
    vec![if field.is_required() {
        format!("{name}: {zero} # No default (required)")
    } else {
        format!("# {name}: {zero} # No default (optional)")
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_defaults_and_what_they_lack_is_said() {
        static FIELDS: &[Field] = &[
            Field::string("path", ""),
            Field::int("count", "").default("3"),
            Field::string("note", "").optional(),
            Field::object("more", "", &[Field::string("deep", "").list().default("[ a ]")]).advanced(),
        ];
        let lines = nested("x", &object(FIELDS, true)).join("\n");
        assert_eq!(
            lines,
            "x:\n  path: \"\" # No default (required)\n  count: 3\n  # note: \"\" # No default (optional)\n  more:\n    deep:\n      - a"
        );
        assert_eq!(items(&[vec!["a:".into(), "  b: 1".into()]]), ["- a:", "    b: 1"]);
    }
}

//! `weir list` and `weir docs`: what there is, from the specs.

use super::{
    args::{DocsArgs, Format, ListArgs},
    cue, schema, skeleton,
};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use weir_bloblang::{Environment, spec::Spec};
use weir_config::{json::to_json, sections};
use weir_core::{
    field::{Field, FieldType, Shape},
    kind::Kind,
    prepare::default_node,
    registry::Registry,
    spec::{Body, Outline, Status},
};

/// What is listed: its name in arguments and JSON, and its title.
const SECTIONS: [(&str, &str); 11] = [
    ("inputs", "Inputs"),
    ("processors", "Processors"),
    ("outputs", "Outputs"),
    ("caches", "Caches"),
    ("rate-limits", "Rate Limits"),
    ("buffers", "Buffers"),
    ("metrics", "Metrics"),
    ("tracers", "Tracers"),
    ("scanners", "Scanners"),
    ("bloblang-functions", "Bloblang Functions"),
    ("bloblang-methods", "Bloblang Methods"),
];

/// The list that is asked for.
pub(super) fn list(args: &ListArgs, registry: &Registry) -> Result<String, String> {
    let language = Environment::new();
    match args.format {
        Format::Jsonschema => return Ok(schema::config(registry).to_string() + "\n"),
        Format::Cue => return Ok(cue::config(registry)),
        _ => {}
    }
    let wanted = |name: &str| args.kinds.is_empty() || args.kinds.iter().any(|kind| is_named(name, kind));
    if let Some(odd) = args.kinds.iter().find(|kind| !SECTIONS.iter().any(|(name, _)| is_named(name, kind))) {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no kind '{odd}'; the kinds are {}", names.join(", ")));
    }
    let is_shown = |status: Status| args.status.as_deref().is_none_or(|wanted| wanted == word(status));
    let full = matches!(args.format, Format::JsonFull | Format::JsonFullScrubbed);
    let texts = args.format != Format::JsonFullScrubbed;
    let (mut all, mut plain) = (Map::new(), String::new());
    if full && args.kinds.is_empty() {
        all.insert("version".into(), json!(env!("CARGO_PKG_VERSION")));
        all.insert("config".into(), fields(sections::CONFIG, texts));
    }
    for (name, title) in SECTIONS.into_iter().filter(|(name, _)| wanted(name)) {
        let mut found: Vec<(&str, Value)> = if let Some(kind) = kind(name) {
            registry
                .outlines(kind)
                .filter(|outline| is_shown(outline.status))
                .map(|outline| {
                    (outline.name, if full { component(kind, outline, texts) } else { Value::Null })
                })
                .collect()
        } else {
            let specs: Vec<&'static Spec> = if name == "bloblang-functions" {
                language.functions().collect()
            } else {
                language.methods().collect()
            };
            specs
                .into_iter()
                .filter(|_| is_shown(Status::Stable))
                .map(|spec| (spec.name, if full { function(spec, texts) } else { Value::Null }))
                .collect()
        };
        found.sort_by_key(|(name, _)| *name);
        let items = found.iter().map(|(name, item)| if full { item.clone() } else { json!(name) });
        all.insert(name.into(), items.collect());
        if !plain.is_empty() {
            plain.push('\n');
        }
        let names: String = found.iter().flat_map(|(name, _)| ["  - ", name, "\n"]).collect();
        // Writing to a string cannot fail.
        let _written = write!(plain, "{title}:\n{names}");
    }
    Ok(if args.format == Format::Text { plain } else { Value::Object(all).to_string() + "\n" })
}

/// Whether an argument means a section: plural or not, with dashes or underscores.
fn is_named(section: &str, argument: &str) -> bool {
    let argument = argument.to_lowercase().replace(['_', ' '], "-");
    section == argument || kind(section).is_some_and(|kind| kind.name().replace('_', "-") == argument)
}

fn kind(section: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| match kind {
        Kind::Metrics => section == "metrics",
        kind => section == plural(*kind),
    })
}

fn plural(kind: Kind) -> String {
    let ending = if matches!(kind, Kind::Cache) { "es" } else { "s" };
    let stem = kind.name().replace('_', "-");
    if kind == Kind::Cache { stem.trim_end_matches('e').to_owned() + ending } else { stem + ending }
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Stable => "stable",
        Status::Beta => "beta",
        Status::Experimental => "experimental",
        Status::Deprecated => "deprecated",
    }
}

fn component(kind: Kind, outline: &Outline, texts: bool) -> Value {
    let config = match &outline.body {
        Body::Fields(all) | Body::Checked(all, _) => {
            json!({"name": "", "type": "object", "kind": "scalar", "children": fields(all, texts)})
        }
        Body::Single(one) => field(one, one.shape, texts),
        Body::List(one) => field(one, Shape::List, texts),
        Body::Map(one) => field(one, Shape::Map, texts),
        Body::Empty => json!({"name": "", "type": "object", "kind": "scalar"}),
    };
    let mut shown = json!({
        "name": outline.name, "type": kind.name(), "status": word(outline.status), "plugin": true, "config": config,
    });
    if texts {
        shown["summary"] = json!(outline.summary);
        shown["description"] = json!(outline.description);
        let example =
            |example: &weir_core::spec::Example| json!({"title": example.title, "config": example.config});
        shown["examples"] = outline.examples.iter().map(example).collect();
    }
    shown
}

fn fields(all: &[Field], texts: bool) -> Value {
    all.iter().map(|one| field(one, one.shape, texts)).collect()
}

fn field(field: &Field, shape: Shape, texts: bool) -> Value {
    let (ty, children) = match field.ty {
        FieldType::String | FieldType::Duration | FieldType::Mapping => ("string", None),
        FieldType::Int => ("int", None),
        FieldType::Float => ("float", None),
        FieldType::Bool => ("bool", None),
        FieldType::Any => ("unknown", None),
        FieldType::Object(inner) => ("object", Some(fields(inner, texts))),
        FieldType::Component(kind) => (kind.name(), None),
    };
    let kind = match shape {
        Shape::One => "scalar",
        Shape::List => "array",
        Shape::ListOfLists => "2darray",
        Shape::Map => "map",
    };
    let mut shown = json!({"name": field.name, "type": ty, "kind": kind});
    if texts {
        shown["description"] = json!(field.doc);
    }
    let flags = [
        ("is_advanced", field.advanced),
        ("is_deprecated", field.deprecated),
        ("is_optional", field.optional),
        ("is_secret", field.secret),
        ("interpolated", field.interpolated),
        ("bloblang", matches!(field.ty, FieldType::Mapping)),
    ];
    for (name, _) in flags.into_iter().filter(|(_, is_set)| *is_set) {
        shown[name] = json!(true);
    }
    if let Some(default) = field.default {
        shown["default"] = to_json(&default_node(default));
    }
    if !field.options.is_empty() {
        shown["options"] = json!(field.options);
    }
    if let Some(children) = children {
        shown["children"] = children;
    }
    shown
}

fn function(spec: &Spec, texts: bool) -> Value {
    let mut shown = json!({"name": spec.name, "status": "stable", "impure": spec.traits.impure});
    if texts {
        shown["description"] = json!(spec.summary);
    }
    shown
}

/// What is known of one component, as Markdown.
pub(super) fn docs(args: &DocsArgs, registry: &Registry) -> Result<String, String> {
    let kind = SECTIONS.iter().find(|(name, _)| is_named(name, &args.kind)).and_then(|(name, _)| kind(name));
    let kind = kind.ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("there is no kind '{}'; the kinds are {}", args.kind, names.join(", "))
    })?;
    let outline = registry.outline(kind, &args.name).ok_or_else(|| {
        format!("there is no {kind} '{}'; `weir list {}` names those there are", args.name, plural(kind))
    })?;
    let mut page = format!("# {}\n\n{}\n", outline.name, outline.summary);
    if !outline.description.is_empty() {
        let _written = write!(page, "\n{}\n", outline.description.trim());
    }
    let config = skeleton::component(outline, true).join("\n");
    let _written = write!(page, "\n```yaml\n{config}\n```\n");
    match &outline.body {
        Body::Fields(all) | Body::Checked(all, _) if !all.is_empty() => {
            page.push_str("\n## Fields\n\n");
            describe(all, "", &mut page);
        }
        Body::Single(field) | Body::List(field) | Body::Map(field) => {
            let _written = write!(page, "\n{}\n", field.doc);
            if let FieldType::Object(inner) = field.ty {
                page.push_str("\n## Fields\n\n");
                describe(inner, "", &mut page);
            }
        }
        _ => {}
    }
    let is_value = matches!(outline.body, Body::Single(_));
    for example in outline.examples {
        let config = if is_value {
            format!("{}: {}\n", outline.name, example.config.trim_end())
        } else {
            let indented: String = example.config.lines().flat_map(|line| ["  ", line, "\n"]).collect();
            format!("{}:\n{indented}", outline.name)
        };
        let _written = write!(page, "\n## {}\n\n```yaml\n{config}```\n", example.title);
    }
    Ok(page)
}

fn describe(fields: &[Field], above: &str, page: &mut String) {
    for field in fields {
        let name = format!("{above}{}", field.name);
        let _written = write!(page, "- `{name}`: {}", field.doc);
        if let Some(default) = field.default {
            let _written = write!(page, " Default: `{default}`.");
        } else if field.is_required() {
            page.push_str(" Required.");
        }
        if field.interpolated {
            page.push_str(" May hold interpolations.");
        }
        if field.deprecated {
            page.push_str(" Deprecated.");
        }
        if !field.options.is_empty() {
            let _written = write!(page, " One of `{}`.", field.options.join("`, `"));
        }
        page.push('\n');
        if let FieldType::Object(inner) = field.ty {
            describe(inner, &format!("{name}."), page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_section_and_is_named_in_any_way() {
        for kind in Kind::ALL {
            assert_eq!(super::kind(&plural(kind).replace("metricss", "metrics")), Some(kind));
        }
        for argument in ["rate-limits", "rate_limit", "Rate Limits"] {
            assert!(is_named("rate-limits", argument), "{argument}");
        }
        assert!(is_named("caches", "cache") && !is_named("caches", "inputs"));
    }
}

//! `weir create`: a new config of named components.

use super::{
    args::CreateArgs,
    skeleton::{component, items, nested},
};
use weir_config::{Node, normalise::normalise, sections, write::to_yaml};
use weir_core::{kind::Kind, registry::Registry};

/// Stands where a section is written; no config has it.
const MARK: &str = "weir-section-";

/// The text of a config of the components that an expression names: `inputs/processors/outputs`.
pub(super) fn create(args: &CreateArgs, registry: &Registry) -> Result<String, String> {
    let expression = args.expression.as_deref().unwrap_or_default();
    let parts: Vec<&str> = expression.split('/').collect();
    if parts.len() > 3 {
        return Err("generate error: more component separators than expected".into());
    }
    let named = |kind: Kind, part: Option<&&str>| -> Result<Vec<Vec<String>>, String> {
        let names = part.into_iter().flat_map(|part| part.split(',')).filter(|name| !name.is_empty());
        names
            .map(|name| {
                let outline = registry.outline(kind, name);
                let outline =
                    outline.ok_or_else(|| format!("generate error: unrecognised {kind} type '{name}'"))?;
                Ok(component(outline, !args.small))
            })
            .collect()
    };
    let input = one("inputs", named(Kind::Input, parts.first())?);
    let processors = named(Kind::Processor, parts.get(1))?;
    let output = one("outputs", named(Kind::Output, parts.get(2))?);
    let shown = if args.small { sections::STREAM } else { sections::CONFIG };
    let mut node = normalise(&Node::map(Vec::new()), shown, registry).map_err(|error| error.to_string())?;
    for name in ["tests", "parallel", "redpanda"] {
        node = node.without(name);
    }
    let mark = |name: &str| Node::string(format!("{MARK}{name}"));
    let mut written = Vec::new();
    for (name, lines) in [("input", input), ("output", output)] {
        if !lines.is_empty() {
            node = node.with(name, mark(name));
            written.push((name, nested(name, &lines)));
        }
    }
    if !processors.is_empty() {
        let pipeline = node.get("pipeline").cloned().unwrap_or_else(Node::null);
        node = node.with("pipeline", pipeline.with("processors", mark("processors")));
        written.push(("processors", nested("processors", &items(&processors))));
    }
    let mut text = String::new();
    for line in to_yaml(&node).lines() {
        let indent: String = line.chars().take_while(|c| *c == ' ').collect();
        if let Some((_, lines)) = written.iter().find(|(name, _)| line.ends_with(&format!("{MARK}{name}"))) {
            text.extend(lines.iter().flat_map(|line| [&*indent, line, "\n"]));
        } else {
            text.push_str(line);
            text.push('\n');
        }
    }
    Ok(text)
}

/// Several inputs or outputs are those of a broker.
fn one(children: &str, mut components: Vec<Vec<String>>) -> Vec<String> {
    match components.len() {
        0 => Vec::new(),
        1 => components.remove(0),
        _ => nested("broker", &nested(children, &items(&components))),
    }
}

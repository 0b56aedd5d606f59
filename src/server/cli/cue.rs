//! The CUE definitions of configs, for `cue vet` and for those who write configs in CUE.

use std::fmt::Write as _;
use weir_config::sections;
use weir_core::{
    field::{Field, FieldType, Shape},
    kind::Kind,
    registry::Registry,
    spec::Body,
};

/// The definitions of a config. The package and the definitions are called as the reference calls them, so that what
/// imports them goes on to work.
pub(super) fn config(registry: &Registry) -> String {
    let mut text = format!("package benthos\n\n#Config: {}\n", object(sections::CONFIG, 0));
    for kind in Kind::ALL {
        text.push_str(&components(kind, registry));
    }
    text
}

/// All components of a kind, and the object of exactly one of them beside the keys that any may have.
fn components(kind: Kind, registry: &Registry) -> String {
    let (all, one) = names(kind);
    let mut text = format!("\n#{all}: {{\n");
    for outline in registry.outlines(kind) {
        let body = match &outline.body {
            Body::Fields(fields) | Body::Checked(fields, _) if !fields.is_empty() => object(fields, 1),
            // Components without fields take any.
            Body::Fields(_) | Body::Checked(..) | Body::Empty => "{...}".to_owned(),
            Body::Single(field) => shaped(field, field.shape, 1),
            Body::List(field) => shaped(field, Shape::List, 1),
            Body::Map(field) => shaped(field, Shape::Map, 1),
        };
        // Writing to a string cannot fail.
        let _written = writeln!(text, "{}\t{}: {body}", comment(outline.summary, 1), label(outline.name));
    }
    let _written =
        write!(text, "}}\n#{one}: or([for name, config in #{all} {{\n\t(name): config\n}}])\n#{one}: {{\n");
    for key in kind.reserved() {
        let value = match *key {
            "processors" => "[...#Processor]",
            "type" | "label" | "mapping" => "string",
            _ => "_",
        };
        let _written = writeln!(text, "\t{key}?: {value}");
    }
    text + "}\n"
}

/// What the definitions of all components of a kind and of one of them are called.
const fn names(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Input => ("AllInputs", "Input"),
        Kind::Buffer => ("AllBuffers", "Buffer"),
        Kind::Processor => ("AllProcessors", "Processor"),
        Kind::Output => ("AllOutputs", "Output"),
        Kind::Cache => ("AllCaches", "Cache"),
        Kind::RateLimit => ("AllRateLimits", "RateLimit"),
        Kind::Metrics => ("AllMetrics", "Metric"),
        Kind::Tracer => ("AllTracers", "Tracer"),
        Kind::Scanner => ("AllScanners", "Scanner"),
    }
}

fn object(fields: &[Field], depth: usize) -> String {
    let (inner, mut text) = (depth + 1, "{\n".to_owned());
    for field in fields {
        let mark = if field.is_required() { "" } else { "?" };
        let value = shaped(field, field.shape, inner);
        let (comment, tabs, name) = (comment(field.doc, inner), tabs(inner), label(field.name));
        let _written = writeln!(text, "{comment}{tabs}{name}{mark}: {value}");
    }
    text + &tabs(depth) + "}"
}

fn shaped(field: &Field, shape: Shape, depth: usize) -> String {
    let one = match field.ty {
        FieldType::String | FieldType::Duration | FieldType::Mapping => "string".to_owned(),
        FieldType::Int => "int".to_owned(),
        FieldType::Float => "number".to_owned(),
        FieldType::Bool => "bool".to_owned(),
        FieldType::Any => "_".to_owned(),
        FieldType::Object(fields) => object(fields, depth),
        FieldType::Component(kind) => format!("#{}", names(kind).1),
    };
    match shape {
        Shape::One => one,
        Shape::List => format!("[...{one}]"),
        Shape::ListOfLists => format!("[...[...{one}]]"),
        Shape::Map => format!("{{[string]: {one}}}"),
    }
}

fn comment(text: &str, depth: usize) -> String {
    let lines = text.lines().map(|line| format!("{}// {line}", tabs(depth)).trim_end().to_owned() + "\n");
    lines.collect()
}

fn tabs(depth: usize) -> String {
    "\t".repeat(depth)
}

/// Words of the language that a version of it does not take as a name.
const KEYWORDS: &[&str] = &["else", "fallback", "for", "if", "in", "let", "try"];

/// A field's name, in quotes where CUE would read something else.
fn label(name: &str) -> String {
    let is_plain = !KEYWORDS.contains(&name)
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_written_as_cue() {
        static INNER: &[Field] = &[
            Field::float("ratio", "A part.").default("0.5"),
            Field::component("into", "", Kind::Scanner).list(),
        ];
        let fields = [
            Field::string("path", "Where.\n\nFrom here."),
            Field::int("a-b", "").list().optional(),
            Field::object("more", "", INNER).map(),
            Field::bool("try", "").optional(),
        ];
        let wanted = "{
\t// Where.
\t//
\t// From here.
\tpath: string
\t\"a-b\"?: [...int]
\tmore: {[string]: {
\t\t// A part.
\t\tratio?: number
\t\tinto?: [...#Scanner]
\t}}
\t\"try\"?: bool
}";
        assert_eq!(object(&fields, 0), wanted);
    }
}

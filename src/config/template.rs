//! Templates (`-t`): files that define a component as a mapping from its fields to the config of another.

use crate::{
    Lint, LintOptions, Node,
    json::{from_json, to_json},
    write::to_yaml,
};
use serde_json::{Map, Value as Json};
use std::sync::Arc;
use weir_core::{
    bloblang::{Environment, Mapped, Message, Program, Scratch, Value},
    build_error::BuildError,
    field::{Field, FieldType, Shape},
    kind::Kind,
    lint, prepare,
    registry::Registry,
    spec::{Body, Outline, Status},
};

/// The kinds of components that a template can define.
const KINDS: [Kind; 5] = [Kind::Cache, Kind::Input, Kind::Output, Kind::Processor, Kind::RateLimit];

static FIELD: &[Field] = &[
    Field::string("name", "Its key."),
    Field::string("description", "What it means.").default("''"),
    Field::string("type", "The type of its values; `unknown` takes any.").options(&[
        "string",
        "string_enum",
        "string_annotated_enum",
        "int",
        "float",
        "bool",
        "bloblang",
        "unknown",
    ]),
    Field::string("kind", "How it holds them.").options(&["scalar", "map", "list"]).default("scalar"),
    Field::any("default", "What stands in for it; without one it must be written.").optional(),
    Field::bool("advanced", "Whether the docs fold it away.").default("false"),
    Field::any("options", "The values of an enum, or values with what they mean.").optional(),
];

static TEST: &[Field] = &[
    Field::string("name", "What it shows."),
    Field::string("label", "The label that the component has.").default("''"),
    Field::object("config", "The fields that are written.", &[]),
    Field::object("expected", "The config that comes of them.", &[]).optional(),
];

/// The fields of a template file.
static FILE: &[Field] = &[
    Field::string("name", "The name of the component."),
    Field::string("type", "The kind of the component.").options(&[
        "cache",
        "input",
        "output",
        "processor",
        "rate_limit",
    ]),
    Field::string("status", "How settled it is.")
        .options(&["stable", "beta", "experimental", "deprecated"])
        .default("stable"),
    Field::string("categories", "Words that group components in docs.").list().default("[]"),
    Field::string("summary", "What it does, in a sentence.").default("''"),
    Field::string("description", "More about it.").default("''"),
    Field::object("fields", "What can be written in its config.", FIELD).list(),
    Field::mapping("mapping", "Makes the config of another component out of the fields."),
    Field::mapping("metrics_mapping", "Renames what the component counts.").optional(),
    Field::object("tests", "Configs, and what is to come of them.", TEST).list().default("[]"),
];

/// A template, read.
pub struct Template {
    kind: Kind,
    outline: Outline,
    program: Program,
    tests: Vec<Node>,
}

/// A template file as far as it could be read.
pub struct TemplateFile {
    /// What is wrong with it.
    pub lints: Vec<Lint>,
    /// The template, or why there is none.
    pub template: Result<Template, String>,
}

/// How one of a template's own tests went.
pub enum Outcome {
    /// The config that came of it has lints.
    Lints(Vec<Lint>),
    /// Another config was expected.
    Differs {
        /// What was expected.
        expected: String,
        /// What came.
        got: String,
    },
    /// No config came of it.
    Failed(String),
}

/// Reads the text of a template file. The error is that it is no YAML.
pub fn read(text: &str, registry: &Registry) -> Result<TemplateFile, String> {
    let node = weir_core::yaml::parse(text).map_err(|error| error.to_string())?;
    let lints = lint::config(&node, FILE, registry, LintOptions::default());
    Ok(TemplateFile { lints, template: compile(&node) })
}

fn compile(node: &Node) -> Result<Template, String> {
    let text = |name: &str| node.get(name).and_then(Node::as_str).unwrap_or_default();
    let written = node.get("fields").and_then(Node::as_list).unwrap_or_default();
    let mut fields = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        fields.push(field(written).map_err(|error| format!("field {index}: {error}"))?);
    }
    let mapping = text("mapping");
    let program = parse(mapping).map_err(|error| format!("parse mapping: {error}"))?;
    let metrics = text("metrics_mapping");
    if !metrics.is_empty() {
        parse(metrics).map_err(|error| format!("parse metrics mapping: {error}"))?;
    }
    let kind = Kind::from_name(text("type"))
        .filter(|kind| KINDS.contains(kind))
        .ok_or_else(|| format!("unable to register template for component type {}", text("type")))?;
    if text("name").is_empty() {
        return Err("the template has no name".into());
    }
    let outline = Outline {
        name: kept(text("name")),
        summary: kept(text("summary")),
        description: kept(text("description")),
        status: match text("status") {
            "beta" => Status::Beta,
            "experimental" => Status::Experimental,
            "deprecated" => Status::Deprecated,
            _ => Status::Stable,
        },
        body: Body::Fields(Vec::leak(fields)),
        examples: &[],
    };
    let tests = node.get("tests").and_then(Node::as_list).unwrap_or_default().to_vec();
    Ok(Template { kind, outline, program, tests })
}

/// Specs hold texts that stay: templates are read once, when the program starts.
fn kept(text: &str) -> &'static str {
    String::leak(text.to_owned())
}

fn parse(mapping: &str) -> Result<Program, String> {
    Program::parse(mapping, &Environment::new()).map_err(|error| {
        let line = mapping.lines().nth(error.line.saturating_sub(1)).unwrap_or_default();
        format!("{error}\n{}", crate::excerpt::pointed(line, error.line, error.column))
    })
}

fn field(node: &Node) -> Result<Field, String> {
    let text = |name: &str| node.get(name).and_then(Node::as_str);
    let Some(ty) = text("type") else { return Err("missing type field".into()) };
    let options = node.get("options");
    let ty = match ty {
        "string" | "string_enum" | "string_annotated_enum" => (FieldType::String, ty),
        "bloblang" => (FieldType::Mapping, ty),
        "int" => (FieldType::Int, ty),
        "float" => (FieldType::Float, ty),
        "bool" => (FieldType::Bool, ty),
        _ => (FieldType::Any, ty),
    };
    let mut field = Field::new(
        kept(text("name").unwrap_or_default()),
        kept(text("description").unwrap_or_default()),
        ty.0,
    );
    if ty.1.ends_with("_enum") {
        field = field.options(Vec::leak(enumerated(ty.1, options)?));
    }
    if let Some(default) = node.get("default") {
        field = field.default(String::leak(to_yaml(default)));
    }
    if text("advanced") == Some("true") {
        field = field.advanced();
    }
    match text("kind").unwrap_or("scalar") {
        "scalar" => Ok(field),
        "map" => Ok(field.map()),
        "list" => Ok(field.list()),
        other => Err(format!("unrecognised kind: {other}")),
    }
}

/// The values of an enum.
fn enumerated(ty: &str, options: Option<&Node>) -> Result<Vec<&'static str>, String> {
    let got = || options.map_or("nothing".to_owned(), |node| node.tag().to_string());
    let mut names: Vec<&str> = if ty == "string_enum" {
        let items = options.and_then(Node::as_list);
        let items = items.ok_or_else(|| format!("expected options to be an array, got: {}", got()))?;
        let names: Option<Vec<&str>> = items.iter().map(Node::as_str).collect();
        names.ok_or("only string options are allowed")?
    } else {
        let options = options.filter(|node| node.as_map().is_some());
        let options = options.ok_or_else(|| format!("expected options to be an object, got: {}", got()))?;
        if let Some((name, _)) = options.entries().find(|(_, meaning)| meaning.as_str().is_none()) {
            return Err(format!("expected the annotation for option \"{name}\" to be a string"));
        }
        options.entries().map(|(name, _)| name).collect()
    };
    if names.is_empty() {
        return Err("at least one option must be provided".into());
    }
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err("duplicate options are not allowed".into());
    }
    Ok(names.into_iter().map(kept).collect())
}

impl Template {
    /// Makes it a component of a registry.
    pub fn add_to(self, registry: &mut Registry) {
        let (kind, outline) = (self.kind, self.outline);
        registry.add_template(kind, outline, Arc::new(move |body, label| self.expand(body, label)));
    }

    /// The config that a body means.
    fn expand(&self, body: &Node, label: &str) -> Result<Node, BuildError> {
        let given =
            self.given(body).map_err(|error| error.context("invalid config for template component"))?;
        let mut message = Message::new(given.to_string());
        message.metadata_mut().set("label", Value::string(label));
        let mapped = self.program.map(&[message], 0, &mut Scratch::default());
        let mapped = mapped
            .map_err(|fault| BuildError::new(format!("mapping failed for template component: {fault}")))?;
        let config = match mapped {
            Mapped::Message(message) => {
                serde_json::from_slice(message.content()).map_err(|error| error.to_string())
            }
            Mapped::Dropped => Err("the mapping deletes it".to_owned()),
        };
        config.map(|config: Json| from_json(&config)).map_err(|error| {
            BuildError::new(format!("mapping for template component resulted in invalid config: {error}"))
        })
    }

    /// What the mapping sees: every field, with its type.
    fn given(&self, body: &Node) -> Result<Json, BuildError> {
        let Body::Fields(fields) = self.outline.body else { return Ok(Json::Null) };
        let body = prepare::body(&self.outline.body, body)?;
        let mut given = Map::new();
        for field in fields {
            let Some(value) = body.get(field.name) else {
                let missing = format!("field '{}' is required and was not present in the config", field.name);
                return Err(BuildError::new(missing));
            };
            let value = shaped(field, field.shape, value).map_err(|error| error.at(field.name))?;
            given.insert(field.name.to_owned(), value);
        }
        Ok(Json::Object(given))
    }

    /// Runs the tests of the file; what went wrong, by test.
    pub fn test(&self, registry: &Registry) -> Vec<(String, Outcome)> {
        self.tests.iter().flat_map(|test| self.one_test(test, registry)).collect()
    }

    fn one_test(&self, test: &Node, registry: &Registry) -> Vec<(String, Outcome)> {
        let string = |name: &str| test.get(name).and_then(Node::as_str).unwrap_or_default();
        let name = || string("name").to_owned();
        let body = test.get("config").cloned().unwrap_or_else(Node::null);
        let config = match self.expand(&body, string("label")) {
            Ok(config) => config,
            Err(error) => return vec![(name(), Outcome::Failed(error.to_string()))],
        };
        let mut outcomes = Vec::new();
        let lints = lint::component(self.kind, &config, registry, LintOptions::default());
        if !lints.is_empty() {
            outcomes.push((name(), Outcome::Lints(lints)));
        }
        if let Some(expected) = test.get("expected").filter(|node| node.as_map().is_some()) {
            let (expected, got) = (to_json(expected), to_json(&config));
            if expected != got {
                let shown = |value: &Json| to_yaml(&from_json(value));
                outcomes.push((name(), Outcome::Differs { expected: shown(&expected), got: shown(&got) }));
            }
        }
        outcomes
    }
}

fn shaped(field: &Field, shape: Shape, node: &Node) -> Result<Json, BuildError> {
    match shape {
        Shape::One => one(field, node),
        Shape::List | Shape::ListOfLists => {
            let items = node.as_list().ok_or_else(|| node.error("expected array value"))?;
            items.iter().map(|item| one(field, item)).collect::<Result<_, _>>().map(Json::Array)
        }
        Shape::Map => {
            let node = node.merged();
            if node.as_map().is_none() {
                return Err(node.error("expected object value"));
            }
            let members = node.entries().map(|(key, value)| Ok((key.to_owned(), one(field, value)?)));
            members.collect::<Result<_, BuildError>>().map(Json::Object)
        }
    }
}

fn one(field: &Field, node: &Node) -> Result<Json, BuildError> {
    Ok(match field.ty {
        FieldType::String | FieldType::Mapping => Json::from(node.read::<String>()?),
        FieldType::Int => Json::from(node.read::<i64>()?),
        FieldType::Float => Json::from(node.read::<f64>()?),
        FieldType::Bool => Json::from(node.read::<bool>()?),
        _ => to_json(node),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOUT: &str = "name: shout\ntype: processor\nfields:\n  - { name: mark, type: string }\n  - { name: times, type: int, default: 2 }\n  - { name: more, type: unknown, kind: map, default: {} }\nmapping: |\n  root.label = @label + \"_x\"\n  root.log = this\ntests:\n  - { name: one, label: l, config: { mark: 5 }, expected: { log: {} } }\n";

    #[test]
    fn fields_are_typed_and_defaults_filled() {
        let registry = Registry::default();
        let template = read(SHOUT, &registry).unwrap().template.unwrap();
        let body = weir_core::yaml::parse("{ mark: 5, more: { a: [ 1.5 ] }, odd: 1 }").unwrap();
        assert_eq!(
            to_json(&template.expand(&body, "l").unwrap()).to_string(),
            r#"{"label":"l_x","log":{"mark":"5","more":{"a":[1.5]},"times":2}}"#
        );
        let error = template.expand(&Node::null(), "").unwrap_err().to_string();
        assert!(error.contains("field 'mark' is required"), "{error}");
        assert!(
            template
                .test(&registry)
                .iter()
                .any(|(name, outcome)| { name == "one" && matches!(outcome, Outcome::Differs { .. }) })
        );
    }

    #[test]
    fn faults_are_named() {
        for (fields, error) in [
            ("{ name: a }", "field 0: missing type field"),
            ("{ name: a, type: string, kind: heap }", "field 0: unrecognised kind: heap"),
            ("{ name: a, type: string_enum }", "field 0: expected options to be an array, got: nothing"),
            (
                "{ name: a, type: string_enum, options: [ x, x ] }",
                "field 0: duplicate options are not allowed",
            ),
        ] {
            let text = format!("name: x\ntype: cache\nfields: [ {fields} ]\nmapping: root.memory = {{}}");
            assert_eq!(read(&text, &Registry::default()).unwrap().template.err().unwrap(), error);
        }
    }
}

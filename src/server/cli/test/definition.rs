//! Unit tests as they are written.

use super::conditions::Condition;
use std::collections::BTreeMap;
use weir_config::{
    Node,
    json::{from_json, to_json},
};
use weir_core::{bloblang::Value, build_error::BuildError};

/// One unit test.
pub(super) struct Case {
    pub(super) name: String,
    pub(super) line: u32,
    /// Variables that it sees.
    pub(super) environment: BTreeMap<String, String>,
    /// Path or label of the processors under test.
    pub(super) processors: String,
    /// File of the mapping under test; empty if it is processors.
    pub(super) mapping: String,
    /// Components that stand in for others, by path or label.
    pub(super) mocks: Vec<(String, Node)>,
    pub(super) input: Vec<Vec<Given>>,
    /// What every message of every batch must be.
    pub(super) output: Vec<Vec<Vec<Condition>>>,
}

/// A message that goes in.
pub(super) struct Given {
    pub(super) content: Content,
    pub(super) metadata: Vec<(String, Value)>,
}

/// Where a content comes from.
pub(super) enum Content {
    Text(Vec<u8>),
    File(String),
}

/// The tests of a config or of a file of tests.
pub(super) fn read(node: &Node) -> Result<Vec<Case>, String> {
    let Some(tests) = node.get("tests") else { return Ok(Vec::new()) };
    let tests = list(tests).map_err(|error| error.at("tests").to_string())?;
    let numbered = |(index, node)| case(node).map_err(|error| format!("{index}: {error}"));
    tests.iter().enumerate().map(numbered).collect()
}

fn case(node: &Node) -> Result<Case, BuildError> {
    let merged = node.merged();
    if merged.as_map().is_none() {
        return Err(node.error(format!("expected object value, got {}", node.tag())));
    }
    let string = |name: &str| merged.get(name).and_then(Node::as_str).map(str::to_owned);
    if merged.get("name").is_none() {
        return Err(BuildError::new("field 'name' is required and was not present in the config"));
    }
    let map = |name: &str| merged.get(name).map_or_else(Node::null, Node::merged);
    // A mock has no place of its own in the config that it is put into.
    let mocks = map("mocks");
    let mocks = mocks.entries().map(|(place, node)| (place.to_owned(), from_json(&to_json(node)))).collect();
    let variables = map("environment");
    let variables = variables.entries();
    let environment =
        variables.map(|(name, value)| (name.to_owned(), value.as_str().unwrap_or("").to_owned())).collect();
    let mut input: Vec<Vec<Given>> = batches(&merged, "input_batches", given)?;
    if let Some(batch) = merged.get("input_batch") {
        let batch = list(batch).and_then(|batch| batch.iter().map(given).collect::<Result<Vec<_>, _>>());
        let batch = batch.map_err(|error| error.at("input_batch"))?;
        if !batch.is_empty() {
            input.push(batch);
        }
    }
    Ok(Case {
        name: string("name").unwrap_or_default(),
        line: node.line(),
        environment,
        processors: string("target_processors").unwrap_or_else(|| "/pipeline/processors".into()),
        mapping: string("target_mapping").unwrap_or_default(),
        mocks,
        input,
        output: batches(&merged, "output_batches", Condition::read_all)?,
    })
}

/// A field that is a list of lists.
fn batches<T>(
    node: &Node,
    name: &str,
    one: fn(&Node) -> Result<T, BuildError>,
) -> Result<Vec<Vec<T>>, BuildError> {
    let Some(batches) = node.get(name) else { return Ok(Vec::new()) };
    let batch = |node: &Node| -> Result<Vec<T>, BuildError> {
        list(node).map_err(|error| error.at(name))?.iter().map(one).collect()
    };
    list(batches).map_err(|error| error.at(name))?.iter().map(batch).collect()
}

fn list(node: &Node) -> Result<&[Node], BuildError> {
    node.as_list().ok_or_else(|| node.error(format!("expected array value, got {}", node.tag())))
}

fn given(node: &Node) -> Result<Given, BuildError> {
    let node = node.merged();
    let string = |name: &str| node.get(name).and_then(Node::as_str);
    let content = if let Some(path) = string("file_content") {
        Content::File(path.to_owned())
    } else if let Some(json) = node.get("json_content") {
        let mut text = Vec::new();
        let written = value(json)?.write_json_html_escaped(&mut text);
        written.map_err(|error| BuildError::new(error.to_string()).at("json_content"))?;
        Content::Text(text)
    } else {
        Content::Text(string("content").unwrap_or_default().into())
    };
    let metadata = node.get("metadata").map_or_else(Node::null, Node::merged);
    let entries = metadata.entries().map(|(name, node)| Ok((name.to_owned(), value(node)?)));
    Ok(Given { content, metadata: entries.collect::<Result<_, BuildError>>()? })
}

/// A node as the language's value.
pub(super) fn value(node: &Node) -> Result<Value, BuildError> {
    Value::parse_json(to_json(node).to_string()).map_err(|error| BuildError::new(error.to_string()))
}

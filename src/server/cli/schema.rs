//! The JSON schema of configs, for editors.

use serde_json::{Map, Value, json};
use weir_config::sections;
use weir_core::{
    field::{Field, FieldType, Shape},
    kind::Kind,
    registry::Registry,
    spec::Body,
};

/// The schema of a config.
pub(super) fn config(registry: &Registry) -> Value {
    let kinds = Kind::ALL.into_iter().map(|kind| (kind.name().to_owned(), component(kind, registry)));
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": properties(sections::CONFIG),
        "definitions": kinds.collect::<Map<_, _>>(),
    })
}

/// A component is an object with the name of one of its kind, and the keys that all of them have.
fn component(kind: Kind, registry: &Registry) -> Value {
    let one = |outline: &weir_core::spec::Outline| {
        let body = match &outline.body {
            Body::Fields(fields) | Body::Checked(fields, _) => object(fields),
            Body::Single(field) => shaped(field, field.shape),
            Body::List(field) => shaped(field, Shape::List),
            Body::Map(field) => shaped(field, Shape::Map),
            Body::Empty => json!({"type": "object"}),
        };
        json!({"type": "object", "required": [outline.name], "properties": {outline.name: body}})
    };
    let mut any: Vec<Value> = registry.outlines(kind).map(one).collect();
    any.push(json!({"type": "object", "required": ["type"], "properties": {"type": {"type": "string"}}}));
    let mut reserved = Map::new();
    for name in kind.reserved() {
        let schema = match *name {
            "processors" => shaped(&Field::processors("processors", ""), Shape::List),
            "type" | "label" | "mapping" => json!({"type": "string"}),
            _ => json!({}),
        };
        reserved.insert((*name).to_owned(), schema);
    }
    json!({"allOf": [{"anyOf": any}, {"properties": reserved}]})
}

fn properties(fields: &[Field]) -> Value {
    fields
        .iter()
        .map(|field| (field.name.to_owned(), shaped(field, field.shape)))
        .collect::<Map<_, _>>()
        .into()
}

fn object(fields: &[Field]) -> Value {
    let required: Vec<&str> =
        fields.iter().filter(|field| field.is_required()).map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties(fields)});
    // Components without fields take any.
    if !fields.is_empty() {
        schema["additionalProperties"] = json!(false);
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn shaped(field: &Field, shape: Shape) -> Value {
    let mut schema = match shape {
        Shape::One => one(field),
        Shape::List => json!({"type": "array", "items": one(field)}),
        Shape::ListOfLists => json!({"type": "array", "items": {"type": "array", "items": one(field)}}),
        Shape::Map => json!({"type": "object", "additionalProperties": one(field)}),
    };
    // Beside a reference nothing else counts.
    if schema.get("$ref").is_none() {
        if !field.doc.is_empty() {
            schema["description"] = json!(field.doc);
        }
        if field.deprecated {
            schema["deprecated"] = json!(true);
        }
    }
    schema
}

fn one(field: &Field) -> Value {
    match field.ty {
        // Any scalar is taken as text.
        FieldType::String | FieldType::Duration | FieldType::Mapping => {
            json!({"type": ["string", "number", "boolean", "null"]})
        }
        FieldType::Int | FieldType::Float => json!({"type": "number"}),
        FieldType::Bool => json!({"type": "boolean"}),
        FieldType::Any => json!({}),
        FieldType::Object(fields) => object(fields),
        FieldType::Component(kind) => json!({"$ref": format!("#/definitions/{}", kind.name())}),
    }
}

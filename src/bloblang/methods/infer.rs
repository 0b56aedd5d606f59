//! Inferring the schema of a value.

use sha2::{Digest as _, Sha256};

use super::encoding::hex;
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::{Narrow, Num};
use crate::object::Object;
use crate::spec::{Args, Spec};
use crate::stack::deep;
use crate::text::Text;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] =
    &[Spec::plugin("infer_schema", "The schema that a value has.", &[], infer_schema)];

/// Deepest nesting that is looked into.
const MAX_DEPTH: usize = 1000;

/// A schema: the number and name of its type, and those of its children.
struct Schema {
    name: Text,
    id: u8,
    type_name: &'static str,
    children: Vec<Schema>,
}

fn infer_schema(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let schema = infer(cx, Text::EMPTY, &target, 0).map_err(Problem::into_fault)?;
    Ok(shown(&schema).0)
}

/// What is wrong, with the path that leads there.
enum Problem {
    At(String),
    Fault(Fault),
}

impl Problem {
    fn into_fault(self) -> Fault {
        match self {
            Self::At(text) => Fault::new(text),
            Self::Fault(fault) => fault,
        }
    }

    fn below(self, segment: &str) -> Self {
        match self {
            Self::At(text) => Self::At(format!(".{segment}{text}")),
            fault @ Self::Fault(_) => fault,
        }
    }
}

fn infer(cx: &mut Cx<'_>, name: Text, value: &Value, depth: usize) -> Result<Schema, Problem> {
    cx.spend(8).map_err(Problem::Fault)?;
    if depth > MAX_DEPTH {
        return Err(Problem::At(format!(" nested deeper than {MAX_DEPTH}")));
    }
    let mut children = Vec::new();
    let (id, type_name) = match value.kind() {
        Kind::Bool => (1, "BOOLEAN"),
        Kind::Number => number_type(value)?,
        Kind::String => (6, "STRING"),
        Kind::Bytes => (7, "BYTE_ARRAY"),
        Kind::Timestamp => (13, "TIMESTAMP"),
        Kind::Null => (11, "NULL"),
        Kind::Array => {
            for (n, item) in value.to_array().unwrap_or_default().iter().enumerate() {
                let child = deep(|| infer(cx, Text::EMPTY, item, depth + 1))
                    .map_err(|problem| problem.below(&n.to_string()))?;
                match children.first() {
                    None => children.push(child),
                    Some(first) if first.id == child.id => {}
                    Some(first) => {
                        return Err(Problem::At(format!(
                            ".{n} mismatched array types, found {} and {}",
                            first.type_name, child.type_name
                        )));
                    }
                }
            }
            (10, "ARRAY")
        }
        Kind::Object => {
            for (key, member) in value.to_object().unwrap_or_default().iter() {
                let child = deep(|| infer(cx, Text::new(&key), &member, depth + 1))
                    .map_err(|problem| problem.below(&crate::text::lossy(&key)))?;
                children.push(child);
            }
            (8, "OBJECT")
        }
        Kind::Delete | Kind::Nothing | Kind::Unknown => {
            let shown = crate::eval::go_type(value);
            return Err(Problem::At(format!(" unsupported data type: {shown}")));
        }
    };
    Ok(Schema { name, id, type_name, children })
}

fn number_type(value: &Value) -> Result<(u8, &'static str), Problem> {
    match value {
        Value::Int(_) => return Ok((3, "INT64")),
        Value::Float(_) => return Ok((5, "FLOAT64")),
        Value::Narrow(Narrow::Float32(_)) => return Ok((4, "FLOAT32")),
        Value::Narrow(_) if crate::eval::go_type(value) == "int" => return Ok((3, "INT64")),
        Value::Narrow(_) if crate::eval::go_type(value) == "int32" => return Ok((2, "INT32")),
        Value::Uint(_) | Value::Narrow(_) => {}
        _ => match value.as_number() {
            Some(Num::Int(_)) => return Ok((3, "INT64")),
            Some(_) => return Ok((5, "FLOAT64")),
            None => {
                let shown = crate::compat::quote(value.number_text().unwrap_or_default());
                return Err(Problem::At(format!(
                    " json.Number value {shown} is not parseable as int64 or float64"
                )));
            }
        },
    }
    Err(Problem::At(format!(" unsupported data type: {}", crate::eval::go_type(value))))
}

/// The schema as a value, and the text its fingerprint is of.
fn shown(schema: &Schema) -> (Value, Vec<u8>) {
    let mut canonical = format!("T:{}|N:", schema.id).into_bytes();
    canonical.extend_from_slice(schema.name.as_bytes());
    canonical.extend_from_slice(format!("|O:0|C:{}|", schema.children.len()).as_bytes());
    let mut children = Vec::with_capacity(schema.children.len());
    for (n, child) in schema.children.iter().enumerate() {
        let (value, text) = deep(|| shown(child));
        canonical.extend_from_slice(format!("[{n}:").as_bytes());
        canonical.extend_from_slice(&text);
        canonical.push(b']');
        children.push(value);
    }
    let mut object = Object::with_capacity(4);
    object.insert("fingerprint", hex(&Sha256::digest(&canonical)).into());
    object.insert("type", schema.type_name.into());
    if !schema.name.is_empty() {
        object.insert("name", Value::String(schema.name.clone()));
    }
    if !children.is_empty() {
        object.insert("children", children.into());
    }
    (object.into(), canonical)
}

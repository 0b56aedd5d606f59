//! Methods that convert between types, or insist on one.

use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::Narrow;
use crate::spec::{Args, Param, ParamKind, Query, Spec};
use crate::timestamp::Timestamp;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("array", "The value as the only item of an array, unless it is one.", &[], array),
    Spec::method("bytes", "The value as bytes.", &[], bytes),
    Spec::method("string", "The value as text.", &[], string),
    Spec::method("type", "The name of the value's type.", &[], type_name),
    Spec::method("not_null", "The value, unless it is null.", &[], not_null),
    Spec::method("not_empty", "The value, unless it is an empty string, array or object.", &[], not_empty),
    Spec::plugin("vector", "An array of numbers as 32-bit floats, as vector columns take them.", &[], vector),
    Spec::lazy("bool", "The value as a boolean.", BOOL, bool),
    Spec::lazy("number", "The value as a number.", NUMBER, number),
    Spec::lazy("timestamp", "The value as a timestamp.", TIMESTAMP, timestamp),
];

const BOOL: &[Param] = &[Param::bool("default", "What to give if there is no boolean in it.").optional()];
const NUMBER: &[Param] = &[Param::float("default", "What to give if there is no number in it.").optional()];
const TIMESTAMP: &[Param] =
    &[Param::new("default", ParamKind::Timestamp, "What to give if there is no timestamp in it.").optional()];

fn array(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(if target.kind() == Kind::Array { target } else { vec![target].into() })
}

fn bytes(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    if matches!(target, Value::Bytes(_)) {
        return Ok(target);
    }
    cx.walk(&target)?;
    let mut out = Vec::new();
    target.write_text(&mut out);
    Ok(Value::bytes(out))
}

fn string(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    if target.kind() == Kind::String {
        return Ok(target);
    }
    cx.walk(&target)?;
    Ok(target.to_text().into())
}

fn type_name(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(target.type_name().into())
}

fn vector(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let items = super::target::array(&target)?;
    cx.spend(items.len() as u64)?;
    #[expect(clippy::cast_possible_truncation, reason = "vectors are of 32-bit floats")]
    let narrow = |item: &Value| Ok(Value::Narrow(Narrow::Float32(super::target::float(item)? as f32)));
    items.iter().map(narrow).collect::<Result<Vec<_>, Fault>>().map(Value::from)
}

fn not_null(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    if target.is_null() { Err(Fault::new("value is null")) } else { Ok(target) }
}

fn not_empty(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let empty = match target.kind() {
        Kind::String => target.as_bytes().is_some_and(|bytes| bytes.is_empty()),
        Kind::Array | Kind::Object => target.count() == Some(0),
        _ => return Err(Fault::expected("string, array or object", &target)),
    };
    if empty { Err(Fault::new(format!("{} value is empty", target.type_name()))) } else { Ok(target) }
}

/// Evaluates the target and converts it; a default, if given, stands in for any failure.
fn convert(
    cx: &mut Cx<'_>,
    target: &Query,
    default: Option<&Value>,
    read: impl FnOnce(&Value) -> Result<Value, Fault>,
) -> Result<Value, Fault> {
    let converted = match cx.eval(target) {
        Ok(value) => read(&value).map_err(|fault| fault.from_source(&target.0.source())),
        Err(fault) => Err(fault),
    };
    match (converted, default) {
        (Err(_), Some(default)) => Ok(default.clone()),
        (converted, _) => converted,
    }
}

fn bool(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    convert(cx, target, args.value(0), |value| {
        let read = value.truth().or_else(|| match value.as_bytes().as_deref()? {
            b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Some(true),
            b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Some(false),
            _ => None,
        });
        read.map(Value::Bool).ok_or_else(|| Fault::expected("bool", value))
    })
}

fn number(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    convert(cx, target, args.value(0), |value| to_float(value, 64).map(Value::Float))
}

/// Any number, or a string that reads as a float of so many bits.
pub(super) fn to_float(value: &Value, bits: u32) -> Result<f64, Fault> {
    if let Some(number) = value.as_number() {
        return Ok(number.to_f64());
    }
    let text = match (value.number_text(), value.as_str()) {
        (Some(text), _) => text.to_owned(),
        (None, Some(text)) => text.into_owned(),
        (None, None) => return Err(Fault::expected("number", value)),
    };
    compat::parse_float(&text, bits)
        .map_err(|cause| Fault::new(compat::parse_error("ParseFloat", &text, cause)))
}

fn timestamp(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    convert(cx, target, args.value(0), |value| to_timestamp(value).map(Value::from))
}

/// A timestamp, seconds since 1970 as a number, or RFC 3339 text.
pub(crate) fn to_timestamp(value: &Value) -> Result<Timestamp, Fault> {
    if let Value::Timestamp(time) = value {
        return Ok((**time).clone());
    }
    let beyond = || Fault::new("timestamp is out of range");
    if let Some(number) = value.as_number() {
        return match number {
            crate::number::Num::Float(seconds) => {
                let whole = seconds.trunc();
                let nanos = crate::number::truncate((seconds - whole) * 1e9);
                Timestamp::from_unix(crate::number::truncate(whole), nanos).ok_or_else(beyond)
            }
            other => Timestamp::from_unix(other.to_i64(), 0).ok_or_else(beyond),
        };
    }
    // A number beyond floats is but its text.
    match value.as_str().or_else(|| value.number_text().map(std::borrow::Cow::Borrowed)) {
        Some(text) => {
            let layout = "2006-01-02T15:04:05.999999999Z07:00";
            match Timestamp::parse_rfc3339(&text) {
                Some(time) => Ok(time),
                None => crate::compat::layout::parse(layout, &text).map_err(Fault::new),
            }
        }
        None => Err(Fault::expected("number or string", value)),
    }
}

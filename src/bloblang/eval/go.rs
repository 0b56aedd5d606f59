//! Values as the reference's own language shows them, in the few messages that do.

use std::fmt::Write as _;

use crate::compile::Expr;
use crate::error::Fault;
use crate::number::Narrow;
use crate::stack::deep;
use crate::value::{Kind, Value};

/// Longest value shown, about.
const SHOWN: usize = 1 << 16;

/// A condition that is no boolean.
#[cold]
pub(super) fn not_a_bool(condition: &Expr, value: &Value) -> Fault {
    let mut shown = String::new();
    show(value, &mut shown);
    Fault::new(format!("{} resolved to a non-boolean value {shown} ({})", condition.source(), go_type(value)))
}

/// The name of a value's type in the reference's own language, for the few messages that show it.
pub fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::Narrow(narrow) => match narrow {
            Narrow::Int8(_) => "int8",
            Narrow::Int16(_) => "int16",
            Narrow::Int32(_) => "int32",
            Narrow::Word(_) => "int",
            Narrow::Uint8(_) => "uint8",
            Narrow::Uint16(_) => "uint16",
            Narrow::Uint32(_) => "uint32",
            Narrow::Float32(_) => "float32",
        },
        value => match value.kind() {
            Kind::String => "string",
            Kind::Bytes => "[]uint8",
            Kind::Number => "json.Number",
            Kind::Bool => "bool",
            Kind::Timestamp => "time.Time",
            Kind::Array => "[]interface {}",
            Kind::Object => "map[string]interface {}",
            Kind::Null | Kind::Unknown => "<nil>",
            Kind::Delete => "value.Delete",
            Kind::Nothing => "value.Nothing",
        },
    }
}

fn show(value: &Value, out: &mut String) {
    if out.len() > SHOWN {
        return;
    }
    match value.kind() {
        Kind::Array => {
            out.push('[');
            for (n, item) in value.to_array().iter().flat_map(|items| items.iter()).enumerate() {
                if out.len() > SHOWN {
                    break;
                }
                if n > 0 {
                    out.push(' ');
                }
                deep(|| show(item, out));
            }
            out.push(']');
        }
        Kind::Object => {
            out.push_str("map[");
            if let Some(object) = value.to_object() {
                for (n, (key, member)) in object.iter().enumerate() {
                    if out.len() > SHOWN {
                        break;
                    }
                    if n > 0 {
                        out.push(' ');
                    }
                    out.push_str(&crate::text::lossy(&key));
                    out.push(':');
                    deep(|| show(&member, out));
                }
            }
            out.push(']');
        }
        Kind::Bytes => {
            out.push('[');
            for (n, byte) in value.as_bytes().iter().flat_map(|bytes| bytes.iter()).enumerate() {
                if n > 0 {
                    out.push(' ');
                }
                let written = write!(out, "{byte}");
                debug_assert!(written.is_ok());
            }
            out.push(']');
        }
        Kind::Timestamp => {
            if let Value::Timestamp(time) = value {
                out.push_str(&crate::compat::layout::format(time, "2006-01-02 15:04:05.999999999 -0700 MST"));
            }
        }
        Kind::Null | Kind::Delete | Kind::Nothing => out.push_str("<nil>"),
        _ => out.push_str(&value.to_text().as_str()),
    }
}

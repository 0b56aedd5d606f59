//! The reference's own texts, made from typed values: nowhere else in this crate does Go show.

use weir_bloblang::{JsonError, Kind, Message, Narrow, Value};

/// The structured value of a message, or why there is none, as components outside mappings say it.
pub(crate) fn structured(message: &Message) -> Result<&Value, String> {
    message.value().map_err(|error| match error {
        JsonError::Empty => "target message part does not exist".to_owned(),
        other => json_error(other),
    })
}

/// Why a text is not JSON. Texts that end too early have two names in Go; components use that of its decoder.
pub(crate) fn json_error(error: &JsonError) -> String {
    match error.to_string() {
        text if text == "unexpected end of JSON input" => "unexpected EOF".to_owned(),
        text => text,
    }
}

/// The name of a value's Go type.
pub(crate) fn type_name(value: &Value) -> &'static str {
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
        _ => match value.kind() {
            Kind::Null => "<nil>",
            Kind::Bool => "bool",
            Kind::Number => "json.Number",
            Kind::String => "string",
            Kind::Bytes => "[]uint8",
            Kind::Timestamp => "time.Time",
            Kind::Array => "[]interface {}",
            Kind::Object => "map[string]interface {}",
            Kind::Delete => "value.Delete",
            Kind::Nothing | Kind::Unknown => "value.Nothing",
        },
    }
}

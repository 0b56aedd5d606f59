//! The reference's own texts, made from typed values: nowhere else in this crate does Go show.

pub(crate) use weir_bloblang::go_type as type_name;
use weir_bloblang::{JsonError, Message, Value};

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

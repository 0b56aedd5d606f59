//! Nodes to JSON, for answers: keys sorted, merge keys resolved, scalars as their types say.

use crate::Node;
use serde_json::{Map, Number, Value as Json};
use weir_core::{
    node::{Tag, Value},
    node_serde::{boolean, float, integer},
};

/// A node as JSON. Timestamps are RFC 3339 texts; numbers that JSON lacks are null.
pub fn to_json(node: &Node) -> Json {
    match node.value() {
        Value::List(items) => Json::Array(items.iter().map(to_json).collect()),
        Value::Map(_) => {
            let merged = node.merged();
            let mut map = Map::new();
            for (key, value) in merged.entries() {
                map.insert(key.to_owned(), to_json(value));
            }
            Json::Object(map)
        }
        Value::Scalar(scalar) => {
            let text = &*scalar.text;
            match scalar.tag {
                Tag::Null => Json::Null,
                Tag::Bool => boolean(text).map_or(Json::Null, Json::Bool),
                Tag::Int => match integer(text) {
                    Some(value) => i64::try_from(value)
                        .map(Number::from)
                        .or_else(|_| u64::try_from(value).map(Number::from))
                        .map_or(Json::Null, Json::Number),
                    None => Json::String(text.to_owned()),
                },
                Tag::Float => number(float(text).unwrap_or(f64::NAN)),
                Tag::Timestamp => Json::String(rfc3339(text)),
                _ => Json::String(text.to_owned()),
            }
        }
    }
}

/// A node made of JSON, without positions.
pub fn from_json(value: &Json) -> Node {
    match value {
        Json::Null => Node::null(),
        Json::Bool(value) => Node::scalar(value.to_string(), Tag::Bool),
        Json::Number(value) => {
            let tag = if value.is_f64() { Tag::Float } else { Tag::Int };
            Node::scalar(value.to_string(), tag)
        }
        Json::String(text) => Node::string(text.as_str()),
        Json::Array(items) => Node::list(items.iter().map(from_json).collect()),
        Json::Object(members) => Node::map(
            members.iter().map(|(key, value)| (Node::string(key.as_str()), from_json(value))).collect(),
        ),
    }
}

/// A whole number is written without a fraction.
fn number(value: f64) -> Json {
    #[allow(clippy::cast_possible_truncation, reason = "the range is checked")]
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return Json::Number(Number::from(value as i64));
    }
    Number::from_f64(value).map_or(Json::Null, Json::Number)
}

/// `2020-1-2` and `2020-1-2 3:04:05.6` with their parts filled to two digits and a zone.
fn rfc3339(text: &str) -> String {
    let (date, time) = text.split_once(['T', 't', ' ']).unwrap_or((text, "00:00:00Z"));
    let pad = |part: &str| format!("{part:0>2}");
    let date = date.split('-').map(pad).collect::<Vec<_>>().join("-");
    let time = time.trim();
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let clock = clock.trim().split(':').map(pad).collect::<Vec<_>>().join(":");
    let zone = if zone.is_empty() { "Z".to_owned() } else { zone.to_uppercase() };
    format!("{date}T{clock}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_what_their_types_say() {
        let node = weir_core::yaml::parse(
            "b: [ 017, 1.50, 1e1, no, 'no', ~, 0x10, 1_000 ]\na: { <<: { z: true } }\nd: 2020-01-02\nt: 2020-1-2 3:04:05",
        )
        .unwrap();
        assert_eq!(
            to_json(&node).to_string(),
            r#"{"a":{"z":true},"b":[15,1.5,10,"no","no",null,16,1000],"d":"2020-01-02T00:00:00Z","t":"2020-01-02T03:04:05Z"}"#
        );
    }
}

//! `unarchive`: makes several messages of one.

mod csv;
mod documents;
pub(crate) mod tar;
mod zip;

use super::flag;
use crate::{
    compat::{structured, type_name},
    log::Log,
};
use bytes::Bytes;
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Kind, Message, Value};
use weir_core::{
    build_error::BuildError,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "unarchive",
    summary: "Makes several messages of each message of a batch.",
    description: "All stay in the batch, in the place of the one they came from, and have its metadata and its error. \
                  Entries of `tar` and `zip` archives also have the metadata `archive_filename`, those of `json_map` \
                  have `archive_key`. A message that cannot be taken apart goes on unchanged, flagged as failed; so \
                  does one that holds more than two million.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string(
        "format",
        "`binary`: as `archive` makes it; `csv`: an object for each row after the header, or `csv:x` with the delimiter \
         `x`; `json_array`: each item; `json_documents`: each document of several; `json_map`: each value of an object; \
         `lines`: each line; `tar` and `zip`: each file.",
    )
    .suggestions(&["binary", "csv", "csv:x", "json_array", "json_documents", "json_map", "lines", "tar", "zip"])]),
    examples: &[
        Example { title: "Items of an array", config: "format: json_array" },
        Example { title: "Rows parted by tabs", config: "format: \"csv:\\t\"" },
    ],
    build: |node, context| {
        let config: Config = node.read()?;
        Ok(Box::new(Unarchive { format: Format::parse(&config.format)?, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    format: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Csv(char),
    JsonArray,
    JsonDocuments,
    JsonMap,
    Lines,
    Tar,
    Zip,
}

impl Format {
    fn parse(name: &str) -> Result<Self, BuildError> {
        Ok(match name {
            "binary" => Self::Binary,
            "csv" => Self::Csv(','),
            "json_array" => Self::JsonArray,
            "json_documents" => Self::JsonDocuments,
            "json_map" => Self::JsonMap,
            "lines" => Self::Lines,
            "tar" => Self::Tar,
            "zip" => Self::Zip,
            other => {
                let Some(delimiter) = other.strip_prefix("csv:") else {
                    return Err(BuildError::new(format!("archive format not recognised: {other}")));
                };
                let mut chars = delimiter.chars();
                match (chars.next(), chars.next()) {
                    (Some(delimiter), None) => Self::Csv(delimiter),
                    (None, _) => return Err(BuildError::new("csv format requires a non-empty delimiter")),
                    _ => return Err(BuildError::new("csv format requires a single character delimiter")),
                }
            }
        })
    }
}

/// A file of an archive.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) content: Bytes,
}

struct Unarchive {
    format: Format,
    log: Log,
}

/// More messages are not made of one: each takes memory of its own, however little it holds.
const MAX_PARTS: usize = 1 << 21;

fn too_many() -> String {
    format!("it holds more than {MAX_PARTS} messages")
}

impl Unarchive {
    /// Appends what a message is made of; nothing if that fails.
    fn take_apart(&self, message: &mut Message, out: &mut Vec<Message>) -> Result<(), String> {
        match self.format {
            Format::Lines => {
                let content = message.content();
                if memchr::memchr_iter(b'\n', content).nth(MAX_PARTS).is_some() {
                    return Err(too_many());
                }
                let mut start = 0;
                for end in memchr::memchr_iter(b'\n', content).chain([content.len()]) {
                    out.push(part(message, content.slice(start..end)));
                    start = end + 1;
                }
            }
            Format::Binary => {
                for content in binary(message.content())? {
                    out.push(part(message, content));
                }
            }
            Format::Csv(delimiter) => {
                for row in csv::rows(message.content(), delimiter)? {
                    out.push(value_part(message, row));
                }
            }
            Format::JsonDocuments => {
                for document in documents::parse(message.content())? {
                    out.push(value_part(message, document));
                }
            }
            Format::JsonArray => array(message, out)?,
            Format::JsonMap => map(message, out)?,
            Format::Tar => files(message, tar::read(message.content())?, out),
            Format::Zip => files(message, zip::read(message.content())?, out),
        }
        Ok(())
    }
}

/// A copy of a message with other content.
pub(super) fn part(message: &Message, content: Bytes) -> Message {
    let mut part = message.clone();
    part.set_content(content);
    part
}

/// A copy of a message with a value as its content, quotes included where it is a string.
fn value_part(message: &Message, value: Value) -> Message {
    if matches!(value.kind(), Kind::String | Kind::Bytes) {
        return part(message, value.to_json().into());
    }
    let mut part = message.clone();
    part.set_value(value);
    part
}

/// Metadata that is empty is none.
fn set_name(message: &mut Message, key: &str, name: &str) {
    if name.is_empty() {
        message.metadata_mut().remove(key);
    } else {
        message.metadata_mut().set(key, Value::from(name));
    }
}

fn files(message: &Message, entries: Vec<Entry>, out: &mut Vec<Message>) {
    for entry in entries {
        let mut part = part(message, entry.content);
        set_name(&mut part, "archive_filename", &entry.name);
        out.push(part);
    }
}

/// The value if it is of the kind wanted. A null leaves the message empty, as in the reference.
fn of_kind(message: &mut Message, kind: Kind, what: &str) -> Result<Value, String> {
    let value =
        structured(message).map_err(|error| format!("failed to parse message into JSON {what}: {error}"))?;
    if value.kind() == kind {
        return Ok(value.clone());
    }
    let (name, is_null) = (type_name(value), value.is_null());
    if is_null {
        message.set_content(Bytes::new());
    }
    Err(format!("failed to parse message into JSON {what}: invalid type '{name}'"))
}

fn array(message: &mut Message, out: &mut Vec<Message>) -> Result<(), String> {
    let items = of_kind(message, Kind::Array, "array")?.to_array().unwrap_or_default();
    if items.len() > MAX_PARTS {
        return Err(too_many());
    }
    out.extend(items.iter().map(|item| value_part(message, item.clone())));
    Ok(())
}

fn map(message: &mut Message, out: &mut Vec<Message>) -> Result<(), String> {
    let members = of_kind(message, Kind::Object, "map")?.to_object().unwrap_or_default();
    if members.len() > MAX_PARTS {
        return Err(too_many());
    }
    for (key, value) in members.iter() {
        let mut part = value_part(message, value);
        set_name(&mut part, "archive_key", &String::from_utf8_lossy(&key));
        out.push(part);
    }
    Ok(())
}

/// The parts of the binary form.
pub(super) fn binary(content: &Bytes) -> Result<Vec<Bytes>, String> {
    let bad = || "serialised message bytes were in unexpected format".to_owned();
    let mut rest = content.clone();
    let number = |rest: &mut Bytes| {
        let (bytes, _) = rest.split_first_chunk::<4>()?;
        let number = usize::try_from(u32::from_be_bytes(*bytes)).ok()?;
        *rest = rest.slice(4..);
        Some(number)
    };
    let count = number(&mut rest).filter(|count| *count < content.len()).ok_or_else(bad)?;
    if count > MAX_PARTS {
        return Err(too_many());
    }
    let mut parts = Vec::with_capacity(count.min(content.len() / 4));
    for _ in 0..count {
        let length = number(&mut rest).filter(|length| *length <= rest.len()).ok_or_else(bad)?;
        parts.push(rest.split_to(length));
    }
    Ok(parts)
}

impl Processor for Unarchive {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            let from = out.len();
            if let Err(text) = self.take_apart(message, out) {
                out.truncate(from);
                self.log.error(format_args!("Failed to unarchive message part: {text}"));
                flag(message, text);
                out.push(mem::take(message));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{run, shown};

    async fn taken_apart(format: &str, messages: &[&str]) -> (Vec<String>, Vec<Option<String>>) {
        let out = run(&format!("unarchive: {{ format: '{format}' }}"), messages).await;
        let errors =
            out.iter().flatten().map(|message| message.error().map(|error| error.text.clone())).collect();
        (shown(&out).into_iter().flatten().collect(), errors)
    }

    #[tokio::test]
    async fn json() {
        let array = ["[{\"b\":1,\"a\":2}, \"s\", 1.50, null]", "[]", "{}"];
        let (parts, errors) = taken_apart("json_array", &array).await;
        assert_eq!(parts, ["{\"a\":2,\"b\":1}", "\"s\"", "1.50", "null", "{}"]);
        assert_eq!(
            errors[4].as_deref(),
            Some("failed to parse message into JSON array: invalid type 'map[string]interface {}'")
        );
        let (parts, errors) = taken_apart("json_array", &["null", ""]).await;
        assert_eq!(parts, ["", ""]);
        assert_eq!(
            errors[0].as_deref(),
            Some("failed to parse message into JSON array: invalid type '<nil>'")
        );
        assert_eq!(
            errors[1].as_deref(),
            Some("failed to parse message into JSON array: target message part does not exist")
        );
        let out = run("unarchive: { format: json_map }", &["{\"k\":\"v\"}"]).await;
        assert_eq!(shown(&out), [["\"v\""]]);
        assert_eq!(out[0][0].metadata().get("archive_key").unwrap().as_str().unwrap(), "k");
    }

    #[tokio::test]
    async fn lines_keep_the_empty_ones() {
        assert_eq!(taken_apart("lines", &["a\n\nb\n"]).await.0, ["a", "", "b", ""]);
    }

    #[tokio::test]
    async fn broken_binary_is_refused() {
        for broken in ["", "\0\0\0", "\0\0\0\x02\0\0\0\x01a", "\0\0\0\x01\0\0\0\x05a", "\x7f\x7f\x7f\x7f"] {
            let (parts, errors) = taken_apart("binary", &[broken]).await;
            assert_eq!((parts[0].as_str(), errors[0].is_some()), (broken, true));
        }
    }

    #[test]
    fn formats_are_read() {
        assert_eq!(Format::parse("csv:\t"), Ok(Format::Csv('\t')));
        let error = |name| Format::parse(name).unwrap_err().to_string();
        assert_eq!(error("csv:"), "csv format requires a non-empty delimiter");
        assert_eq!(error("csv:ab"), "csv format requires a single character delimiter");
        assert_eq!(error("rar"), "archive format not recognised: rar");
    }
}

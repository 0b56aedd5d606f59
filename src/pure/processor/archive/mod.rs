//! `archive`: makes one message of a batch.

mod tar;
mod zip;

use super::flag;
use crate::{compat::structured, log::Log};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Message, Value};
use weir_core::{
    build_error::BuildError,
    error::Error,
    expression::Interpolated,
    field::Field,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "archive",
    summary: "Makes one message of all messages of a batch.",
    description: "It keeps the metadata and the error of the first one. When it cannot be made, the batch goes on \
                  unchanged and all its messages are flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string(
            "format",
            "`binary`: a count and lengths of four bytes each, big-endian, before the contents; `concatenate`: the \
             contents one after the other; `json_array`: an array of the messages as JSON; `lines`: the contents with \
             line breaks between; `tar` and `zip`: an archive of a file for each message.",
        )
        .options(&["binary", "concatenate", "json_array", "lines", "tar", "zip"]),
        Field::string("path", "The path of each message in a `tar` or `zip` archive.").interpolated().default("''"),
    ]),
    examples: &[
        Example { title: "An array", config: "format: json_array" },
        Example { title: "Numbered files", config: "format: tar\npath: '${! batch_index() }.json'" },
    ],
    build: |node, context| {
        let config: Config = node.read()?;
        let format = Format::parse(&config.format)?;
        Ok(Box::new(Archive { format, path: config.path, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    format: String,
    path: Interpolated,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Binary,
    Concatenate,
    JsonArray,
    Lines,
    Tar,
    Zip,
}

impl Format {
    fn parse(name: &str) -> Result<Self, BuildError> {
        Ok(match name {
            "binary" => Self::Binary,
            "concatenate" => Self::Concatenate,
            "json_array" => Self::JsonArray,
            "lines" => Self::Lines,
            "tar" => Self::Tar,
            "zip" => Self::Zip,
            other => return Err(BuildError::new(format!("archive format not recognised: {other}"))),
        })
    }
}

struct Archive {
    format: Format,
    path: Interpolated,
    log: Log,
}

impl Archive {
    /// The content of the archive, or its value.
    fn join(&self, batch: &[Message]) -> Result<Made, String> {
        Ok(Made::Content(match self.format {
            Format::JsonArray => return array(batch).map(Made::Value),
            Format::Binary => binary(batch)?,
            Format::Concatenate => separated(batch, b""),
            Format::Lines => separated(batch, b"\n"),
            Format::Tar => tar::write(self.files(batch)),
            Format::Zip => zip::write(self.files(batch))?,
        }))
    }

    /// Path and content of each file. A path that cannot be told is empty.
    fn files<'a>(&self, batch: &'a [Message]) -> impl Iterator<Item = (String, &'a Bytes)> {
        batch.iter().enumerate().map(|(index, message)| {
            let path = match self.path.resolve_string(batch, index) {
                Ok(path) => path,
                Err(error) => {
                    self.log.error(format_args!("Name interpolation error: {error}"));
                    String::new()
                }
            };
            (path, message.content())
        })
    }
}

enum Made {
    Content(Vec<u8>),
    Value(Value),
}

fn array(batch: &[Message]) -> Result<Value, String> {
    let mut items = Vec::with_capacity(batch.len());
    for message in batch {
        let value =
            structured(message).map_err(|error| format!("failed to parse message as JSON: {error}"))?;
        items.push(value.clone());
    }
    Ok(Value::from(items))
}

/// So much room is made for an archive before its size is known.
const ROOM: usize = 4 << 20;

fn separated(batch: &[Message], separator: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, message) in batch.iter().enumerate() {
        if index == 1 {
            // Messages are mostly alike.
            out.reserve((out.len() + separator.len()).saturating_mul(batch.len()).min(ROOM));
        }
        if index > 0 {
            out.extend_from_slice(separator);
        }
        message.write_to(&mut out);
    }
    out
}

pub(super) fn binary(batch: &[Message]) -> Result<Vec<u8>, String> {
    let length = |length: usize| {
        let length =
            u32::try_from(length).map_err(|_| "a message of 4 GiB or more has no binary form".to_owned())?;
        Ok::<_, String>(length.to_be_bytes())
    };
    let mut out = Vec::with_capacity(4 + batch.iter().map(|message| message.len() + 4).sum::<usize>());
    out.extend_from_slice(&length(batch.len())?);
    for message in batch {
        out.extend_from_slice(&length(message.len())?);
        out.extend_from_slice(message.content());
    }
    Ok(out)
}

#[async_trait]
impl Processor for Archive {
    fn immediate(&self) -> bool {
        // A path may count messages or the like.
        !matches!(self.format, Format::Tar | Format::Zip) || self.path.is_pure()
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        match self.join(batch) {
            Ok(made) => {
                let Some(first) = batch.first_mut() else { return };
                let mut archive = mem::take(first);
                match made {
                    Made::Content(content) => archive.set_content(content),
                    Made::Value(value) => archive.set_value(value),
                }
                out.push(archive);
            }
            Err(text) => {
                self.log.error(format_args!("Failed to create archive: {text}"));
                for message in batch {
                    flag(message, &*text);
                    out.push(mem::take(message));
                }
            }
        }
    }

    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        let mut out = Vec::with_capacity(1);
        self.rewrite(&mut batch, &mut out);
        Ok(one(out))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn formats() {
        let archive = |format| format!("archive: {{ format: {format} }}");
        assert_eq!(shown(&run(&archive("lines"), &["a", "b\nc"]).await), [["a\nb\nc"]]);
        assert_eq!(shown(&run(&archive("concatenate"), &["a", "b"]).await), [["ab"]]);
        assert_eq!(
            shown(&run(&archive("binary"), &["a", "bc"]).await),
            [["\0\0\0\x02\0\0\0\x01a\0\0\0\x02bc"]]
        );
        let all = ["1.50", "\"two\"", "null", "{\"b\": 1, \"a\":[3]}"];
        assert_eq!(
            shown(&run(&archive("json_array"), &all).await),
            [["[1.50,\"two\",null,{\"a\":[3],\"b\":1}]"]]
        );
    }

    #[tokio::test]
    async fn what_cannot_be_archived_goes_on_failed() {
        let out = run("archive: { format: json_array }", &["1", "nope"]).await;
        assert_eq!(shown(&out), [["1", "nope"]]);
        for message in &out[0] {
            let error = message.error().unwrap();
            assert_eq!(
                error.text,
                "failed to parse message as JSON: invalid character 'o' in literal null (expecting 'u')"
            );
            assert!(error.name.is_empty());
        }
    }

    #[tokio::test]
    async fn archives_are_read_back() {
        for format in ["tar", "zip", "binary", "json_array"] {
            let long = "x".repeat(150);
            let config = format!(
                "processors: [ {{ archive: {{ format: {format}, path: 'd/${{! this.n }}-ü' }} }}, {{ unarchive: {{ format: {format} }} }} ]"
            );
            let messages = ["{\"n\":1}".to_owned(), format!("{{\"n\":\"{long}\"}}")];
            let out = run(&config, &[&messages[0], &messages[1]]).await;
            assert_eq!(shown(&out), [messages], "{format}");
            let name = |index: usize| {
                out[0][index]
                    .metadata()
                    .get("archive_filename")
                    .map(|name| name.as_str().unwrap().into_owned())
            };
            let named = matches!(format, "tar" | "zip");
            assert_eq!(name(0), named.then(|| "d/1-ü".to_owned()), "{format}");
            assert_eq!(name(1), named.then(|| format!("d/{long}-ü")), "{format}");
        }
    }
}

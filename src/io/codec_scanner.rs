//! The old field `codec` of inputs that read a stream of bytes, which stands for a scanner.

use crate::avro::{self, Style};
use bytes::Bytes;
use std::sync::Arc;
use weir_bloblang::{Message, Metadata, Object, Value};
use weir_core::{
    build_error::BuildError,
    context::BuildContext,
    error::Error,
    field::Field,
    input::Reading,
    node::{Node, Tag},
    prepare,
    scanner::{Scan, Scanner},
};

pub(crate) const CODEC: Field = Field::string("codec", "How to cut what is read; superseded by `scanner`.")
    .optional()
    .deprecated()
    .suggestions(&[
        "auto",
        "all-bytes",
        "avro-ocf:marshaler=x",
        "chunker:x",
        "csv",
        "csv:x",
        "csv-safe",
        "csv-safe:x",
        "delim:x",
        "gzip",
        "pgzip",
        "lines",
        "multipart",
        "regex:(?m)^\\d\\d:\\d\\d:\\d\\d",
        "skipbom",
        "tar",
    ]);
pub(crate) const MAX_BUFFER: Field =
    Field::int("max_buffer", "The longest message of a codec; superseded by `scanner`.")
        .default("1000000")
        .deprecated();

/// How an input cuts its source: the scanner, or what its codec means where one is given.
pub(crate) fn choose(
    codec: Option<&str>,
    max_buffer: i64,
    field: &str,
    scanner: &Node,
    context: &mut dyn BuildContext,
) -> Result<(Arc<dyn Scanner>, Batches), BuildError> {
    let Some(codec) = codec else { return Ok((context.scanner(field, scanner)?, Batches::default())) };
    let alone = codec.strip_suffix("/multipart");
    let batches = Batches { multipart: alone.is_some(), begun: Vec::new() };
    let codec = alone.unwrap_or(codec);
    let (around, last) = codec.rsplit_once('/').map_or((None, codec), |(around, last)| (Some(around), last));
    if let Some(style) = avro_style(last)? {
        let around = around.map(|around| {
            let pieces = parse(&format!("{around}/chunker:65536"), max_buffer)?;
            context.scanner(field, &pieces)
        });
        // Peers are held to what is said of messages; in files, blocks are longer.
        let said = usize::try_from(max_buffer).unwrap_or(avro::LONGEST);
        let longest = if field == "file.scanner" { avro::LONGEST } else { said };
        return Ok((Arc::new(avro::Files { style, around: around.transpose()?, longest }), batches));
    }
    let scanner = context.scanner(field, &parse(codec, max_buffer)?)?;
    Ok((Arc::new(Recast { scanner, safe: last.starts_with(SAFE) }), batches))
}

/// How `avro-ocf` is to show data, if that is the codec.
fn avro_style(codec: &str) -> Result<Option<Style>, BuildError> {
    match codec.strip_prefix("avro-ocf") {
        Some("" | ":marshaler=goavro") => Ok(Some(Style::Plain)),
        Some(":marshaler=json") => Ok(Some(Style::Typed)),
        Some(_) => Err(BuildError::new("avro-ocf codec requires a non-empty marshaler: goavro or json")),
        None => Ok(None),
    }
}

/// The codec whose broken rows become messages.
const SAFE: &str = "csv-safe";

/// A scanner whose messages are as the codecs had them: without its metadata, or with that of `csv-safe`.
struct Recast<T> {
    scanner: T,
    safe: bool,
}

impl Scanner for Recast<Arc<dyn Scanner>> {
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Recast { scanner: self.scanner.open(name)?, safe: self.safe }))
    }
}

impl Scan for Recast<Box<dyn Scan>> {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        let start = out.len();
        let cut = self.scanner.feed(piece, out);
        self.recast(out.get_mut(start..).unwrap_or_default());
        cut
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        let start = out.len();
        let cut = self.scanner.finish(out);
        self.recast(out.get_mut(start..).unwrap_or_default());
        cut
    }

    fn pending(&self) -> Option<u64> {
        self.scanner.pending()
    }
}

impl Recast<Box<dyn Scan>> {
    fn recast(&self, messages: &mut [Message]) {
        for message in messages {
            if self.safe {
                *message = safe(message);
            } else if !message.metadata().is_empty() {
                *message.metadata_mut() = Metadata::default();
            }
        }
    }
}

/// A row as the codec `csv-safe` has it: numbered from 1, the header counted, and with no content if it is broken.
fn safe(row: &Message) -> Message {
    let error = row.error().map(|error| Value::from(error.text.as_str()));
    let number = match row.metadata().get("csv_row") {
        Some(Value::Int(number)) => number.saturating_add(2),
        _ => 0,
    };
    let fields = row.value().ok().and_then(Value::to_object);
    let empty = |value: &Value| value.as_bytes().is_some_and(|field| field.is_empty());
    let is_empty = fields.is_some_and(|row| !row.is_empty() && row.iter().all(|(_, field)| empty(&field)));
    let mut message = match error {
        Some(_) => Message::from_value(Value::object(Object::new())),
        None => row.clone(),
    };
    let mut metadata = Metadata::default();
    metadata.set("row_number", Value::Int(number));
    metadata.set("row_empty", Value::Bool(is_empty));
    if let Some(error) = error {
        metadata.set("row_parse_error", error);
    }
    *message.metadata_mut() = metadata;
    message
}

/// The codec `auto`: by the ending of the name.
const AUTO: &str = "
switch:
  - { re_match_name: '\\.csv$', scanner: { csv: {} } }
  - { re_match_name: '\\.csv\\.gz$', scanner: { decompress: { algorithm: gzip, into: { csv: {} } } } }
  - { re_match_name: '\\.tar$', scanner: { tar: {} } }
  - { re_match_name: '\\.(tar\\.gz|tgz)$', scanner: { decompress: { algorithm: gzip, into: { tar: {} } } } }
  - { scanner: { to_the_end: {} } }
";

/// More messages are not gathered for one batch.
const MAX_BATCH: usize = 1 << 16;

/// Makes a batch of each message, or, by the codec `multipart`, of those up to an empty one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batches {
    multipart: bool,
    begun: Vec<Message>,
}

impl Batches {
    /// Whether empty messages end batches.
    pub(crate) fn multipart(&self) -> bool {
        self.multipart
    }

    /// Takes messages of a source.
    pub(crate) fn add(&mut self, messages: Vec<Message>, reading: &mut Reading) {
        for message in messages {
            if !self.multipart {
                reading.push(message);
            } else if message.is_empty() {
                self.end(reading);
            } else {
                self.begun.push(message);
                if self.begun.len() == MAX_BATCH {
                    self.end(reading);
                }
            }
        }
    }

    /// The batch that has begun is whole: its source has ended.
    pub(crate) fn end(&mut self, reading: &mut Reading) {
        reading.messages.append(&mut self.begun);
        reading.end_batch();
    }
}

/// The scanner that a codec means; parts joined by `/` wrap what follows.
fn parse(codec: &str, max_buffer: i64) -> Result<Node, BuildError> {
    if codec == "auto" {
        return Ok(prepare::default_node(AUTO));
    }
    let (first, rest) = codec.split_once('/').map_or((codec, None), |(first, rest)| (first, Some(rest)));
    let (name, argument) =
        first.split_once(':').map_or((first, None), |(name, argument)| (name, Some(argument)));
    let empty = || Node::map(Vec::new());
    let with = |key: &str, value: &str| Node::single(key, Node::string(value));
    let rows =
        |node: Node| node.with("continue_on_error", Node::scalar((name == SAFE).to_string(), Tag::Bool));
    // Only these wrap what follows.
    if let Some(rest) = rest
        && !matches!(name, "gzip" | "pgzip" | "skipbom")
    {
        return Err(BuildError::new(format!("unable to follow codec '{first}' with '{rest}'")));
    }
    let into = || parse(rest.unwrap_or("all-bytes"), max_buffer).map(|inner| Node::single("into", inner));
    Ok(match (name, argument) {
        ("lines", None) => {
            let limit = Node::scalar(max_buffer.to_string(), Tag::Int);
            Node::single("lines", Node::single("max_buffer_size", limit))
        }
        ("delim", Some("")) => {
            return Err(BuildError::new("custom delimiter codec requires a non-empty delimiter"));
        }
        ("delim", Some(delimiter)) => Node::single("lines", with("custom_delimiter", delimiter)),
        ("all-bytes", None) => Node::single("to_the_end", empty()),
        ("csv" | SAFE, None) => Node::single("csv", rows(empty())),
        ("csv" | SAFE, Some(delimiter)) => match delimiter.chars().count() {
            0 => return Err(BuildError::new(format!("{name} codec requires a non-empty delimiter"))),
            1 => Node::single("csv", rows(with("custom_delimiter", delimiter))),
            _ => return Err(BuildError::new(format!("{name} codec requires a single character delimiter"))),
        },
        ("chunker", Some(size)) => {
            let size = Node::scalar(size.to_owned(), Tag::Int);
            Node::single("chunker", Node::single("size", size))
        }
        ("regex", Some(pattern)) => Node::single("re_match", with("pattern", pattern)),
        ("tar", None) => Node::single("tar", empty()),
        ("skipbom", None) => Node::single("skip_bom", into()?),
        ("gzip" | "pgzip", None) => {
            let decompress = into()?.with("algorithm", Node::string(name));
            Node::single("decompress", decompress)
        }
        _ => return Err(BuildError::new(format!("codec was not recognised: {codec}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codecs_wrap_what_follows() {
        let scanner = |codec| parse(codec, 9).map(drop).map_err(|error| error.to_string());
        assert_eq!(scanner("skipbom/gzip/lines"), Ok(()));
        assert_eq!(scanner("lines/csv"), Err("unable to follow codec 'lines' with 'csv'".into()));
        assert_eq!(scanner("gzip/csv/tar"), Err("unable to follow codec 'csv' with 'tar'".into()));
        assert_eq!(scanner("csv-safe:"), Err("csv-safe codec requires a non-empty delimiter".into()));
        assert_eq!(scanner("csv:ab"), Err("csv codec requires a single character delimiter".into()));
        assert_eq!(scanner("delim:"), Err("custom delimiter codec requires a non-empty delimiter".into()));
        assert_eq!(scanner("nonesuch"), Err("codec was not recognised: nonesuch".into()));
    }

    #[test]
    fn empty_messages_end_batches_of_multipart() {
        let cut = |multipart| {
            let mut batches = Batches { multipart, begun: Vec::new() };
            let mut reading = Reading::default();
            let messages = ["", "a", "b", "", "", "c", "", "d"];
            batches.add(messages.into_iter().map(Message::new).collect(), &mut reading);
            let before = reading.ends.clone();
            batches.end(&mut reading);
            (before, reading.ends)
        };
        assert_eq!(cut(true), (vec![2, 3], vec![2, 3, 4]));
        let each: Vec<u32> = (1..=8).collect();
        assert_eq!(cut(false), (each.clone(), each));
    }

    #[test]
    fn rows_of_csv_safe_are_told_as_they_were() {
        let row = |json: &'static str, number, error: Option<&str>| {
            let mut message = Message::new(json);
            message.metadata_mut().set("csv_row", Value::Int(number));
            if let Some(text) = error {
                let error = weir_bloblang::MessageError { text: text.to_owned(), ..Default::default() };
                message.set_error(Some(Arc::new(error)));
            }
            let safe = safe(&message);
            let shown = |value: &Value| String::from_utf8(value.to_payload().unwrap().to_vec()).unwrap();
            let all: Vec<_> =
                safe.metadata().iter().map(|(key, value)| format!("{key}={}", shown(value))).collect();
            (safe.content().clone(), all.join(" "), safe.error().is_some())
        };
        let told = |content, metadata: &str| (Bytes::from_static(content), metadata.to_owned(), false);
        assert_eq!(row(r#"{"a":"1"}"#, 0, None), told(br#"{"a":"1"}"#, "row_empty=false row_number=2"));
        assert_eq!(
            row(r#"{"a":"","b":""}"#, 3, None),
            told(br#"{"a":"","b":""}"#, "row_empty=true row_number=5")
        );
        assert_eq!(
            row(r#"{"a":"1"}"#, 1, Some("no")),
            told(b"{}", "row_empty=false row_number=3 row_parse_error=no")
        );
    }
}

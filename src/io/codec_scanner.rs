//! The old field `codec` of inputs that read a stream of bytes, which stands for a scanner.

use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    field::Field,
    input::Reading,
    node::{Node, Tag},
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

/// The scanner to use: the codec's where one is given.
pub(crate) fn choose(codec: Option<&str>, max_buffer: i64, scanner: Node) -> Result<Node, BuildError> {
    codec.map_or(Ok(scanner), |codec| parse(codec, max_buffer))
}

/// The same for an input that makes batches: the last part of a codec may be `multipart`.
pub(crate) fn choose_batched(
    codec: Option<&str>,
    max_buffer: i64,
    scanner: Node,
) -> Result<(Node, Batches), BuildError> {
    let alone = codec.and_then(|codec| codec.strip_suffix("/multipart"));
    let batches = Batches { multipart: alone.is_some(), begun: Vec::new() };
    Ok((choose(alone.or(codec), max_buffer, scanner)?, batches))
}

/// More messages are not gathered for one batch.
const MAX_BATCH: usize = 1 << 16;

/// Makes a batch of each message, or, by the codec `multipart`, of those up to an empty one.
#[derive(Default)]
pub(crate) struct Batches {
    multipart: bool,
    begun: Vec<Message>,
}

impl Batches {
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
pub(crate) fn parse(codec: &str, max_buffer: i64) -> Result<Node, BuildError> {
    let (first, rest) = codec.split_once('/').map_or((codec, None), |(first, rest)| (first, Some(rest)));
    let (name, argument) =
        first.split_once(':').map_or((first, None), |(name, argument)| (name, Some(argument)));
    let empty = || Node::map(Vec::new());
    let with = |key: &str, value: &str| Node::single(key, Node::string(value));
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
        ("delim", Some(delimiter)) => Node::single("lines", with("custom_delimiter", delimiter)),
        ("all-bytes", None) => Node::single("to_the_end", empty()),
        ("csv", None) => Node::single("csv", empty()),
        ("csv", Some(delimiter)) => Node::single("csv", with("custom_delimiter", delimiter)),
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
        assert_eq!(scanner("nonesuch"), Err("codec was not recognised: nonesuch".into()));
    }

    #[test]
    fn empty_messages_end_batches_of_multipart() {
        let cut = |codec| {
            let scanner = Node::map(Vec::new());
            let (_, mut batches) = choose_batched(Some(codec), 9, scanner).unwrap();
            let mut reading = Reading::default();
            let messages = ["", "a", "b", "", "", "c", "", "d"];
            batches.add(messages.into_iter().map(Message::new).collect(), &mut reading);
            let before = reading.ends.clone();
            batches.end(&mut reading);
            (before, reading.ends)
        };
        assert_eq!(cut("lines/multipart"), (vec![2, 3], vec![2, 3, 4]));
        let each: Vec<u32> = (1..=8).collect();
        assert_eq!(cut("lines"), (each.clone(), each));
    }
}

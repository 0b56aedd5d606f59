//! The old field `codec` of inputs that read a stream of bytes, which stands for a scanner.

use weir_core::{
    build_error::BuildError,
    field::Field,
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

/// The scanner that a codec means; parts joined by `/` wrap what follows.
pub(crate) fn parse(codec: &str, max_buffer: i64) -> Result<Node, BuildError> {
    let (first, rest) = codec.split_once('/').map_or((codec, None), |(first, rest)| (first, Some(rest)));
    let (name, argument) =
        first.split_once(':').map_or((first, None), |(name, argument)| (name, Some(argument)));
    let empty = || Node::map(Vec::new());
    let with = |key: &str, value: &str| Node::single(key, Node::string(value));
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

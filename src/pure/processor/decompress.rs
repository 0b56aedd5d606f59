//! `decompress`: decompresses messages.

use super::flag;
use crate::log::Log;
use serde::Deserialize;
use std::mem;
use weir_bloblang::{Message, compression::Algorithm};
use weir_core::{
    build_error::BuildError,
    field::Field,
    processor::Processor,
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "decompress",
    summary: "Decompresses the content of messages.",
    description: "A message that cannot be decompressed, or would fill more than 256 MiB, goes on unchanged, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        // Not a linted choice: an unknown algorithm is refused when the processor is built.
        Field::string("algorithm", "The algorithm.")
            .suggestions(&["bzip2", "flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"]),
    ]),
    examples: &[Example { title: "Gzip", config: "algorithm: gzip" }],
    build: |node, context| {
        let Config { algorithm } = node.read()?;
        let unknown = || BuildError::new(format!("compression type not recognised: {algorithm}"));
        let algorithm = Algorithm::named(&algorithm).ok_or_else(unknown)?;
        Ok(Box::new(Decompress { algorithm, log: Log::new(context) }))
    },
};

/// What a few bytes decompress to must not fill the memory.
const MAX_BYTES: usize = 256 << 20;

#[derive(Deserialize)]
struct Config {
    algorithm: String,
}

struct Decompress {
    algorithm: Algorithm,
    log: Log,
}

impl Processor for Decompress {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            match self.algorithm.decompress(message.content(), MAX_BYTES) {
                Ok(content) => message.set_content(content),
                Err(error) => {
                    self.log.error(format_args!("Failed to decompress message: {error}"));
                    flag(message, error);
                }
            }
            out.push(mem::take(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{run, shown};

    #[tokio::test]
    async fn what_cannot_be_decompressed_goes_on_failed() {
        let out = run("decompress: { algorithm: gzip }", &["this is no archive"]).await;
        assert_eq!(shown(&out), [["this is no archive"]]);
        assert_eq!(out[0][0].error().unwrap().text, "gzip: invalid header");
    }
}

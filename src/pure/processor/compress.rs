//! `compress`: compresses messages.

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
    name: "compress",
    summary: "Compresses the content of messages.",
    description: "A message that cannot be compressed goes on unchanged, flagged as failed.",
    status: Status::Stable,
    body: Body::Fields(&[
        // Not a linted choice: an unknown algorithm is refused when the processor is built.
        Field::string("algorithm", "The algorithm.")
            .suggestions(&["flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"]),
        Field::int("level", "How hard to try, for algorithms that know levels; -1: as the algorithm likes.")
            .default("-1"),
    ]),
    examples: &[Example { title: "Smallest", config: "algorithm: gzip\nlevel: 9" }],
    build: |node, context| {
        let Config { algorithm, level } = node.read()?;
        let known = Algorithm::named(&algorithm).filter(|algorithm| algorithm.compresses());
        let unknown = || BuildError::new(format!("compression type not recognised: {algorithm}"));
        // The reference knows no upper end for this one.
        let level = if known == Some(Algorithm::Lz4) { level.min(9) } else { level };
        Ok(Box::new(Compress { algorithm: known.ok_or_else(unknown)?, level, log: Log::new(context) }))
    },
};

#[derive(Deserialize)]
struct Config {
    algorithm: String,
    level: i64,
}

struct Compress {
    algorithm: Algorithm,
    level: i64,
    log: Log,
}

impl Processor for Compress {
    fn immediate(&self) -> bool {
        true
    }

    fn rewrite(&self, batch: &mut [Message], out: &mut Vec<Message>) {
        for message in batch {
            match self.algorithm.compress(self.level, message.content()) {
                Ok(content) => message.set_content(content),
                Err(error) => {
                    self.log.error(format_args!("Failed to compress message: {error}"));
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
    async fn what_is_compressed_can_be_decompressed() {
        for algorithm in ["flate", "gzip", "lz4", "pgzip", "snappy", "zlib", "zstd"] {
            let config = format!(
                "processors: [ {{ compress: {{ algorithm: {algorithm} }} }}, {{ decompress: {{ algorithm: {algorithm} }} }} ]"
            );
            let long = "hello ".repeat(1000);
            assert_eq!(shown(&run(&config, &[&long, ""]).await), [[&*long, ""]], "{algorithm}");
        }
    }
}

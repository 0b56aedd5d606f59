//! `decompress`: decompresses a source on its way to another scanner.

use bytes::{Bytes, BytesMut};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use serde::Deserialize;
use std::{io::Write, sync::Arc};
use weir_bloblang::{Message, compression::Algorithm};
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    node::Node,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "decompress",
    summary: "Decompresses a source and passes it to another scanner.",
    description: "Sources of `gzip`, `zlib` and `flate` pass piece by piece; those of other algorithms are read whole, and may \
                  have 256 MiB, compressed or not.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string(
            "algorithm",
            "One of `gzip`, `pgzip`, `zlib`, `bzip2`, `flate`, `snappy`, `lz4` and `zstd`.",
        ),
        Field::scanner("into", "The scanner.").default("to_the_end: {}"),
    ]),
    examples: &[Example { title: "Lines of a log", config: "algorithm: gzip\ninto: { lines: {} }" }],
    build: |node, context| {
        let Config { algorithm, into } = node.read()?;
        let unknown = || BuildError::new(format!("compression type not recognised: {algorithm}"));
        let algorithm = Algorithm::named(&algorithm).ok_or_else(unknown)?;
        Ok(Box::new(Decompress { algorithm, into: context.scanner("decompress.into", &into)? }))
    },
};

#[derive(Deserialize)]
struct Config {
    algorithm: String,
    into: Node,
}

struct Decompress {
    algorithm: Algorithm,
    into: Arc<dyn Scanner>,
}

impl Scanner for Decompress {
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error> {
        let decoder = match self.algorithm {
            Algorithm::Gzip => Decoder::Gzip(MultiGzDecoder::new(Vec::new())),
            Algorithm::Zlib => Decoder::Zlib(ZlibDecoder::new(Vec::new())),
            Algorithm::Flate => Decoder::Flate(DeflateDecoder::new(Vec::new())),
            other => Decoder::Whole(other, BytesMut::new()),
        };
        Ok(Box::new(Decompressing { decoder, scan: self.into.open(name)? }))
    }
}

/// What is gathered of a source, and what it decompresses to.
const MAX_BYTES: usize = 256 << 20;
/// A piece is decompressed in steps, so that a few bytes cannot fill the memory at once.
const STEP: usize = 4096;

enum Decoder {
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Flate(DeflateDecoder<Vec<u8>>),
    Whole(Algorithm, BytesMut),
}

impl Decoder {
    fn write(&mut self, piece: &[u8]) -> Result<Bytes, Error> {
        let written = match self {
            Self::Gzip(decoder) => decoder.write_all(piece).map(|()| std::mem::take(decoder.get_mut())),
            Self::Zlib(decoder) => decoder.write_all(piece).map(|()| std::mem::take(decoder.get_mut())),
            Self::Flate(decoder) => decoder.write_all(piece).map(|()| std::mem::take(decoder.get_mut())),
            Self::Whole(_, gathered) => {
                gathered.extend_from_slice(piece);
                if gathered.len() > MAX_BYTES {
                    return Err(Error::Failed(format!("a compressed source of more than {MAX_BYTES} bytes")));
                }
                Ok(Vec::new())
            }
        };
        written.map(Bytes::from).map_err(Error::from)
    }

    fn finish(&mut self) -> Result<Bytes, Error> {
        let rest = match self {
            Self::Gzip(decoder) => decoder.try_finish().map(|()| std::mem::take(decoder.get_mut())),
            Self::Zlib(decoder) => decoder.try_finish().map(|()| std::mem::take(decoder.get_mut())),
            Self::Flate(decoder) => decoder.try_finish().map(|()| std::mem::take(decoder.get_mut())),
            Self::Whole(algorithm, gathered) => {
                return algorithm.decompress(gathered, MAX_BYTES).map(Bytes::from).map_err(Error::Failed);
            }
        };
        rest.map(Bytes::from).map_err(Error::from)
    }
}

struct Decompressing {
    decoder: Decoder,
    scan: Box<dyn Scan>,
}

impl Decompressing {
    fn pass(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        if piece.is_empty() { Ok(()) } else { self.scan.feed(piece, out) }
    }
}

impl Scan for Decompressing {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        for step in piece.chunks(STEP) {
            let decompressed = self.decoder.write(step)?;
            self.pass(decompressed, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        let rest = self.decoder.finish()?;
        self.pass(rest, out)?;
        self.scan.finish(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::{testing::scanned, to_the_end::ToTheEnd};

    #[test]
    fn sources_may_come_in_pieces() {
        for name in ["gzip", "zlib", "flate", "lz4", "zstd", "snappy"] {
            let algorithm = Algorithm::named(name).unwrap();
            let text = "line one\n".repeat(2000);
            let compressed = algorithm.compress(-1, text.as_bytes()).unwrap();
            let scanner = Decompress { algorithm, into: Arc::new(ToTheEnd) };
            for size in [1, 7, 100_000] {
                assert_eq!(scanned(&scanner, &compressed, size).unwrap(), [&*text], "{name} {size}");
            }
            assert!(scanned(&scanner, &compressed[..compressed.len() - 3], 10).is_err(), "{name}");
        }
    }
}

//! `chunker`: pieces of equal length.

use crate::MAX_HELD;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "chunker",
    summary: "Makes messages of a given length.",
    description: "The last one may be shorter.",
    status: Status::Stable,
    body: Body::Fields(&[Field::int("size", "Bytes of a message; more than a gibibyte is taken for one.")]),
    examples: &[Example { title: "Kilobytes", config: "size: 1024" }],
    build: |node, _| {
        let Config { size } = node.read()?;
        let size = usize::try_from(size).ok().filter(|size| *size > 0);
        let size = size.ok_or_else(|| BuildError::new("a message has at least one byte").at("size"))?;
        Ok(Box::new(Chunker(size.min(MAX_HELD))))
    },
};

#[derive(Deserialize)]
struct Config {
    size: i64,
}

struct Chunker(usize);

impl Scanner for Chunker {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Chunks { size: self.0, begun: BytesMut::new() }))
    }
}

struct Chunks {
    size: usize,
    /// The begin of a message whose end was not fed yet.
    begun: BytesMut,
}

impl Scan for Chunks {
    fn feed(&mut self, mut piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        if !self.begun.is_empty() {
            self.begun.extend_from_slice(&piece.split_to((self.size - self.begun.len()).min(piece.len())));
            if self.begun.len() < self.size {
                return Ok(());
            }
            out.push(Message::new(self.begun.split().freeze()));
        }
        while piece.len() >= self.size {
            out.push(Message::new(piece.split_to(self.size)));
        }
        self.begun.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        if !self.begun.is_empty() {
            out.push(Message::new(self.begun.split().freeze()));
        }
        Ok(())
    }

    fn pending(&self) -> Option<u64> {
        Some(self.begun.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::testing::scanned;

    #[test]
    fn chunks_are_the_same_however_they_are_fed() {
        for size in 1..8 {
            assert_eq!(scanned(&Chunker(3), b"abcdefgh", size).unwrap(), ["abc", "def", "gh"], "{size}");
        }
    }
}

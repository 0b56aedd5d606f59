//! `skip_bom`: passes a source on without its byte order mark.

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    node::Node,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "skip_bom",
    summary: "Passes a source to another scanner, without the byte order mark that it may begin with.",
    description: "",
    status: Status::Stable,
    body: Body::Fields(&[Field::scanner("into", "The scanner.").default("to_the_end: {}")]),
    examples: &[Example { title: "Lines", config: "into: { lines: {} }" }],
    build: |node, context| {
        let Config { into } = node.read()?;
        Ok(Box::new(SkipBom(context.scanner("skip_bom.into", &into)?)))
    },
};

#[derive(Deserialize)]
struct Config {
    into: Node,
}

struct SkipBom(Arc<dyn Scanner>);

impl Scanner for SkipBom {
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Skipping { begin: Some(BytesMut::new()), scan: self.0.open(name)? }))
    }
}

/// Longer ones that begin like shorter ones come first.
const MARKS: [&[u8]; 5] =
    [&[0, 0, 0xfe, 0xff], &[0xff, 0xfe, 0, 0], &[0xef, 0xbb, 0xbf], &[0xfe, 0xff], &[0xff, 0xfe]];

struct Skipping {
    /// What was fed until a mark is found or cannot be.
    begin: Option<BytesMut>,
    scan: Box<dyn Scan>,
}

impl Skipping {
    fn pass_begin(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        let Some(begin) = self.begin.take().map(BytesMut::freeze) else { return Ok(()) };
        let mark = MARKS.iter().find(|mark| begin.starts_with(mark)).map_or(0, |mark| mark.len());
        let rest = begin.slice(mark..);
        if rest.is_empty() { Ok(()) } else { self.scan.feed(rest, out) }
    }
}

impl Scan for Skipping {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        let Some(begin) = &mut self.begin else { return self.scan.feed(piece, out) };
        if begin.is_empty() && !MARKS.iter().any(|mark| mark.first() == piece.first()) {
            self.begin = None;
            return self.scan.feed(piece, out);
        }
        begin.extend_from_slice(&piece);
        if begin.len() < 4 { Ok(()) } else { self.pass_begin(out) }
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.pass_begin(out)?;
        self.scan.finish(out)
    }

    fn pending(&self) -> Option<u64> {
        // A new scan within the source would take its first bytes for a mark only if they were one.
        if self.begin.is_some() { None } else { self.scan.pending() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::testing::scanned;

    #[test]
    fn only_a_mark_at_the_begin_is_skipped() {
        let scanner = SkipBom(Arc::new(super::super::to_the_end::ToTheEnd));
        for size in 1..6 {
            let text = |bytes: &[u8]| scanned(&scanner, bytes, size).unwrap().concat();
            assert_eq!(text(b"\xef\xbb\xbfa\n"), "a\n", "{size}");
            assert_eq!(text(b"\xff\xfe\0\0a"), "a");
            assert_eq!(text(b"\xfe\xff"), "");
            assert_eq!(text(b"a\n"), "a\n");
            assert_eq!(text(b""), "");
        }
    }
}

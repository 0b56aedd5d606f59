//! `to_the_end`: the whole source as one message.

use bytes::{Bytes, BytesMut};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "to_the_end",
    summary: "Reads a source to its end and makes one message of all of it.",
    description: "Only for sources that end and fit the memory. An empty source gives an empty message.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Whole files", config: "{}" }],
    build: |_, _| Ok(Box::new(ToTheEnd)),
};

pub(super) struct ToTheEnd;

impl Scanner for ToTheEnd {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Gathering::default()))
    }
}

#[derive(Default)]
struct Gathering {
    /// A source of one piece is never copied.
    only: Option<Bytes>,
    gathered: BytesMut,
}

impl Scan for Gathering {
    fn feed(&mut self, piece: Bytes, _: &mut Vec<Message>) -> Result<(), Error> {
        if self.only.is_none() && self.gathered.is_empty() {
            self.only = Some(piece);
            return Ok(());
        }
        if let Some(first) = self.only.take() {
            self.gathered.extend_from_slice(&first);
        }
        self.gathered.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        out.push(Message::new(self.only.take().unwrap_or_else(|| self.gathered.split().freeze())));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(pieces: &[&'static str]) -> Vec<Bytes> {
        let (mut scan, mut out) = (ToTheEnd.open("").unwrap(), Vec::new());
        pieces.iter().for_each(|piece| scan.feed(Bytes::from_static(piece.as_bytes()), &mut out).unwrap());
        assert!(out.is_empty());
        scan.finish(&mut out).unwrap();
        out.iter().map(|message| message.content().clone()).collect()
    }

    #[test]
    fn everything_is_one_message() {
        assert_eq!(scanned(&["a\r\n", "b", "c"]), ["a\r\nbc"]);
        assert_eq!(scanned(&["a\n"]), ["a\n"]);
        assert_eq!(scanned(&[]), [""]);
    }
}

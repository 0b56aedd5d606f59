//! `to_the_end`: the whole source as one message.

use crate::MAX_HELD;
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
    description: "Only for sources that end. One of more than 1 GiB is an error; an empty one gives an empty message.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Whole files", config: "{}" }],
    build: |_, _| Ok(Box::new(ToTheEnd)),
};

pub(super) struct ToTheEnd;

impl Scanner for ToTheEnd {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Gathering { most: MAX_HELD, only: None, gathered: BytesMut::new() }))
    }
}

struct Gathering {
    most: usize,
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
        if self.gathered.len() + piece.len() > self.most {
            return Err(Error::Failed(format!("a source of more than {} bytes", self.most)));
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

    #[test]
    fn a_source_that_does_not_fit_is_refused() {
        let mut scan = Gathering { most: 3, only: None, gathered: BytesMut::new() };
        let mut feed = || scan.feed(Bytes::from_static(b"ab"), &mut Vec::new()).is_ok();
        assert_eq!((feed(), feed()), (true, false));
    }
}

//! `lines`: one message a line.

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "lines",
    summary: "Makes a message of each line.",
    description: "A carriage return at the end of a line is no part of it, unless `custom_delimiter` is set. A line \
                  that is too long ends its source.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("custom_delimiter", "What ends a line, instead of a line break.").optional(),
        Field::int("max_buffer_size", "Bytes that a line must be shorter than.").default("65536"),
        Field::bool("omit_empty", "Pass over empty lines.").default("false"),
    ]),
    examples: &[Example { title: "Records between semicolons", config: "custom_delimiter: ';'" }],
    build: |node, _| {
        let config: Config = node.read()?;
        Ok(Box::new(Lines {
            delimiter: config
                .custom_delimiter
                .filter(|delimiter| !delimiter.is_empty())
                .map(String::into_bytes),
            max_buffer_size: usize::try_from(config.max_buffer_size).unwrap_or(0),
            omit_empty: config.omit_empty,
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    custom_delimiter: Option<String>,
    max_buffer_size: i64,
    omit_empty: bool,
}

struct Lines {
    delimiter: Option<Vec<u8>>,
    max_buffer_size: usize,
    omit_empty: bool,
}

impl Scanner for Lines {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        let delimiter = self.delimiter.clone().unwrap_or_else(|| b"\n".to_vec());
        Ok(Box::new(Scanning {
            finder: memchr::memmem::Finder::new(&delimiter).into_owned(),
            cuts_return: self.delimiter.is_none(),
            max: self.max_buffer_size,
            omit_empty: self.omit_empty,
            begun: BytesMut::new(),
        }))
    }
}

struct Scanning {
    finder: memchr::memmem::Finder<'static>,
    /// A carriage return before the default delimiter is no part of the line.
    cuts_return: bool,
    max: usize,
    omit_empty: bool,
    /// The begin of a line whose end was not fed yet.
    begun: BytesMut,
}

impl Scanning {
    fn push(&self, mut line: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        if line.len() >= self.max {
            return Err(too_long());
        }
        if self.cuts_return && line.last() == Some(&b'\r') {
            line.truncate(line.len() - 1);
        }
        if !(self.omit_empty && line.is_empty()) {
            out.push(Message::new(line));
        }
        Ok(())
    }

    fn find(&self, haystack: &[u8]) -> Option<usize> {
        match self.finder.needle() {
            [byte] => memchr::memchr(*byte, haystack),
            _ => self.finder.find(haystack),
        }
    }
}

fn too_long() -> Error {
    Error::failed("bufio.Scanner: token too long")
}

impl Scan for Scanning {
    fn feed(&mut self, mut piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        let width = self.finder.needle().len();
        if !self.begun.is_empty() {
            // The delimiter may begin in what was fed before.
            let known = self.begun.len().saturating_sub(width - 1);
            let joint = (self.begun.len() - known + piece.len()).min(self.max + width);
            let taken = joint - (self.begun.len() - known);
            let before = self.begun.len();
            self.begun.extend_from_slice(piece.get(..taken).unwrap_or_default());
            let Some(at) = self.begun.get(known..).and_then(|tail| self.find(tail)) else {
                if self.begun.len() >= self.max + width {
                    return Err(too_long());
                }
                return Ok(());
            };
            let line = self.begun.split_to(known + at).freeze();
            self.begun.clear();
            let used = (known + at + width).saturating_sub(before);
            piece.advance(used.min(piece.len()));
            self.push(line, out)?;
        }
        while let Some(at) = self.find(&piece) {
            let line = piece.split_to(at);
            piece.advance(width);
            self.push(line, out)?;
        }
        if piece.len() >= self.max + width {
            return Err(too_long());
        }
        self.begun.extend_from_slice(&piece);
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        let rest = self.begun.split().freeze();
        if rest.is_empty() { Ok(()) } else { self.push(rest, out) }
    }

    fn pending(&self) -> Option<u64> {
        Some(self.begun.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(lines: &Lines, text: &'static str, size: usize) -> Result<Vec<String>, Error> {
        let (mut scan, mut out) = (lines.open("")?, Vec::new());
        for piece in text.as_bytes().chunks(size) {
            scan.feed(Bytes::from_static(piece), &mut out)?;
        }
        scan.finish(&mut out)?;
        Ok(out.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned()).collect())
    }

    fn lines(delimiter: Option<&str>, max_buffer_size: usize, omit_empty: bool) -> Lines {
        Lines { delimiter: delimiter.map(|text| text.as_bytes().to_vec()), max_buffer_size, omit_empty }
    }

    #[test]
    fn lines_are_the_same_however_they_are_fed() {
        for size in 1..12 {
            let plain = scanned(&lines(None, 64, false), "a\rb\n\r\r\n\nlong one\r\nc", size).unwrap();
            assert_eq!(plain, ["a\rb", "\r", "", "long one", "c"], "{size}");
            let custom = scanned(&lines(Some("-+-"), 64, true), "a-+-+-b--+-\r\n-+--+-c-+", size).unwrap();
            assert_eq!(custom, ["a", "+-b-", "\r\n", "c-+"], "{size}");
        }
    }

    #[test]
    fn a_line_at_the_limit_ends_the_source() {
        for size in [1, 3, 100] {
            assert_eq!(scanned(&lines(None, 4, false), "abc\nabc", size).unwrap(), ["abc", "abc"]);
            assert!(scanned(&lines(None, 4, false), "abcd\nabc\n", size).is_err(), "{size}");
            assert!(scanned(&lines(None, 4, false), "abc\nabcdefghijkl", size).is_err(), "{size}");
        }
    }

    #[test]
    fn lines_are_slices_of_the_piece() {
        let piece = Bytes::from_static(b"one\ntwo\n");
        let (mut scan, mut out) = (lines(None, 64, false).open("").unwrap(), Vec::new());
        scan.feed(piece.clone(), &mut out).unwrap();
        assert_eq!(out[1].content().as_ptr(), piece[4..].as_ptr());
        assert_eq!(scan.pending(), Some(0));
    }
}

//! `re_match`: pieces that begin where a pattern matches.

use bytes::{Buf, Bytes, BytesMut};
use regex::bytes::Regex;
use serde::Deserialize;
use weir_bloblang::{Message, compile_regex};
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "re_match",
    summary: "Makes messages that begin where a regular expression matches.",
    description: "What stands before the first match is a message too. A message that is too long ends its source.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("pattern", "The regular expression."),
        Field::int("max_buffer_size", "Bytes that a message must be shorter than.").default("65536"),
    ]),
    examples: &[Example {
        title: "Records that begin with a date",
        config: "pattern: '(?m)^\\d\\d:\\d\\d:\\d\\d'",
    }],
    build: |node, _| {
        let config: Config = node.read()?;
        let regex = compile_regex(&config.pattern).map_err(BuildError::new)?;
        Ok(Box::new(ReMatch { regex, max: usize::try_from(config.max_buffer_size).unwrap_or(0) }))
    },
};

#[derive(Deserialize)]
struct Config {
    pattern: String,
    max_buffer_size: i64,
}

struct ReMatch {
    regex: Regex,
    max: usize,
}

impl Scanner for ReMatch {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Matching { regex: self.regex.clone(), max: self.max, buffer: BytesMut::new() }))
    }
}

struct Matching {
    regex: Regex,
    max: usize,
    buffer: BytesMut,
}

impl Matching {
    /// Where the message at the beginning ends. While more may come, the match after it must be known whole.
    fn end(&self, ended: bool) -> Option<usize> {
        let mut matches = self.regex.find_iter(&self.buffer).map(|found| found.start());
        let (first, second) = (matches.next(), matches.next());
        let end = if first == Some(0) { second } else { first };
        match end.filter(|end| *end > 0) {
            Some(end) if ended || second.is_some() => Some(end),
            _ => (ended && !self.buffer.is_empty()).then_some(self.buffer.len()),
        }
    }

    fn drain(&mut self, ended: bool, out: &mut Vec<Message>) -> Result<(), Error> {
        while let Some(end) = self.end(ended) {
            out.push(Message::new(Bytes::copy_from_slice(self.buffer.get(..end).unwrap_or_default())));
            self.buffer.advance(end);
        }
        if self.buffer.len() >= self.max {
            Err(Error::failed("bufio.Scanner: token too long"))
        } else {
            Ok(())
        }
    }
}

impl Scan for Matching {
    fn feed(&mut self, mut piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        // Little by little, so that a long piece is not searched again from its end for each message.
        while !piece.is_empty() {
            let room = self.max.saturating_sub(self.buffer.len()).max(1);
            self.buffer.extend_from_slice(&piece.split_to(room.min(piece.len())));
            self.drain(false, out)?;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.drain(true, out)
    }

    fn pending(&self) -> Option<u64> {
        Some(self.buffer.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::testing::scanned;

    #[test]
    fn messages_begin_at_matches() {
        let scanner = |pattern, max| ReMatch { regex: compile_regex(pattern).unwrap(), max };
        for size in [1, 2, 100] {
            let all = scanned(&scanner("(?m)^\\d:", 64), b"x\n1: a\n b\n2: c", size).unwrap();
            assert_eq!(all, ["x\n", "1: a\n b\n", "2: c"], "{size}");
        }
        assert_eq!(scanned(&scanner("X+", 64), b"aXXbXcXXX", 100).unwrap(), ["a", "XXb", "Xc", "XXX"]);
        assert!(scanned(&scanner("X", 4), b"XaXaaaaaaa", 100).is_err());
    }
}

//! Comma-separated values, record by record, by the rules of the reference's reader: a quoted field may span
//! lines, empty lines are passed over, and a broken record ends with its line.

use bytes::{Buf, BytesMut};
use std::fmt;

/// Longer records are refused: a quote that is never closed must not fill the memory.
const MAX_RECORD: usize = 16 << 20;

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Line on which the record begins, from 1.
    pub begin: u64,
    /// Line of the problem.
    pub line: u64,
    /// Byte of that line, from 1.
    pub column: usize,
    /// What it is.
    pub problem: Problem,
}

/// Kinds of broken records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// A quote inside a field that does not begin with one.
    BareQuote,
    /// A quoted field that goes on after its end, or never ends.
    Quote,
    /// More than 16 MiB.
    TooLong,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.begin != self.line {
            write!(f, "record on line {}; ", self.begin)?;
        }
        let problem = match self.problem {
            Problem::BareQuote => "bare \" in non-quoted-field",
            Problem::Quote => "extraneous or missing \" in quoted-field",
            Problem::TooLong => "record too long",
        };
        write!(f, "parse error on line {}, column {}: {problem}", self.line, self.column)
    }
}

impl std::error::Error for RecordError {}

/// The fields of one record.
#[derive(Debug, Default)]
pub struct Record {
    text: Vec<u8>,
    ends: Vec<usize>,
    line: u64,
}

impl Record {
    /// The number of fields.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The line on which it begins, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// One field.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.text.get(start..end)
    }

    /// The fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).filter_map(|index| self.get(index))
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    fn end_field(&mut self) {
        self.ends.push(self.text.len());
    }
}

/// Cuts bytes into records. It is fed and never waits.
#[derive(Debug)]
pub struct Parser {
    delimiter: Vec<u8>,
    lazy_quotes: bool,
    buffer: BytesMut,
    /// Lines taken so far.
    lines: u64,
    ended: bool,
    /// The record that begins the buffer is incomplete up to here.
    seen: usize,
}

/// How reading a record went, and the bytes and lines it took.
enum Step {
    Incomplete,
    Done { bytes: usize, lines: u64, outcome: Result<(), RecordError> },
}

impl Parser {
    /// A parser for fields that `delimiter` separates. With `lazy_quotes` a quote may stand anywhere.
    pub fn new(delimiter: char, lazy_quotes: bool) -> Self {
        let delimiter = delimiter.to_string().into_bytes();
        Self { delimiter, lazy_quotes, buffer: BytesMut::new(), lines: 0, ended: false, seen: 0 }
    }

    /// Adds bytes.
    pub fn feed(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// Nothing more will be fed.
    pub fn finish(&mut self) {
        self.ended = true;
        self.seen = 0;
    }

    /// The next record, once it is complete; what is broken is passed over.
    pub fn next(&mut self, record: &mut Record) -> Option<Result<(), RecordError>> {
        loop {
            if self.buffer.is_empty() || self.seen == self.buffer.len() {
                return None;
            }
            record.clear();
            match self.step(record) {
                Step::Incomplete if self.buffer.len() > MAX_RECORD => {
                    let line = self.lines + 1;
                    self.lines += memchr::memchr_iter(b'\n', &self.buffer).count() as u64;
                    self.buffer.clear();
                    self.seen = 0;
                    return Some(Err(RecordError {
                        begin: line,
                        line,
                        column: 1,
                        problem: Problem::TooLong,
                    }));
                }
                Step::Incomplete => {
                    self.seen = self.buffer.len();
                    return None;
                }
                Step::Done { bytes, lines, outcome } => {
                    record.line = self.lines + 1;
                    self.buffer.advance(bytes);
                    self.lines += lines;
                    self.seen = 0;
                    if outcome.is_err() || !record.is_empty() {
                        return Some(outcome);
                    }
                }
            }
        }
    }

    /// The line that begins at `from`, its break included; `None` while it is incomplete.
    fn line(&self, from: usize) -> Option<&[u8]> {
        let rest = self.buffer.get(from..).unwrap_or_default();
        match memchr::memchr(b'\n', rest) {
            Some(at) => rest.get(..=at),
            None if self.ended => Some(rest),
            None => None,
        }
    }

    /// Reads one record; an empty line gives one without fields.
    fn step(&self, record: &mut Record) -> Step {
        let begin = self.lines + 1;
        let Some(first) = self.line(0) else { return Step::Incomplete };
        let (mut taken, mut lines) = (first.len(), 1);
        let (mut rest, mut line) = (first, first);
        if content(rest).is_empty() {
            return Step::Done { bytes: taken, lines, outcome: Ok(()) };
        }
        let broken = |line: &[u8], rest: &[u8], lines: u64, problem| {
            Err(RecordError { begin, line: begin + lines - 1, column: line.len() - rest.len() + 1, problem })
        };
        loop {
            let Some(quoted) = rest.strip_prefix(b"\"") else {
                let (field, next) = match memchr::memmem::find(rest, &self.delimiter) {
                    Some(at) => (rest.get(..at), rest.get(at + self.delimiter.len()..)),
                    None => (Some(content(rest)), None),
                };
                let field = field.unwrap_or_default();
                if !self.lazy_quotes
                    && let Some(at) = memchr::memchr(b'"', field)
                {
                    let from = rest.get(at..).unwrap_or_default();
                    let outcome = broken(line, from, lines, Problem::BareQuote);
                    return Step::Done { bytes: taken, lines, outcome };
                }
                record.text.extend_from_slice(field);
                record.end_field();
                let Some(next) = next else { return Step::Done { bytes: taken, lines, outcome: Ok(()) } };
                rest = next;
                continue;
            };
            rest = quoted;
            loop {
                if let Some(at) = memchr::memchr(b'"', rest) {
                    record.text.extend_from_slice(rest.get(..at).unwrap_or_default());
                    let at_quote = rest.get(at..).unwrap_or_default();
                    rest = rest.get(at + 1..).unwrap_or_default();
                    if let Some(after) = rest.strip_prefix(b"\"") {
                        record.text.push(b'"');
                        rest = after;
                    } else if let Some(after) = rest.strip_prefix(&*self.delimiter) {
                        record.end_field();
                        rest = after;
                        break;
                    } else if content(rest).is_empty() {
                        record.end_field();
                        return Step::Done { bytes: taken, lines, outcome: Ok(()) };
                    } else if self.lazy_quotes {
                        record.text.push(b'"');
                    } else {
                        let outcome = broken(line, at_quote, lines, Problem::Quote);
                        return Step::Done { bytes: taken, lines, outcome };
                    }
                    continue;
                }
                // The field goes on in the next line.
                match rest.strip_suffix(b"\r\n") {
                    Some(before) => {
                        record.text.extend_from_slice(before);
                        record.text.push(b'\n');
                    }
                    None => record.text.extend_from_slice(rest),
                }
                let Some(following) = self.line(taken) else { return Step::Incomplete };
                if following.is_empty() {
                    if self.lazy_quotes {
                        record.end_field();
                        return Step::Done { bytes: taken, lines, outcome: Ok(()) };
                    }
                    let outcome = broken(line, &[], lines, Problem::Quote);
                    return Step::Done { bytes: taken, lines, outcome };
                }
                taken += following.len();
                lines += 1;
                (line, rest) = (following, following);
            }
        }
    }
}

/// A line without its break.
fn content(line: &[u8]) -> &[u8] {
    match line.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => line.strip_suffix(b"\r").unwrap_or(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records as `a|b`, errors as their text; fed in pieces of `size`.
    fn parsed(text: &str, lazy_quotes: bool, size: usize) -> Vec<String> {
        let (mut parser, mut record, mut out) =
            (Parser::new(',', lazy_quotes), Record::default(), Vec::new());
        let mut drain = |parser: &mut Parser| {
            while let Some(outcome) = parser.next(&mut record) {
                out.push(match outcome {
                    Ok(()) => record.fields().map(String::from_utf8_lossy).collect::<Vec<_>>().join("|"),
                    Err(error) => error.to_string(),
                });
            }
        };
        for piece in text.as_bytes().chunks(size) {
            parser.feed(piece);
            drain(&mut parser);
        }
        parser.finish();
        drain(&mut parser);
        out
    }

    #[test]
    fn records_are_the_same_however_they_are_fed() {
        let text = "a,b\r\n\n1,\"x\"\"y\nz\"\n\n,\n\"q\",";
        for size in [1, 2, 3, 100] {
            assert_eq!(parsed(text, false, size), ["a|b", "1|x\"y\nz", "|", "q|"], "{size}");
        }
    }

    #[test]
    fn broken_records_are_named_and_passed_over() {
        let text = "1,2\na\"b,c\n\"x\"y,1\n3,4\n\"open\nmore\n";
        assert_eq!(
            parsed(text, false, 4),
            [
                "1|2",
                "parse error on line 2, column 2: bare \" in non-quoted-field",
                "parse error on line 3, column 3: extraneous or missing \" in quoted-field",
                "3|4",
                "record on line 5; parse error on line 6, column 6: extraneous or missing \" in quoted-field",
            ]
        );
    }

    #[test]
    fn lazy_quotes_may_stand_anywhere() {
        assert_eq!(parsed("1,x\"y\n\"p\"q,r\n", true, 3), ["1|x\"y", "p\"q,r\n"]);
    }
}

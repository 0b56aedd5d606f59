//! `json_array`: each item of JSON arrays.

use super::documents::Values;
use crate::compat::json_error;
use bytes::Bytes;
use weir_bloblang::{Doc, Message};
use weir_core::{
    error::Error,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "json_array",
    summary: "Makes a message of each item of a JSON array, or of several one after the other.",
    description: "An item goes out as it was written, without its blanks. A broken one ends its source.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Items", config: "{}" }],
    build: |_, _| Ok(Box::new(JsonArray)),
};

struct JsonArray;

impl Scanner for JsonArray {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Items { values: Values::default(), place: Place::Outside, arrays: 0 }))
    }
}

struct Items {
    values: Values,
    place: Place,
    arrays: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An array is to begin.
    Outside,
    /// An item or the end is to follow.
    Opened,
    /// An item is to follow.
    Comma,
    /// A comma or the end is to follow.
    Item,
}

impl Items {
    fn drain(&mut self, ended: bool, out: &mut Vec<Message>) -> Result<(), Error> {
        while let Some(byte) = self.values.peek() {
            match (self.place, byte) {
                (Place::Outside, b'[') => {
                    self.arrays += 1;
                    self.place = Place::Opened;
                    self.values.skip();
                }
                (Place::Opened | Place::Item, b']') => {
                    self.place = Place::Outside;
                    self.values.skip();
                }
                (Place::Item, b',') => {
                    self.place = Place::Comma;
                    self.values.skip();
                }
                (Place::Opened | Place::Comma, _) => {
                    let Some(item) = self.values.next(b",]", ended)? else { return Ok(()) };
                    let broken = |error| format!("failed to decode element: {}", json_error(&error));
                    Doc::parse(item.clone()).map_err(|error| Error::Failed(broken(error)))?;
                    out.push(Message::new(without_blanks(item)));
                    self.place = Place::Item;
                }
                (Place::Outside, other) => {
                    return Err(Error::Failed(format!("expected opening '[' but got {}", char::from(other))));
                }
                (Place::Item, other) => {
                    return Err(Error::Failed(format!("expected closing ']' but got {}", char::from(other))));
                }
            }
        }
        Ok(())
    }
}

/// Valid JSON without the blanks outside of its strings.
fn without_blanks(item: Bytes) -> Bytes {
    if !item.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        return item;
    }
    let (mut in_string, mut escaped) = (false, false);
    let is_kept = |byte: &u8| {
        if in_string {
            in_string = *byte != b'"' || escaped;
            escaped = *byte == b'\\' && !escaped;
            return true;
        }
        in_string = *byte == b'"';
        !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    };
    item.iter().copied().filter(is_kept).collect()
}

impl Scan for Items {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        self.values.feed(&piece);
        self.drain(false, out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.drain(true, out)?;
        match self.place {
            Place::Outside if self.arrays > 0 => Ok(()),
            Place::Outside => Err(Error::failed("failed to read opening token: EOF")),
            _ => Err(Error::failed("failed to read closing token: unexpected EOF")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::testing::scanned;

    #[test]
    fn items_are_the_same_however_they_are_fed() {
        for size in [1, 2, 3, 100] {
            let all =
                scanned(&JsonArray, b"[ {\"b\" : 1.50,\n\"a\":\" \\\" \"}, 2,\"x\" ]\n[][ [1, 2 ] ]", size)
                    .unwrap();
            assert_eq!(all, ["{\"b\":1.50,\"a\":\" \\\" \"}", "2", "\"x\"", "[1,2]"], "{size}");
            for broken in ["{}", "[1", "[1 2]", "[,]", "[nope]", ""] {
                assert!(scanned(&JsonArray, broken.as_bytes(), size).is_err(), "{broken}");
            }
        }
    }
}

//! `json_documents`: each JSON document of several.

use super::documents::Values;
use crate::compat::json_error;
use bytes::Bytes;
use weir_bloblang::{Doc, Kind, Message, Numbers, Value};
use weir_core::{
    error::Error,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "json_documents",
    summary: "Makes a message of each JSON document.",
    description: "Documents need nothing between them. A broken one ends its source.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Documents", config: "{}" }],
    build: |_, _| Ok(Box::new(JsonDocuments)),
};

struct JsonDocuments;

impl Scanner for JsonDocuments {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Documents(Values::default())))
    }
}

struct Documents(Values);

impl Documents {
    fn drain(&mut self, ended: bool, out: &mut Vec<Message>) -> Result<(), Error> {
        while let Some(document) = self.0.next(b"", ended)? {
            // Numbers become floats, as the reference's decoder makes them.
            let document = Doc::parse_with(document, Numbers::Float);
            let value = Value::document(&document.map_err(|error| Error::Failed(json_error(&error)))?);
            out.push(match value.kind() {
                Kind::String | Kind::Bytes => Message::new(value.to_json()),
                _ => Message::from_value(value),
            });
        }
        Ok(())
    }
}

impl Scan for Documents {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        self.0.feed(&piece);
        self.drain(false, out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.drain(true, out)
    }

    fn pending(&self) -> Option<u64> {
        Some(self.0.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::testing::scanned;

    #[test]
    fn documents_are_the_same_however_they_are_fed() {
        for size in [1, 2, 3, 100] {
            let all = scanned(&JsonDocuments, b" {\"b\":1.50,\"a\":\"}\"}[1]\n5 null\"x\"", size).unwrap();
            assert_eq!(all, ["{\"a\":\"}\",\"b\":1.5}", "[1]", "5", "null", "\"x\""], "{size}");
            assert!(scanned(&JsonDocuments, b"{\"a\":1} {\"b\":", size).is_err());
        }
    }
}

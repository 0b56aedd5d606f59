//! `tar`: each file of an archive.

use crate::{MAX_HELD, processor::unarchive::tar::Reader};
use bytes::{Bytes, BytesMut};
use weir_bloblang::{Message, Value};
use weir_core::{
    error::Error,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "tar",
    summary: "Makes a message of each file of a tar archive.",
    description: "Its path is the metadata `tar_name`. Directories are empty messages. A file of more than 1 GiB ends its source.",
    status: Status::Stable,
    body: Body::Empty,
    examples: &[Example { title: "Files", config: "{}" }],
    build: |_, _| Ok(Box::new(Tar)),
};

struct Tar;

impl Scanner for Tar {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(Files { reader: Reader::default(), begun: BytesMut::new() }))
    }
}

struct Files {
    reader: Reader,
    begun: BytesMut,
}

impl Files {
    fn drain(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        let mut rest = self.begun.split().freeze();
        while let Some(entry) = self.reader.next(&mut rest).map_err(Error::Failed)? {
            let mut message = Message::new(entry.content);
            message.metadata_mut().set("tar_name", Value::from(entry.name.as_str()));
            out.push(message);
        }
        // Not copied while a long file is incomplete: nobody else has these bytes then.
        self.begun = BytesMut::from(rest);
        Ok(())
    }
}

impl Scan for Files {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        if self.reader.ended {
            return Ok(());
        }
        self.begun.extend_from_slice(&piece);
        if self.begun.len() > MAX_HELD {
            return Err(Error::Failed(format!("a file of more than {MAX_HELD} bytes in a tar archive")));
        }
        self.drain(out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        self.drain(out)?;
        if self.reader.ended || self.begun.is_empty() { Ok(()) } else { Err(Error::failed("unexpected EOF")) }
    }
}

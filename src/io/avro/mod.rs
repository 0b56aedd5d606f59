//! Avro object container files (the codec `avro-ocf`): a schema, then blocks of data that were written by it.
//!
//! The format is that of the Avro specification 1.11; each datum becomes a message.

mod datum;

use bytes::{Buf as _, Bytes, BytesMut};
pub(crate) use datum::Style;
use datum::{Input, Schema};
use weir_bloblang::{Message, Value, compression::Algorithm};
use weir_core::{
    error::Error,
    scanner::{Scan, Scanner},
};

const MAGIC: &[u8] = b"Obj\x01";
/// Bytes of the mark that ends the header and each block.
const SYNC: usize = 16;
/// The longest header, and the longest block as it is stored and as it is decompressed.
const LONGEST_HEADER: usize = 4 << 20;
const LONGEST_BLOCK: usize = 64 << 20;
/// The most values in a block, those inside of others included.
const MOST_VALUES: usize = 1 << 24;

/// Cuts container files.
pub(crate) struct Files(pub(crate) Style);

impl Scanner for Files {
    fn open(&self, _: &str) -> Result<Box<dyn Scan>, Error> {
        Ok(Box::new(File { style: self.0, buffer: BytesMut::new(), header: None }))
    }
}

struct File {
    style: Style,
    buffer: BytesMut,
    header: Option<Header>,
}

struct Header {
    schema: Schema,
    compression: Option<Algorithm>,
    sync: [u8; SYNC],
}

fn failed(text: impl std::fmt::Display) -> Error {
    Error::Failed(format!("avro: {text}"))
}

/// What is at the begin of a file, and its length; `None`: it is not all there yet.
fn header(bytes: &[u8], style: Style) -> Result<Option<(Header, usize)>, Error> {
    let seen = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if !MAGIC.starts_with(seen) {
        return Err(failed("this is no container file: it does not begin with its magic bytes"));
    }
    let mut input = Input::new(bytes.get(MAGIC.len()..).unwrap_or_default(), MOST_VALUES);
    let (mut schema, mut compression) = (None, None);
    let mut read = || -> Option<[u8; SYNC]> {
        loop {
            let mut count = input.long().ok()?;
            if count == 0 {
                break;
            }
            if count < 0 {
                count = count.saturating_neg();
                input.long().ok()?;
            }
            for _ in 0..count {
                let (name, value) = (input.bytes().ok()?, input.bytes().ok()?);
                match name {
                    b"avro.schema" => schema = Some(value),
                    b"avro.codec" => compression = Some(value),
                    _ => {}
                }
            }
        }
        input.take(SYNC).ok()?.try_into().ok()
    };
    let Some(sync) = read() else {
        return if bytes.len() > LONGEST_HEADER { Err(failed("the header is too long")) } else { Ok(None) };
    };
    let schema = Schema::parse(schema.unwrap_or_default(), style).map_err(failed)?;
    let compression = match compression {
        None | Some(b"null" | b"") => None,
        Some(b"deflate") => Some(Algorithm::Flate),
        Some(b"snappy") => Some(Algorithm::Snappy),
        Some(other) => {
            return Err(failed(format_args!("unknown compression {}", String::from_utf8_lossy(other))));
        }
    };
    Ok(Some((Header { schema, compression, sync }, bytes.len() - input.len())))
}

impl Header {
    /// Takes the first block, if it is all there, and gives its messages.
    fn block(&self, buffer: &mut BytesMut, out: &mut Vec<Message>) -> Result<bool, Error> {
        let mut input = Input::new(buffer, MOST_VALUES);
        let (Ok(count), Ok(length)) = (input.long(), input.long()) else {
            // Two numbers take twenty bytes at most.
            return if buffer.len() < 20 { Ok(false) } else { Err(failed("a block begins with no numbers")) };
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= LONGEST_BLOCK);
        let length = length.ok_or_else(|| failed("a block is too long"))?;
        let (Ok(data), Ok(sync)) = (input.take(length), input.take(SYNC)) else { return Ok(false) };
        if sync != self.sync {
            return Err(failed("a block does not end with the mark of its file"));
        }
        let data = match self.compression {
            None => Bytes::copy_from_slice(data),
            Some(algorithm) => {
                // A checksum follows what snappy made.
                let crc = if algorithm == Algorithm::Snappy { 4 } else { 0 };
                let data = data.get(..length.saturating_sub(crc)).unwrap_or_default();
                algorithm.decompress(data, LONGEST_BLOCK).map_err(failed)?.into()
            }
        };
        let rest = input.len();
        buffer.advance(buffer.len() - rest);
        let mut input = Input::new(&data, MOST_VALUES);
        for _ in 0..count {
            out.push(message(&self.schema.read(&mut input).map_err(failed)?)?);
        }
        Ok(true)
    }
}

/// A datum as a message: JSON, also where it is a string.
fn message(value: &Value) -> Result<Message, Error> {
    if value.as_bytes().is_none() {
        return Ok(Message::from_value(value.clone()));
    }
    let mut json = Vec::new();
    value.write_json(&mut json).map_err(|_| failed("a string is no text"))?;
    Ok(Message::new(json))
}

impl Scan for File {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        self.buffer.extend_from_slice(&piece);
        if self.header.is_none() {
            let Some((header, length)) = header(&self.buffer, self.style)? else { return Ok(()) };
            self.buffer.advance(length);
            self.header = Some(header);
        }
        let Some(header) = &self.header else { return Ok(()) };
        while !self.buffer.is_empty() && header.block(&mut self.buffer, out)? {}
        Ok(())
    }

    fn finish(&mut self, _: &mut Vec<Message>) -> Result<(), Error> {
        if self.buffer.is_empty() { Ok(()) } else { Err(failed("unexpected end of the file")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type":"record","name":"r","namespace":"n","fields":[
        {"name":"a","type":"long"},{"name":"s","type":["null","string"]},{"name":"b","type":"bytes"},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"next","type":["null","r"]}]}"#;

    fn long(number: i64) -> Vec<u8> {
        let (mut rest, mut bytes) = ((number << 1 ^ number >> 63).cast_unsigned(), Vec::new());
        while rest > 0x7f {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push((rest & 0x7f) as u8);
        bytes
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        [&*long(i64::try_from(bytes.len()).unwrap()), bytes].concat()
    }

    /// A file of blocks as they are stored, each with its number of data.
    fn file(schema: &str, blocks: &[(i64, &[u8])]) -> Vec<u8> {
        let mut file =
            [MAGIC, &[2], &*text(b"avro.schema"), &*text(schema.as_bytes()), &[0], &[7; SYNC]].concat();
        for (count, data) in blocks {
            file.extend([&*long(*count), &*text(data), &[7; SYNC]].concat());
        }
        file
    }

    fn cut(file: &[u8], pieces: usize, style: Style) -> (Vec<String>, Result<(), Error>) {
        let (mut scan, mut out) = (Files(style).open("").unwrap(), Vec::new());
        let mut outcome = Ok(());
        for piece in file.chunks(pieces) {
            outcome = outcome.and_then(|()| scan.feed(Bytes::copy_from_slice(piece), &mut out));
        }
        let outcome = outcome.and_then(|()| scan.finish(&mut out));
        (out.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned()).collect(), outcome)
    }

    #[test]
    fn data_become_messages_however_a_file_comes() {
        // a = 1, s = "x", b = [1, 0xc8], t = 1,700,000,000,001, next = null.
        let time = long(1_700_000_000_001);
        let datum = [&[2, 2, 2, b'x', 4, 1, 0xc8][..], &*time, &[0]].concat();
        let file = file(SCHEMA, &[(2, &[&*datum, &*datum].concat()), (1, &datum)]);
        let plain = "{\"a\":1,\"b\":\"\\u0001È\",\"next\":null,\"s\":\"x\",\"t\":1700000000001}";
        let typed = "{\"a\":1,\"b\":\"Acg=\",\"next\":null,\"s\":{\"string\":\"x\"},\"t\":\"2023-11-14T22:13:20.001Z\"}";
        for pieces in [1, 7, 10_000] {
            assert_eq!(cut(&file, pieces, Style::Plain), (vec![plain.to_owned(); 3], Ok(())));
            assert_eq!(cut(&file, pieces, Style::Typed), (vec![typed.to_owned(); 3], Ok(())));
        }
    }

    #[test]
    fn what_is_broken_or_hostile_is_an_error() {
        let error = |file: &[u8]| cut(file, 100, Style::Plain).1.unwrap_err().to_string();
        let long = file("\"string\"", &[(1, &[0x7e, b'x'])]);
        let nested = file(
            r#"{"type":"record","name":"l","fields":[{"name":"l","type":["null","l"]}]}"#,
            &[(1, &[2; 120])],
        );
        let many = file(r#"{"type":"array","items":"null"}"#, &[(1, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0])]);
        let mut unsynced = file("\"null\"", &[(1, &[])]);
        *unsynced.last_mut().unwrap() = 8;
        let whole = file("\"int\"", &[(1, &[2])]);
        for (file, said) in [
            (&b"a,b\n"[..], "no container file"),
            (&long, "ends too early"),
            (&nested, "too deep"),
            (&many, "too many values"),
            (&unsynced, "mark of its file"),
            (&whole[..whole.len() - 1], "unexpected end"),
            (&file("\"nonesuch\"", &[]), "unknown type nonesuch"),
            (&file("{", &[]), "schema"),
        ] {
            assert!(error(file).contains(said), "{said}: {}", error(file));
        }
    }
}

//! Avro object container files (the codec `avro-ocf`): a schema, then blocks of data that were written by it.
//!
//! The format is that of the Avro specification 1.11; each datum becomes a message.

mod datum;

use bytes::{Buf as _, Bytes, BytesMut};
pub(crate) use datum::Style;
use datum::{Input, Schema};
use flate2::Crc;
use std::sync::Arc;
use weir_bloblang::{Message, Value, compression::Algorithm};
use weir_core::{
    error::Error,
    scanner::{Scan, Scanner},
};

const MAGIC: &[u8] = b"Obj\x01";
/// Bytes of the mark that ends the header and each block.
const SYNC: usize = 16;
/// The longest header, and the longest block as it is stored and as it is decompressed.
const LONGEST_HEADER: usize = 1 << 20;
const LONGEST_BLOCK: usize = 16 << 20;
/// The most values in a block, those inside of others included.
const MOST_VALUES: usize = 1 << 21;
/// The most data in what comes at once, be it short or much compressed.
const MOST_DATA: usize = 1 << 18;

/// Cuts container files.
pub(crate) struct Files {
    /// How data are shown.
    pub(crate) style: Style,
    /// What a source goes through before, which gives it on in pieces.
    pub(crate) around: Option<Arc<dyn Scanner>>,
    /// The longest block as it is stored, of a source that nobody vouches for.
    pub(crate) longest: usize,
}

/// How long a block may be where that is not said.
pub(crate) const LONGEST: usize = LONGEST_BLOCK;

impl Scanner for Files {
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error> {
        let around = self.around.as_ref().map(|around| around.open(name)).transpose()?;
        let longest = self.longest.min(LONGEST_BLOCK);
        Ok(Box::new(File { style: self.style, longest, around, buffer: BytesMut::new(), header: None }))
    }
}

struct File {
    style: Style,
    longest: usize,
    around: Option<Box<dyn Scan>>,
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
    fn block(&self, longest: usize, buffer: &mut BytesMut, out: &mut Vec<Message>) -> Result<bool, Error> {
        let mut input = Input::new(buffer, MOST_VALUES);
        let (Ok(count), Ok(length)) = (input.long(), input.long()) else {
            // Two numbers take twenty bytes at most.
            return if buffer.len() < 20 { Ok(false) } else { Err(failed("a block begins with no numbers")) };
        };
        let length = usize::try_from(length).ok().filter(|length| *length <= longest);
        let length = length.ok_or_else(|| failed("a block is too long"))?;
        let (Ok(data), Ok(sync)) = (input.take(length), input.take(SYNC)) else { return Ok(false) };
        if sync != self.sync {
            return Err(failed("a block does not end with the mark of its file"));
        }
        let data = match self.compression {
            None => Bytes::copy_from_slice(data),
            Some(Algorithm::Snappy) => {
                let (data, sum) = data.split_last_chunk().ok_or_else(|| failed("a block has no checksum"))?;
                let data = Algorithm::Snappy.decompress(data, LONGEST_BLOCK).map_err(failed)?;
                let mut crc = Crc::new();
                crc.update(&data);
                if crc.sum().to_be_bytes() != *sum {
                    return Err(failed("a block has another checksum than it says"));
                }
                data.into()
            }
            Some(algorithm) => algorithm.decompress(data, LONGEST_BLOCK).map_err(failed)?.into(),
        };
        let rest = input.len();
        buffer.advance(buffer.len() - rest);
        let mut input = Input::new(&data, MOST_VALUES);
        for _ in 0..count {
            if out.len() >= MOST_DATA {
                return Err(failed(format_args!("more than {MOST_DATA} data came at once")));
            }
            out.push(message(self.schema.read(&mut input).map_err(failed)?)?);
        }
        if count < 0 || input.len() > 0 {
            return Err(failed("a block has not as many data as it says"));
        }
        Ok(true)
    }
}

/// A datum as a message: JSON, also where it is a string.
fn message(value: Value) -> Result<Message, Error> {
    if value.as_bytes().is_none() {
        return Ok(Message::from_value(value));
    }
    let mut json = Vec::new();
    value.write_json(&mut json).map_err(|_| failed("a string is no text"))?;
    Ok(Message::new(json))
}

impl File {
    fn take(&mut self, piece: &[u8], out: &mut Vec<Message>) -> Result<(), Error> {
        self.buffer.extend_from_slice(piece);
        if self.header.is_none() {
            let Some((header, length)) = header(&self.buffer, self.style)? else { return Ok(()) };
            self.buffer.advance(length);
            self.header = Some(header);
        }
        let Some(header) = &self.header else { return Ok(()) };
        while !self.buffer.is_empty() && header.block(self.longest, &mut self.buffer, out)? {}
        Ok(())
    }

    fn take_all(&mut self, pieces: &[Message], out: &mut Vec<Message>) -> Result<(), Error> {
        pieces.iter().try_for_each(|piece| self.take(piece.content(), out))
    }
}

impl Scan for File {
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error> {
        let Some(around) = &mut self.around else { return self.take(&piece, out) };
        let mut pieces = Vec::new();
        around.feed(piece, &mut pieces)?;
        self.take_all(&pieces, out)
    }

    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error> {
        if let Some(around) = &mut self.around {
            let mut pieces = Vec::new();
            around.finish(&mut pieces)?;
            self.take_all(&pieces, out)?;
        }
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
        let (mut scan, mut out) =
            (Files { style, around: None, longest: LONGEST }.open("").unwrap(), Vec::new());
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
        let error = |file: &[u8]| cut(file, 1000, Style::Plain).1.unwrap_err().to_string();
        let long = file("\"string\"", &[(1, &[0x7e, b'x'])]);
        let nested = file(
            r#"{"type":"record","name":"l","fields":[{"name":"l","type":["null","l"]}]}"#,
            &[(1, &[2; 120])],
        );
        let many = file(r#"{"type":"array","items":"null"}"#, &[(1, &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0])]);
        let mut unsynced = file("\"null\"", &[(1, &[])]);
        *unsynced.last_mut().unwrap() = 8;
        let whole = file("\"int\"", &[(1, &[2])]);
        let nothing = vec![(100_000_i64, &[][..]); 3];
        for (file, said) in [
            (&b"a,b\n"[..], "no container file"),
            (&long, "ends too early"),
            (&nested, "too deep"),
            (&many, "too many values"),
            (&unsynced, "mark of its file"),
            (&whole[..whole.len() - 1], "unexpected end"),
            (&file("\"null\"", &nothing), "came at once"),
            (&file("\"int\"", &[(-1, &[2])]), "as many data"),
            (&file("\"int\"", &[(1, &[2, 2])]), "as many data"),
            (&file("\"nonesuch\"", &[]), "unknown type nonesuch"),
            (&file("{", &[]), "schema"),
        ] {
            assert!(error(file).contains(said), "{said}: {}", error(file));
        }
    }
}

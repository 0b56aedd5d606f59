//! Compression of whole texts in memory, by the algorithms' names.

mod lz4;

use std::cell::RefCell;
use std::io::Read;

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

/// A compression algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Deflate without a frame.
    Flate,
    /// Deflate in gzip's frame; `pgzip` is the same.
    Gzip,
    /// Deflate in zlib's frame.
    Zlib,
    /// Bzip2, only to decompress.
    Bzip2,
    /// LZ4's frames.
    Lz4,
    /// A block of snappy.
    Snappy,
    /// Zstandard.
    Zstd,
}

impl Algorithm {
    /// The algorithm of a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "flate" => Self::Flate,
            "gzip" | "pgzip" => Self::Gzip,
            "zlib" => Self::Zlib,
            "bzip2" => Self::Bzip2,
            "lz4" => Self::Lz4,
            "snappy" => Self::Snappy,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// Whether it can also compress.
    pub fn compresses(self) -> bool {
        self != Self::Bzip2
    }

    /// Compresses; a level of -1 is the algorithm's own choice.
    pub fn compress(self, level: i64, bytes: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Flate if !(-2..=9).contains(&level) => {
                Err(format!("flate: invalid compression level {level}: want value in range [-2, 9]"))
            }
            Self::Gzip if !(-3..=9).contains(&level) => {
                Err(format!("gzip: invalid compression level: {level}"))
            }
            Self::Zlib if !(-2..=9).contains(&level) => {
                Err(format!("zlib: invalid compression level: {level}"))
            }
            Self::Flate => deflate(level, bytes),
            Self::Gzip => gzip(level, bytes),
            Self::Zlib => zlib(level, bytes),
            Self::Bzip2 => Err("compression type not recognised: bzip2".to_owned()),
            Self::Lz4 if level > 9 => Err(format!("lz4: invalid compression level: {level}")),
            Self::Lz4 => Ok(lz4::frame(bytes)),
            Self::Snappy => {
                snap::raw::Encoder::new().compress_vec(bytes).map_err(|error| format!("snappy: {error}"))
            }
            Self::Zstd => {
                let level = i32::try_from(level.clamp(0, 22)).unwrap_or(0);
                zstd::bulk::compress(bytes, level).map_err(|error| format!("zstd: {error}"))
            }
        }
    }

    /// Decompresses, refusing results of more than `most` bytes.
    pub fn decompress(self, bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
        match self {
            Self::Flate => inflate(bytes, most).map(|(out, _)| out),
            Self::Gzip => gunzip(bytes, most),
            Self::Zlib => unzlib(bytes, most),
            Self::Bzip2 if bytes.len() < 2 => Err(CUT.to_owned()),
            Self::Bzip2 if !bytes.is_empty() && !bytes.starts_with(b"BZ") => {
                Err("bzip2 data invalid: bad magic value".to_owned())
            }
            Self::Bzip2 => read(bzip2::read::MultiBzDecoder::new(bytes), most, "bzip2 data invalid"),
            Self::Lz4 | Self::Zstd if bytes.is_empty() => Ok(Vec::new()),
            Self::Lz4 | Self::Zstd if bytes.len() < 4 => Err(CUT.to_owned()),
            Self::Lz4 if !bytes.starts_with(&LZ4_MAGIC) => Err("lz4: bad magic number".to_owned()),
            Self::Lz4 => read(lz4_flex::frame::FrameDecoder::new(bytes), most, "lz4"),
            Self::Snappy => {
                let corrupt = |_| "s2: corrupt input".to_owned();
                if snap::raw::decompress_len(bytes).map_err(corrupt)? > most {
                    return Err(too_large(most));
                }
                snap::raw::Decoder::new().decompress_vec(bytes).map_err(corrupt)
            }
            Self::Zstd if !bytes.starts_with(&ZSTD_MAGIC) => {
                Err("invalid input: magic number mismatch".to_owned())
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::new(bytes).map_err(|error| error.to_string())?;
                read(decoder, most, "zstd")
            }
        }
    }
}

const LZ4_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const CUT: &str = "unexpected EOF";

fn too_large(most: usize) -> String {
    format!("decompressed data exceeds the limit of {most} bytes")
}

/// Reads a decoder to its end.
fn read(decoder: impl Read, most: usize, name: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(limit).read_to_end(&mut out).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => CUT.to_owned(),
        _ => format!("{name}: {error}"),
    })?;
    if out.len() > most { Err(too_large(most)) } else { Ok(out) }
}

/// Texts shorter than this are stored, as the reference does, unless the level asks for more.
const WORTH_IT: usize = 128;

/// What no level means: measured to be twice as fast as the library's own choice, for a few percent more bytes.
const OWN_CHOICE: u32 = 4;

thread_local! {
    /// The last compressor and its level: its tables are large.
    static COMPRESSOR: RefCell<Option<(u32, Compress)>> = const { RefCell::new(None) };
}

fn deflate(level: i64, bytes: &[u8]) -> Result<Vec<u8>, String> {
    if level == 0 || (level < 7 && bytes.len() < WORTH_IT) {
        return Ok(stored(bytes));
    }
    let level = u32::try_from(level).unwrap_or(OWN_CHOICE);
    let mut compress = match COMPRESSOR.take() {
        Some((known, mut compress)) if known == level => {
            compress.reset();
            compress
        }
        _ => Compress::new(Compression::new(level), false),
    };
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    loop {
        let at = usize::try_from(compress.total_in()).unwrap_or(bytes.len());
        let rest = bytes.get(at..).unwrap_or_default();
        let status = compress
            .compress_vec(rest, &mut out, FlushCompress::Finish)
            .map_err(|error| format!("flate: {error}"))?;
        if status == Status::StreamEnd {
            COMPRESSOR.set(Some((level, compress)));
            return Ok(out);
        }
        out.reserve(out.len().max(64));
    }
}

/// Blocks that hold their bytes as they are, and an empty last one.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    for block in bytes.chunks(65535) {
        let len = u16::try_from(block.len()).unwrap_or(u16::MAX);
        out.push(0);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(&(!len).to_le_bytes());
        out.extend_from_slice(block);
    }
    out.extend_from_slice(&[3, 0]);
    out
}

fn gzip(level: i64, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let extra = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    // The time is that of the year 1, cut to its last 32 bits, as the reference writes it.
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0x09, 0x6e, 0x88, extra, 0xff];
    out.extend_from_slice(&deflate(level, bytes)?);
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(out)
}

fn zlib(level: i64, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let flags = match level {
        -2 | 0 | 1 => 0x01,
        2..=5 => 0x5e,
        7..=9 => 0xda,
        _ => 0x9c,
    };
    let mut out = vec![0x78, flags];
    out.extend_from_slice(&deflate(level, bytes)?);
    out.extend_from_slice(&adler32(bytes).to_be_bytes());
    Ok(out)
}

fn adler32(bytes: &[u8]) -> u32 {
    let (mut a, mut b) = (1u32, 0u32);
    // As many as cannot overflow before the remainder is taken.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            a += u32::from(*byte);
            b += a;
        }
        a %= 65521;
        b %= 65521;
    }
    b << 16 | a
}

/// The text, and how many bytes it was made of.
fn inflate(bytes: &[u8], most: usize) -> Result<(Vec<u8>, usize), String> {
    let mut decompress = Decompress::new(false);
    let mut out = Vec::with_capacity(bytes.len().saturating_mul(3).clamp(64, most.saturating_add(64)));
    loop {
        let at = usize::try_from(decompress.total_in()).unwrap_or(bytes.len());
        let before = (at, out.len());
        let rest = bytes.get(at..).unwrap_or_default();
        let status = decompress
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|_| format!("flate: corrupt input before offset {}", decompress.total_in()))?;
        let read = usize::try_from(decompress.total_in()).unwrap_or(bytes.len());
        if out.len() > most {
            return Err(too_large(most));
        }
        if status == Status::StreamEnd {
            return Ok((out, read));
        }
        if out.len() < out.capacity() && (read == bytes.len() || (read, out.len()) == before) {
            return Err(CUT.to_owned());
        }
        out.reserve(out.len().max(256));
    }
}

fn unzlib(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    let [method, flags, rest @ ..] = bytes else {
        return Err(if bytes.is_empty() { "EOF" } else { CUT }.to_owned());
    };
    let head = u16::from_be_bytes([*method, *flags]);
    if method & 0x0f != 8 || method >> 4 > 7 || head % 31 != 0 {
        return Err("zlib: invalid header".to_owned());
    }
    if flags & 0x20 != 0 {
        return Err("zlib: invalid dictionary".to_owned());
    }
    let (out, read) = inflate(rest, most)?;
    match rest.get(read..read + 4) {
        None => Err(CUT.to_owned()),
        Some(sum) if sum == adler32(&out).to_be_bytes() => Ok(out),
        Some(_) => Err("zlib: invalid checksum".to_owned()),
    }
}

/// The members of a gzip text, one after the other.
fn gunzip(bytes: &[u8], most: usize) -> Result<Vec<u8>, String> {
    if bytes.is_empty() {
        return Err("EOF".to_owned());
    }
    let (mut out, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let body = gzip_body(rest)?;
        let (member, read) = inflate(body, most.saturating_sub(out.len()))?;
        let trailer = body.get(read..read + 8).ok_or(CUT)?;
        let mut crc = Crc::new();
        crc.update(&member);
        if trailer != [crc.sum().to_le_bytes(), crc.amount().to_le_bytes()].concat() {
            return Err("gzip: invalid checksum".to_owned());
        }
        out.extend_from_slice(&member);
        rest = body.get(read + 8..).unwrap_or_default();
    }
    Ok(out)
}

/// What follows a member's header.
fn gzip_body(bytes: &[u8]) -> Result<&[u8], String> {
    let [magic, second, method, flags, _, _, _, _, _, _, rest @ ..] = bytes else {
        return Err(CUT.to_owned());
    };
    if (*magic, *second, *method) != (0x1f, 0x8b, 8) {
        return Err("gzip: invalid header".to_owned());
    }
    let mut rest = rest;
    if flags & 4 != 0 {
        let [low, high, after @ ..] = rest else { return Err(CUT.to_owned()) };
        rest = after.get(usize::from(u16::from_le_bytes([*low, *high]))..).ok_or(CUT)?;
    }
    // A name and a comment, each ended by a zero byte.
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = memchr::memchr(0, rest).ok_or(CUT)?;
            rest = rest.get(end + 1..).ok_or(CUT)?;
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..).ok_or(CUT)?;
    }
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_there_and_back() {
        let long = "to be or not to be, ".repeat(100_000);
        for algorithm in
            ["flate", "gzip", "zlib", "lz4", "snappy", "zstd"].map(|name| Algorithm::named(name).unwrap())
        {
            for text in ["", "a", long.get(..90).unwrap(), &long] {
                for level in [-1, 0, 1, 9] {
                    let packed = algorithm.compress(level, text.as_bytes()).unwrap();
                    let unpacked = algorithm.decompress(&packed, long.len());
                    assert_eq!(unpacked.as_deref(), Ok(text.as_bytes()), "{algorithm:?} {level}");
                    assert!(
                        text.len() < 1000 || algorithm.decompress(&packed, 1000).is_err(),
                        "{algorithm:?}"
                    );
                    let cut = packed.len() / 2;
                    // Nothing cut short passes for whole.
                    assert!(
                        text.len() < 1000
                            || algorithm.decompress(packed.get(..cut).unwrap(), long.len()).is_err()
                    );
                }
            }
        }
    }

    #[test]
    fn frames_of_others() {
        let two = [gzip(-1, b"a").unwrap(), gzip(9, b"b").unwrap()].concat();
        assert_eq!(gunzip(&two, 10).unwrap(), b"ab");
        let named = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03name\0\x01\x01\0\xfe\xffa\x43\xbe\xb7\xe8\x01\0\0\0";
        assert_eq!(gunzip(named, 10).unwrap(), b"a");
        let bzip2 = b"\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x44\xf7\x13\x78\0\0\x01\x91\x80\x40\0\x06\x44\x90\x80\x20\0\x22\x03\x34\x84\x30\x21\xb6\x81\x54\x27\x8b\xb9\x22\x9c\x28\x48\x22\x7b\x89\xbc\0";
        assert_eq!(Algorithm::Bzip2.decompress(bzip2, 100).unwrap(), b"hello world");
    }
}

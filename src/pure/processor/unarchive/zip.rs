//! Reading zip archives.

use super::Entry;
use crate::MAX_HELD;
use bytes::{Buf, Bytes};
use flate2::read::DeflateDecoder;
use std::io::Read;

const INVALID: &str = "zip: not a valid zip file";
const END_LENGTH: usize = 22;
const DIRECTORY_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;

/// The entries of an archive, in the order of its directory.
pub(super) fn read(archive: &Bytes) -> Result<Vec<Entry>, String> {
    let (count, mut directory) = directory(archive).ok_or(INVALID)?;
    let mut left = MAX_HELD as u64;
    let mut entries = Vec::new();
    for _ in 0..count {
        let header = take(&mut directory, DIRECTORY_LENGTH)
            .filter(|header| header.starts_with(b"PK\x01\x02"))
            .ok_or(INVALID)?;
        let lengths = [28, 30, 32].map(|at| usize::from(short(&header, at)));
        let name = take(&mut directory, lengths[0]).ok_or(INVALID)?;
        take(&mut directory, lengths[1] + lengths[2]).ok_or(INVALID)?;
        let content = content(archive, &header, &mut left)?;
        entries.push(Entry { name: String::from_utf8_lossy(&name).into_owned(), content });
    }
    Ok(entries)
}

/// The number of entries, and the directory with all behind it.
fn directory(archive: &Bytes) -> Option<(u16, Bytes)> {
    // Behind the end record stands only a comment of at most 64 KiB.
    let from = archive.len().saturating_sub(END_LENGTH + usize::from(u16::MAX));
    let at = from + memchr::memmem::rfind(archive.get(from..)?, b"PK\x05\x06")?;
    let end = archive.get(at..at + END_LENGTH)?;
    let start = usize::try_from(long(end, 16)).ok()?;
    (start <= at).then(|| (short(end, 10), archive.slice(start..)))
}

fn content(archive: &Bytes, header: &[u8], left: &mut u64) -> Result<Bytes, String> {
    let (checksum, packed, size) = (long(header, 16), long(header, 20), long(header, 24));
    let data = data(archive, long(header, 42), packed).ok_or(INVALID)?;
    *left = left
        .checked_sub(u64::from(size))
        .ok_or_else(|| format!("the archive holds more than {MAX_HELD} bytes"))?;
    let content = match short(header, 10) {
        0 => data,
        8 => {
            let mut content = Vec::new();
            let mut decoder = DeflateDecoder::new(data.reader()).take(u64::from(size) + 1);
            decoder.read_to_end(&mut content).map_err(|_| "unexpected EOF")?;
            content.into()
        }
        _ => return Err("zip: unsupported compression algorithm".into()),
    };
    if content.len() as u64 != u64::from(size) || crc32fast::hash(&content) != checksum {
        return Err("zip: checksum error".into());
    }
    Ok(content)
}

/// What stands behind the local header at `offset`.
fn data(archive: &Bytes, offset: u32, length: u32) -> Option<Bytes> {
    let mut rest = archive.clone();
    take(&mut rest, usize::try_from(offset).ok()?)?;
    let local = take(&mut rest, LOCAL_LENGTH).filter(|local| local.starts_with(b"PK\x03\x04"))?;
    take(&mut rest, usize::from(short(&local, 26)) + usize::from(short(&local, 28)))?;
    take(&mut rest, usize::try_from(length).ok()?)
}

fn take(rest: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= rest.len()).then(|| rest.split_to(length))
}

fn short(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u16::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_archives_are_refused() {
        let error = |bytes: &[u8]| read(&Bytes::copy_from_slice(bytes)).err();
        assert_eq!(error(b"nope").as_deref(), Some(INVALID));
        let mut end = b"PK\x05\x06".to_vec();
        end.resize(END_LENGTH, 0);
        assert_eq!(error(&end), None);
        end[10] = 1;
        assert_eq!(error(&end).as_deref(), Some(INVALID));
        end[16] = 9;
        assert_eq!(error(&end).as_deref(), Some(INVALID));
    }
}

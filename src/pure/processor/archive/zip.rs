//! Writing zip archives, deflated.

use bytes::Bytes;
use flate2::{Compression, write::DeflateEncoder};
use std::io::Write;

/// Bit of the flags: names are UTF-8.
const UTF8: u16 = 0x800;
const DEFLATED: u16 = 8;
/// 1980-01-01, the earliest date there is.
const DATE: u16 = 0x21;

/// An archive of these files.
pub(super) fn write<'a>(files: impl Iterator<Item = (String, &'a Bytes)>) -> Result<Vec<u8>, String> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let mut count: u16 = 0;
    let too_large = |_| "the archive is too large for the zip format".to_owned();
    for (path, content) in files {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        let deflated =
            encoder.write_all(content).and_then(|()| encoder.finish()).map_err(|error| error.to_string())?;
        let offset = u32::try_from(out.len()).map_err(too_large)?;
        let name_length = u16::try_from(path.len()).map_err(too_large)?;
        // What the entry and the directory have in common: version needed to the length of the extra field.
        let mut shared = Vec::with_capacity(26);
        for short in [20, if path.is_ascii() { 0 } else { UTF8 }, DEFLATED, 0, DATE] {
            shared.extend_from_slice(&u16::to_le_bytes(short));
        }
        shared.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
        shared.extend_from_slice(&u32::try_from(deflated.len()).map_err(too_large)?.to_le_bytes());
        shared.extend_from_slice(&u32::try_from(content.len()).map_err(too_large)?.to_le_bytes());
        shared.extend_from_slice(&name_length.to_le_bytes());
        shared.extend_from_slice(&0_u16.to_le_bytes());

        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&shared);
        out.extend_from_slice(path.as_bytes());
        out.extend_from_slice(&deflated);

        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        directory.extend_from_slice(&shared);
        // No comment, first disk, no internal attributes, then the mode -rw-rw-rw-.
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(0o100_666_u32 << 16).to_le_bytes());
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(path.as_bytes());
        count = count.checked_add(1).ok_or_else(|| "a zip archive holds at most 65535 files".to_owned())?;
    }
    let start = u32::try_from(out.len()).map_err(too_large)?;
    let length = u32::try_from(directory.len()).map_err(too_large)?;
    out.append(&mut directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&0_u16.to_le_bytes());
    Ok(out)
}

//! Reading tar archives.

use super::Entry;
use bytes::Bytes;

const BLOCK: usize = 512;
const INVALID: &str = "archive/tar: invalid tar header";
const CUT: &str = "unexpected EOF";

/// The entries of an archive; directories and links are empty ones.
pub(super) fn read(content: &Bytes) -> Result<Vec<Entry>, String> {
    let (mut reader, mut rest, mut entries) = (Reader::default(), content.clone(), Vec::new());
    while let Some(entry) = reader.next(&mut rest)? {
        entries.push(entry);
    }
    if reader.ended || rest.is_empty() { Ok(entries) } else { Err(CUT.into()) }
}

/// Reads entries of what there is of an archive.
#[derive(Default)]
pub(crate) struct Reader {
    /// What an extended header said of the entry that follows it.
    long_name: Option<String>,
    long_size: Option<u64>,
    /// The end of the archive was read.
    pub(crate) ended: bool,
}

impl Reader {
    /// Takes the next entry from `rest`; none while it is incomplete, and at the end.
    pub(crate) fn next(&mut self, rest: &mut Bytes) -> Result<Option<Entry>, String> {
        while !self.ended {
            let Some(header) = rest.get(..BLOCK) else { return Ok(None) };
            if header.iter().all(|byte| *byte == 0) {
                self.ended = true;
                break;
            }
            let size = number(header.get(124..136));
            let checksum = number(header.get(148..156));
            let (Some(mut size), true) = (size, checksum == Some(sum(header))) else {
                return Err(INVALID.into());
            };
            let kind = header.get(156).copied().unwrap_or(0);
            let is_extension = matches!(kind, b'x' | b'g' | b'L' | b'K');
            if !is_extension && let Some(known) = self.long_size {
                size = known;
            }
            // Links, devices and directories have no content, whatever their size says.
            let size =
                if matches!(kind, b'1'..=b'6') { 0 } else { usize::try_from(size).map_err(|_| INVALID)? };
            let end = BLOCK.checked_add(size).ok_or(INVALID)?;
            if rest.len() < end {
                return Ok(None);
            }
            let (name, content) = (name(header), rest.slice(BLOCK..end));
            let padded = end.checked_next_multiple_of(BLOCK).ok_or(INVALID)?;
            *rest = rest.slice(padded.min(rest.len())..);
            match kind {
                b'x' => {
                    for (key, value) in records(&content) {
                        match key {
                            "path" => self.long_name = Some(value.to_owned()),
                            "size" => self.long_size = Some(value.parse().map_err(|_| INVALID)?),
                            _ => {}
                        }
                    }
                }
                b'L' => self.long_name = Some(text(&content)),
                b'g' | b'K' => {}
                _ => {
                    self.long_size = None;
                    return Ok(Some(Entry { name: self.long_name.take().unwrap_or(name), content }));
                }
            }
        }
        Ok(None)
    }
}

/// The text before the first zero.
fn text(bytes: &[u8]) -> String {
    let end = memchr::memchr(0, bytes).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn name(header: &[u8]) -> String {
    let name = text(header.get(..100).unwrap_or_default());
    let prefix = match header.get(257..265) {
        Some(b"ustar\x0000") => text(header.get(345..500).unwrap_or_default()),
        _ => String::new(),
    };
    if prefix.is_empty() { name } else { format!("{prefix}/{name}") }
}

/// Octal digits between blanks and zeros, or a big-endian number after a byte with its first bit set.
fn number(field: Option<&[u8]>) -> Option<u64> {
    let field = field?;
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        return rest.iter().try_fold(u64::from(first & 0x7f), |value, byte| {
            value.checked_mul(256).map(|value| value | u64::from(*byte))
        });
    }
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    if digits.is_empty() { Some(0) } else { u64::from_str_radix(digits, 8).ok() }
}

/// The sum of a header's bytes, its checksum taken as blanks.
fn sum(header: &[u8]) -> u64 {
    let byte = |(at, byte): (usize, &u8)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte });
    header.iter().enumerate().map(byte).sum()
}

/// `LENGTH KEY=VALUE\n` records, as far as they are well formed.
fn records(mut content: &[u8]) -> Vec<(&str, &str)> {
    let mut records = Vec::new();
    while let Some(record) = record(content) {
        content = content.get(record.0..).unwrap_or_default();
        records.push((record.1, record.2));
    }
    records
}

fn record(content: &[u8]) -> Option<(usize, &str, &str)> {
    let blank = memchr::memchr(b' ', content)?;
    let length: usize = std::str::from_utf8(content.get(..blank)?).ok()?.parse().ok()?;
    let record = std::str::from_utf8(content.get(blank + 1..length)?).ok()?;
    let (key, value) = record.strip_suffix('\n')?.split_once('=')?;
    Some((length, key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_archives_are_refused() {
        let error = |bytes: Vec<u8>| read(&bytes.into()).err();
        assert_eq!(error(vec![b'x'; 600]).as_deref(), Some(INVALID));
        assert_eq!(error(vec![b'x'; 100]).as_deref(), Some(CUT));
        assert_eq!(error(vec![0; 1024]), None);
        assert_eq!(error(Vec::new()), None);
    }

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(Some(b"0000017\0")), Some(15));
        assert_eq!(number(Some(b"  17 \0")), Some(15));
        assert_eq!(number(Some(&[0x80, 0, 1, 2])), Some(258));
        assert_eq!(number(Some(&[0xff; 12])), None);
        assert_eq!(number(Some(b"9")), None);
    }
}

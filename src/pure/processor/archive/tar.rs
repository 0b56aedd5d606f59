//! Writing tar archives, in the `ustar` format with extended headers where a path needs one.

use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};

const BLOCK: usize = 512;
const NAME: usize = 100;

/// An archive of these files.
pub(super) fn write<'a>(files: impl Iterator<Item = (String, &'a Bytes)>) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut out = Vec::new();
    for (path, content) in files {
        if path.len() > NAME || !path.is_ascii() {
            let record = extended("path", &path);
            header(&mut out, b"PaxHeaders.0/entry", record.len(), b'x', 0);
            body(&mut out, record.as_bytes());
        }
        header(&mut out, path.as_bytes(), content.len(), b'0', now);
        body(&mut out, content);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// `LENGTH KEY=VALUE\n`, the length counting itself.
fn extended(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len() + 1;
    while length != rest.len() + length.to_string().len() {
        length += 1;
    }
    format!("{length}{rest}")
}

fn body(out: &mut Vec<u8>, content: &[u8]) {
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
}

fn header(out: &mut Vec<u8>, name: &[u8], size: usize, kind: u8, modified: u64) {
    let mut block = Vec::with_capacity(BLOCK);
    // Text cut or filled up to the width of its place.
    let put = |block: &mut Vec<u8>, text: &[u8], width: usize| {
        let end = block.len() + width;
        block.extend_from_slice(text.get(..width.min(text.len())).unwrap_or_default());
        block.resize(end, 0);
    };
    put(&mut block, name, NAME);
    for number in ["0000666", "0000000", "0000000"] {
        put(&mut block, number.as_bytes(), 8);
    }
    put(&mut block, format!("{size:011o}").as_bytes(), 12);
    put(&mut block, format!("{modified:011o}").as_bytes(), 12);
    let checksum_at = block.len();
    put(&mut block, b"        ", 8);
    block.push(kind);
    put(&mut block, b"", 100);
    put(&mut block, b"ustar\x0000", 8);
    block.resize(BLOCK, 0);
    let checksum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let checksum = format!("{checksum:06o}\0 ");
    if let Some(place) = block.get_mut(checksum_at..checksum_at + checksum.len()) {
        place.copy_from_slice(checksum.as_bytes());
    }
    out.extend_from_slice(&block);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_as_the_format_says() {
        let content = Bytes::from_static(b"hello");
        let archive = write([("a.txt".to_owned(), &content), ("b".to_owned(), &content)].into_iter());
        assert_eq!(archive.len(), 3072);
        assert_eq!(&archive[..6], b"a.txt\0");
        assert_eq!(&archive[100..107], b"0000666");
        assert_eq!(&archive[124..135], b"00000000005");
        assert_eq!(&archive[257..262], b"ustar");
    }

    #[test]
    fn an_extended_record_counts_itself() {
        assert_eq!(extended("path", "ab"), "11 path=ab\n");
        assert_eq!(extended("path", "a"), "9 path=a\n");
        let long = extended("path", &"x".repeat(90));
        assert_eq!(long.len().to_string(), long.split(' ').next().unwrap());
    }
}

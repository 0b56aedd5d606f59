//! Writing LZ4's frames. Matches are looked for where the reference looks, so that sizes are the same.

use xxhash_rust::xxh32::xxh32;

/// Bytes at the end that no match may begin in, and the shortest match.
const TAIL: usize = 14;
const SHORTEST: usize = 4;
/// How far back a match may be.
const WINDOW: usize = 1 << 16;
const BLOCK: usize = 4 << 20;

/// A frame of independent blocks, with a checksum of the content.
pub(super) fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0x04, 0x22, 0x4d, 0x18];
    let descriptor = [0x64, 0x70];
    out.extend_from_slice(&descriptor);
    out.push(xxh32(&descriptor, 0).to_be_bytes()[2]);
    for chunk in bytes.chunks(BLOCK) {
        let packed = block(chunk).filter(|packed| packed.len() < chunk.len());
        let (data, stored) = packed.as_deref().map_or((chunk, 1u32 << 31), |packed| (packed, 0));
        let len = u32::try_from(data.len()).unwrap_or(0) | stored;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(data);
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&xxh32(bytes, 0).to_le_bytes());
    out
}

fn word(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>());
    eight.map_or(0, |eight| u64::from_le_bytes(*eight))
}

fn hash(word: u64) -> usize {
    ((word << 16).wrapping_mul(227_718_039_650_203) >> 48) as usize
}

/// Where a hash was last seen.
struct Table(Vec<u32>);

impl Table {
    fn get(&self, hash: usize) -> usize {
        self.0.get(hash).map_or(0, |at| *at as usize)
    }

    fn put(&mut self, hash: usize, at: usize) {
        if let (Some(slot), Ok(at)) = (self.0.get_mut(hash), u32::try_from(at)) {
            *slot = at;
        }
    }
}

/// How far back four bytes at `at` were seen, if at `candidate` they were.
#[expect(clippy::cast_possible_truncation, reason = "only four bytes are compared")]
fn offset(bytes: &[u8], at: usize, candidate: usize, four: u64) -> Option<usize> {
    let offset = at.checked_sub(candidate).filter(|offset| (1..WINDOW).contains(offset))?;
    (word(bytes, candidate) as u32 == four as u32).then_some(offset)
}

/// A compressed block; nothing where no match was found.
fn block(bytes: &[u8]) -> Option<Vec<u8>> {
    let end = bytes.len().checked_sub(TAIL)?;
    let mut table = Table(vec![0; 1 << 16]);
    let mut out = Vec::with_capacity(bytes.len() / 2 + 16);
    let (mut at, mut anchor) = (0, 0);
    while at < end {
        let eight = word(bytes, at);
        let (first, second, third) = (hash(eight), hash(eight >> 8), hash(eight >> 16));
        let (seen, seen_next) = (table.get(first), table.get(second));
        table.put(first, at);
        table.put(second, at + 1);
        let mut found = offset(bytes, at, seen, eight);
        if found.is_none() {
            let seen_third = table.get(third);
            at += 1;
            found = offset(bytes, at, seen_next, eight >> 8);
            if found.is_none() {
                at += 1;
                table.put(third, at);
                found = offset(bytes, at, seen_third, eight >> 16);
            }
        }
        let Some(offset) = found else {
            at += 2 + (at - anchor) / 128;
            continue;
        };
        let mut start = at;
        let same_before = |start: usize| {
            start > anchor
                && start > offset
                && bytes.get(start - 1).is_some_and(|byte| bytes.get(start - 1 - offset) == Some(byte))
        };
        while same_before(start) {
            start -= 1;
        }
        at += SHORTEST;
        while at + 8 <= end {
            let differing = word(bytes, at) ^ word(bytes, at - offset);
            at += (differing.trailing_zeros() / 8) as usize;
            if differing != 0 {
                break;
            }
        }
        let literals = bytes.get(anchor..start).unwrap_or_default();
        sequence(&mut out, literals, Some((offset, at - start - SHORTEST)));
        anchor = at;
        if at < end {
            table.put(hash(word(bytes, at - 2)), at - 2);
        }
    }
    if anchor == 0 || out.len() >= anchor {
        return None;
    }
    sequence(&mut out, bytes.get(anchor..).unwrap_or_default(), None);
    Some(out)
}

/// Literals, and a match by how far back it is and how much longer than the shortest.
fn sequence(out: &mut Vec<u8>, literals: &[u8], found: Option<(usize, usize)>) {
    let more = found.map_or(0, |(_, more)| more);
    let nibble = |len: usize| u8::try_from(len.min(15)).unwrap_or(15);
    out.push(nibble(literals.len()) << 4 | nibble(more));
    rest(out, literals.len());
    out.extend_from_slice(literals);
    if let Some((offset, more)) = found {
        out.extend_from_slice(&u16::try_from(offset).unwrap_or(0).to_le_bytes());
        rest(out, more);
    }
}

/// What of a length its four bits could not hold.
fn rest(out: &mut Vec<u8>, len: usize) {
    let Some(mut len) = len.checked_sub(15) else { return };
    while len >= 255 {
        out.push(255);
        len -= 255;
    }
    out.push(u8::try_from(len).unwrap_or(0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_the_references() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(2);
        assert_eq!(frame(text.trim_end().as_bytes()).len(), 85);
        assert_eq!(frame(b"hello").len(), 24);
        assert_eq!(frame(b"").len(), 15);
    }
}

//! Frames: batches as they lie in journals and snapshots, each with a mark, its length and its checksum.

use super::{Batch, Op};

const MARK: [u8; 4] = *b"WJ1\n";
const HEADER: usize = 12;

/// What reading a file of frames found.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Frames {
    /// Where the unbroken run of frames from the start ends.
    pub(super) good: usize,
    /// Bytes before a later, readable frame are broken: not a cut write but damage.
    pub(super) damaged: bool,
}

/// Appends one frame to `out`.
pub(super) fn encode(batch: &Batch, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&batch.commit.to_le_bytes());
    for op in &batch.ops {
        match op {
            Op::Put(key, value) => {
                out.push(1);
                put_bytes(key.as_bytes(), out);
                put_bytes(value, out);
            }
            Op::Delete(key) => {
                out.push(0);
                put_bytes(key.as_bytes(), out);
            }
        }
    }
    let body = start + HEADER;
    // A batch over 4 GiB is cut here and fails its checksum when read, rather than being taken for another.
    let length = u32::try_from(out.len() - body).unwrap_or(u32::MAX).to_le_bytes();
    let crc = checksum(length, &out[body..]).to_le_bytes();
    out[start + 4..start + 8].copy_from_slice(&length);
    out[start + 8..start + 12].copy_from_slice(&crc);
}

/// Gives the batches of all readable frames in order, going on after broken ones.
pub(super) fn decode(bytes: &[u8], mut each: impl FnMut(Batch)) -> Frames {
    let mut frames = Frames::default();
    let mut at = 0;
    let mut broken = false;
    while at < bytes.len() {
        if let Some((batch, next)) = decode_one(bytes, at) {
            each(batch);
            frames.damaged |= broken;
            at = next;
            if !broken {
                frames.good = at;
            }
        } else {
            broken = true;
            let rest = bytes.get(at + 1..).unwrap_or_default();
            match rest.windows(MARK.len()).position(|window| window == MARK) {
                Some(skip) => at += 1 + skip,
                None => break,
            }
        }
    }
    frames
}

fn decode_one(bytes: &[u8], at: usize) -> Option<(Batch, usize)> {
    let header = bytes.get(at..at + HEADER)?;
    if header[..4] != MARK {
        return None;
    }
    let length = [header[4], header[5], header[6], header[7]];
    let end = (at + HEADER).checked_add(usize::try_from(u32::from_le_bytes(length)).ok()?)?;
    let body = bytes.get(at + HEADER..end)?;
    if checksum(length, body).to_le_bytes() != header[8..12] {
        return None;
    }
    let (commit, mut rest) = body.split_first_chunk::<8>()?;
    let mut batch = Batch { commit: u64::from_le_bytes(*commit), ops: Vec::new() };
    while let Some((tag, after)) = rest.split_first() {
        rest = after;
        let key = String::from_utf8(take_bytes(&mut rest)?.to_vec()).ok()?;
        batch.ops.push(match tag {
            1 => Op::Put(key, take_bytes(&mut rest)?.to_vec()),
            0 => Op::Delete(key),
            _ => return None,
        });
    }
    Some((batch, end))
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(bytes);
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (bytes, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> (Vec<u8>, Vec<Batch>) {
        let batches: Vec<Batch> = (1..=3)
            .map(|commit| Batch {
                commit,
                ops: vec![Op::Put(format!("k{commit}"), vec![7; 20]), Op::Delete("gone".into())],
            })
            .collect();
        let mut bytes = Vec::new();
        for batch in &batches {
            encode(batch, &mut bytes);
        }
        (bytes, batches)
    }

    fn decoded(bytes: &[u8]) -> (Frames, Vec<Batch>) {
        let mut batches = Vec::new();
        (decode(bytes, |batch| batches.push(batch)), batches)
    }

    #[test]
    fn a_cut_at_any_byte_leaves_the_whole_frames_before_it() {
        let (bytes, batches) = three();
        let size = bytes.len() / 3;
        for cut in 0..bytes.len() {
            let (frames, found) = decoded(&bytes[..cut]);
            assert_eq!(found, batches[..cut / size], "cut at {cut}");
            assert_eq!(frames.good, cut / size * size);
            assert!(!frames.damaged);
        }
    }

    #[test]
    fn a_flip_anywhere_costs_its_own_frame_only_and_is_told_from_a_cut() {
        let (bytes, batches) = three();
        let size = bytes.len() / 3;
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x20;
            let (frames, found) = decoded(&bad);
            let mut rest = batches.clone();
            rest.remove(at / size);
            assert_eq!(found, rest, "flip at {at}");
            assert_eq!(frames.damaged, at / size < 2);
        }
    }
}

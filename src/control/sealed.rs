//! Sealed records: the bytes that records are written as.

use crate::record::MAJOR;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Why bytes are not a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut, flipped or not ours.
    #[error("record is damaged: {0}")]
    Damaged(String),
    /// Of a newer major version.
    #[error("record has version {0}, this program knows {MAJOR}")]
    Newer(u32),
}

const SEAL: u8 = 0xA1;
const HEADER: usize = 9;
/// How the JSON of every record begins that this program writes.
const OURS: &[u8] = br#"{"version":1"#;

/// A record as it is stored: a mark, its length and checksum, and its JSON.
pub fn seal<T: Serialize + ?Sized>(record: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![0; HEADER];
    serde_json::to_writer(&mut bytes, record).map_err(|error| RecordError::Damaged(error.to_string()))?;
    let (header, body) = bytes.split_at_mut(HEADER);
    let length = u32::try_from(body.len()).map_err(|_| RecordError::Damaged("over 4 GiB".into()))?;
    header[0] = SEAL;
    header[1..5].copy_from_slice(&length.to_le_bytes());
    header[5..9].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    Ok(bytes)
}

/// The JSON inside a sealed record, its checksum verified.
pub fn unseal(bytes: &[u8]) -> Result<&[u8], RecordError> {
    let damaged = |what: &str| RecordError::Damaged(what.into());
    let (header, body) = bytes.split_at_checked(HEADER).ok_or_else(|| damaged("too short"))?;
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    if header[0] != SEAL {
        return Err(damaged("unknown mark"));
    }
    if usize::try_from(word(1)).ok() != Some(body.len()) {
        return Err(damaged("wrong length"));
    }
    if word(5) != crc32fast::hash(body) {
        return Err(damaged("wrong checksum"));
    }
    Ok(body)
}

/// The version of a record of this JSON, as far as it says one.
fn version(body: &[u8]) -> Option<u32> {
    #[derive(Deserialize)]
    struct Version {
        #[serde(default)]
        version: u32,
    }
    // It comes first in whatever this program wrote: no need to read on.
    if let Some([b',' | b'}', ..]) = body.strip_prefix(OURS) {
        return Some(MAJOR);
    }
    serde_json::from_slice(body).ok().map(|Version { version }| version)
}

/// The version of a sealed record, if it is one that this program does not know.
pub fn newer(bytes: &[u8]) -> Option<u32> {
    version(unseal(bytes).ok()?).filter(|version| *version > MAJOR)
}

/// Reads a sealed record; a newer major version is refused whatever its fields are.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let body = unseal(bytes)?;
    if let Some(version) = version(body).filter(|version| *version > MAJOR) {
        return Err(RecordError::Newer(version));
    }
    serde_json::from_slice(body).map_err(|error| RecordError::Damaged(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Desired;

    #[test]
    fn a_newer_major_version_is_refused_even_if_its_fields_are_strange() {
        for json in [r#"{"version":2,"id":"a"}"#, r#"{"version":9,"id":["odd"]}"#] {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let error = read::<Desired>(&seal(&value).unwrap()).unwrap_err();
            assert!(matches!(error, RecordError::Newer(2 | 9)), "{error}");
        }
    }

    #[test]
    fn records_begin_as_they_are_known_to() {
        assert_eq!(OURS, format!("{{\"version\":{MAJOR}").as_bytes());
        let sealed = seal(&Desired { version: MAJOR, ..Desired::default() }).unwrap();
        assert!(unseal(&sealed).unwrap().starts_with(OURS));
        let newer_ones = [r#"{"version":10}"#, r#"{"id":"a","version":2}"#];
        assert_eq!(newer_ones.map(|json| version(json.as_bytes())), [Some(10), Some(2)]);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let sealed = seal(&Desired { id: "a".into(), version: MAJOR, ..Desired::default() }).unwrap();
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 4;
            assert!(unseal(&bad).is_err(), "flip at {at}");
            assert!(unseal(&sealed[..at]).is_err(), "cut at {at}");
        }
    }
}

//! Strings of the language: any bytes, usually UTF-8, short ones held inline.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Longest string held without an allocation, in bytes.
pub(crate) const INLINE: usize = 22;

/// A string value. It may hold any bytes, since slicing works on bytes and may split a character.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Arc<[u8]>),
}

impl Text {
    /// The empty string.
    pub const EMPTY: Text = Text(Repr::Inline { len: 0, bytes: [0; INLINE] });

    /// A string of these bytes.
    #[inline]
    pub fn new(bytes: &[u8]) -> Self {
        let mut inline = [0; INLINE];
        match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(target), Ok(len)) => {
                target.copy_from_slice(bytes);
                Self(Repr::Inline { len, bytes: inline })
            }
            _ => Self(Repr::Heap(Arc::from(bytes))),
        }
    }

    /// The bytes as they are.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Repr::Heap(bytes) => bytes,
        }
    }

    /// Its first eight bytes as a big-endian number, zero-padded: orders as the text does.
    #[inline]
    pub(crate) fn prefix(&self) -> u64 {
        let bytes = match &self.0 {
            // What is not used of it is zero.
            Repr::Inline { bytes, .. } => &bytes[..],
            Repr::Heap(bytes) => bytes,
        };
        bytes.first_chunk::<8>().map_or(0, |chunk| u64::from_be_bytes(*chunk))
    }

    /// The text, with U+FFFD for every byte that is not UTF-8.
    #[inline]
    pub fn as_str(&self) -> Cow<'_, str> {
        lossy(self.as_bytes())
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Inline { len, .. } => usize::from(*len),
            Repr::Heap(bytes) => bytes.len(),
        }
    }

    /// Bytes of memory that only this text holds.
    #[inline]
    pub(crate) fn footprint(&self) -> usize {
        match &self.0 {
            Repr::Heap(bytes) if Arc::strong_count(bytes) == 1 => bytes.len() + 16,
            _ => 0,
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Text of bytes, each byte outside valid UTF-8 becoming one U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replace_invalid(bytes)),
    }
}

#[cold]
fn replace_invalid(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(std::iter::repeat_n('\u{FFFD}', chunk.invalid().len()));
    }
    out
}

impl Default for Text {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str().as_ref(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str())
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<&String> for Text {
    fn from(text: &String) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<Cow<'_, str>> for Text {
    fn from(text: Cow<'_, str>) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Vec<u8>> for Text {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(&bytes)
    }
}

impl From<Cow<'_, [u8]>> for Text {
    fn from(bytes: Cow<'_, [u8]>) -> Self {
        Self::new(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_strings_compare_by_bytes() {
        let long = "a string longer than what is held inline";
        let text = Text::from(long);
        assert_eq!(text, long);
        assert_eq!(Text::from("short").len(), 5);
        assert_eq!(text.cmp(&Text::from("b")), Ordering::Less);
        assert_eq!(size_of::<Text>(), 24);
    }

    #[test]
    fn each_invalid_byte_is_replaced_once() {
        assert_eq!(lossy(b"a\xe2\x82b\xff"), "a\u{FFFD}\u{FFFD}b\u{FFFD}");
    }
}

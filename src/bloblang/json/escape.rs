//! Resolving the escapes of a JSON string.

use crate::text::lossy;

/// The bytes of an escaped string (already validated); unpaired surrogates and invalid UTF-8 become U+FFFD.
pub(super) fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut at = 0;
    while let Some(rest) = raw.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
        if plain > 0 {
            out.extend_from_slice(lossy(rest.get(..plain).unwrap_or_default()).as_bytes());
            at += plain;
            continue;
        }
        at += 2;
        match rest.get(1) {
            Some(b'n') => out.push(b'\n'),
            Some(b't') => out.push(b'\t'),
            Some(b'r') => out.push(b'\r'),
            Some(b'b') => out.push(8),
            Some(b'f') => out.push(12),
            Some(b'u') => {
                let (scalar, used) = scalar(raw, at);
                at += used;
                out.extend_from_slice(scalar.encode_utf8(&mut [0; 4]).as_bytes());
            }
            Some(other) => out.push(*other),
            None => {}
        }
    }
    out
}

/// The character whose hexadecimal digits begin at `at`, and how many bytes it takes.
fn scalar(raw: &[u8], at: usize) -> (char, usize) {
    let unit = |at: usize| {
        let digits = std::str::from_utf8(raw.get(at..at + 4)?).ok()?;
        u32::from_str_radix(digits, 16).ok()
    };
    let Some(first) = unit(at) else { return ('\u{FFFD}', 4) };
    if (0xD800..0xDC00).contains(&first)
        && raw.get(at + 4..at + 6) == Some(b"\\u")
        && let Some(second) = unit(at + 6)
        && (0xDC00..0xE000).contains(&second)
    {
        let code = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        return (char::from_u32(code).unwrap_or('\u{FFFD}'), 10);
    }
    (char::from_u32(first).unwrap_or('\u{FFFD}'), 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_surrogates() {
        let cases: [(&[u8], &str); 5] = [
            (br#"a\n\"\/\u00e9"#, "a\n\"/\u{e9}"),
            (br"\ud83d\ude00", "\u{1F600}"),
            (br"\ud83dx", "\u{FFFD}x"),
            (br"\ude00\ud83d", "\u{FFFD}\u{FFFD}"),
            (b"\\t\xff", "\t\u{FFFD}"),
        ];
        for (raw, want) in cases {
            assert_eq!(unescape(raw), want.as_bytes());
        }
    }
}

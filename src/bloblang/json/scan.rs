//! Scanning primitives over payload bytes, eight at a time where it pays.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Marks the first byte of a word that is a quote, a backslash or a control character.
#[inline]
fn special_mask(word: u64) -> u64 {
    let quote = word ^ (LOW * 0x22);
    let backslash = word ^ (LOW * 0x5c);
    let is_quote = quote.wrapping_sub(LOW) & !quote;
    let is_backslash = backslash.wrapping_sub(LOW) & !backslash;
    let is_control = word.wrapping_sub(LOW * 0x20) & !word;
    (is_quote | is_backslash | is_control) & HIGH
}

/// Position of the first quote, backslash or control character from `at` on, or the end.
#[inline]
pub(super) fn find_special(bytes: &[u8], mut at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let mask = special_mask(u64::from_le_bytes(*chunk));
        if mask != 0 {
            return bytes.len() - rest.len() + (mask.trailing_zeros() >> 3) as usize;
        }
        rest = after;
    }
    at = bytes.len() - rest.len();
    while let Some(byte) = bytes.get(at) {
        if *byte == b'"' || *byte == b'\\' || *byte < 0x20 {
            return at;
        }
        at += 1;
    }
    bytes.len()
}

/// Whether all is ASCII that a JSON string holds as it is.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    let odd = |word: u64| (special_mask(word) | word) & HIGH != 0;
    let plain = |byte: &u8| (0x20..0x80).contains(byte) && !matches!(byte, b'"' | b'\\');
    !words.iter().any(|word| odd(u64::from_le_bytes(*word))) && rest.iter().all(plain)
}

/// Whether the bytes hold U+2028 or U+2029, which the canonical form escapes.
pub(super) fn has_line_separator(bytes: &[u8]) -> bool {
    memchr::memchr_iter(0xE2, bytes).any(|at| matches!(bytes.get(at + 1..at + 3), Some([0x80, 0xA8 | 0xA9])))
}

/// End of the number that begins at `start`; `None` if there is none. What follows is not looked at.
#[inline]
pub(super) fn number_end(bytes: &[u8], start: usize) -> Option<usize> {
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let digits = |mut at: usize| {
        while byte(at).is_ascii_digit() {
            at += 1;
        }
        at
    };
    let mut at = start + usize::from(byte(start) == b'-');
    match byte(at) {
        b'0' => at += 1,
        b'1'..=b'9' => at = digits(at + 1),
        _ => return None,
    }
    if byte(at) == b'.' {
        if !byte(at + 1).is_ascii_digit() {
            return None;
        }
        at = digits(at + 2);
    }
    if matches!(byte(at), b'e' | b'E') {
        at += 1;
        at += usize::from(matches!(byte(at), b'+' | b'-'));
        if !byte(at).is_ascii_digit() {
            return None;
        }
        at = digits(at + 1);
    }
    Some(at)
}

/// From the first backslash of a string: its closing quote, and whether all escapes are canonical.
pub(super) fn escaped_end(bytes: &[u8], mut at: usize) -> Option<(usize, bool)> {
    let mut canonical = true;
    loop {
        match *bytes.get(at)? {
            b'"' => return Some((at, canonical)),
            b'\\' => {
                match *bytes.get(at + 1)? {
                    b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'/' => canonical = false,
                    b'u' => {
                        if !bytes.get(at + 2..at + 6)?.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        canonical = false;
                        at += 4;
                    }
                    _ => return None,
                }
                at = find_special(bytes, at + 2);
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for special in [b'"', b'\\', 0u8, 0x1f] {
            for at in 0..20 {
                let mut bytes = vec![0xE9u8; 24];
                bytes[at] = special;
                bytes[23] = b'"';
                assert_eq!(find_special(&bytes, 0), at);
            }
        }
        assert_eq!(find_special(b"no such byte \x80\xff~", 0), 16);
    }

    #[test]
    fn numbers_end_where_the_grammar_says() {
        for (text, end) in [
            ("-0.5e+10,", Some(8)),
            ("0123", Some(1)),
            ("-", None),
            ("1.e", None),
            ("1e", None),
            ("12]", Some(2)),
        ] {
            assert_eq!(number_end(text.as_bytes(), 0), end, "{text}");
        }
    }
}

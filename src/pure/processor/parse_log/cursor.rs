//! A place in a line, and what both formats of syslog have in common there.

use weir_bloblang::Timestamp;

/// A place in a line. What is not as expected is an error with its column.
pub(super) struct Cursor<'a> {
    pub(super) line: &'a [u8],
    pub(super) at: usize,
}

const PRI: &str = "expecting a priority value within angle brackets";
const PRIVAL: &str = "expecting a priority value in the range 1-191 or equal to 0";

impl<'a> Cursor<'a> {
    pub(super) fn new(line: &'a [u8]) -> Self {
        Self { line, at: 0 }
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    pub(super) fn fail(&self, why: &str) -> String {
        format!("{why} [col {}]", self.at)
    }

    /// One byte that fits.
    pub(super) fn one(&mut self, fits: impl Fn(u8) -> bool, why: &str) -> Result<u8, String> {
        let byte = self.peek().filter(|byte| fits(*byte)).ok_or_else(|| self.fail(why))?;
        self.at += 1;
        Ok(byte)
    }

    pub(super) fn byte(&mut self, wanted: u8, why: &str) -> Result<(), String> {
        self.one(|byte| byte == wanted, why).map(drop)
    }

    /// As many bytes as fit, up to a limit.
    pub(super) fn run(&mut self, most: usize, fits: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().take(most).take_while(|byte| fits(**byte)).count();
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.line.get(self.at..).unwrap_or_default()
    }

    /// What was passed since a place.
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        self.line.get(start..self.at).unwrap_or_default()
    }

    /// A printable word that is followed by a blank.
    pub(super) fn word(&mut self, most: usize, why: &str) -> Result<&'a [u8], String> {
        let word = self.run(most, |byte| byte.is_ascii_graphic());
        if word.is_empty() {
            return Err(self.fail(why));
        }
        self.byte(b' ', why)?;
        Ok(word)
    }

    /// `<34>`
    pub(super) fn priority(&mut self) -> Result<u8, String> {
        self.byte(b'<', PRI)?;
        let mut value = self.one(|byte| byte.is_ascii_digit(), PRIVAL)? - b'0';
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            let next = u32::from(value) * 10 + u32::from(digit - b'0');
            if value == 0 || next > 191 {
                break;
            }
            value = u8::try_from(next).unwrap_or_default();
            self.at += 1;
        }
        self.byte(b'>', PRIVAL)?;
        Ok(value)
    }

    /// A number of two digits in a range.
    pub(super) fn two(&mut self, low: u8, high: u8, why: &str) -> Result<u8, String> {
        let tens = self.one(|byte| (low / 10..=high / 10).contains(&byte.wrapping_sub(b'0')), why)? - b'0';
        let value = |byte: u8| tens * 10 + byte.wrapping_sub(b'0');
        let ones = self.one(|byte| byte.is_ascii_digit() && (low..=high).contains(&value(byte)), why)?;
        Ok(value(ones))
    }

    /// `22:14:15`
    pub(super) fn clock(&mut self, why: &str) -> Result<[u8; 3], String> {
        let hour = self.two(0, 23, why)?;
        self.byte(b':', why)?;
        let minute = self.two(0, 59, why)?;
        self.byte(b':', why)?;
        Ok([hour, minute, self.two(0, 59, why)?])
    }

    /// A time as in RFC 3339, with so many digits of a second's fraction.
    pub(super) fn rfc3339(&mut self, most_digits: usize, why: &str) -> Result<Timestamp, String> {
        let start = self.at;
        for _ in 0..4 {
            self.one(|byte| byte.is_ascii_digit(), why)?;
        }
        self.byte(b'-', why)?;
        self.two(1, 12, why)?;
        self.byte(b'-', why)?;
        self.two(1, 31, why)?;
        self.byte(b'T', why)?;
        self.clock(why)?;
        if most_digits > 0 && self.peek() == Some(b'.') {
            self.at += 1;
            self.one(|byte| byte.is_ascii_digit(), why)?;
            self.run(most_digits - 1, |byte| byte.is_ascii_digit());
        }
        if self.one(|byte| b"Z+-".contains(&byte), why)? != b'Z' {
            self.two(0, 23, why)?;
            self.byte(b':', why)?;
            self.two(0, 59, why)?;
        }
        let text = String::from_utf8_lossy(self.since(start));
        Timestamp::parse_rfc3339(&text).ok_or_else(|| self.no_day(start))
    }

    /// Why a time that looks right is none.
    pub(super) fn no_day(&self, start: usize) -> String {
        self.fail(&format!(
            "parsing time \"{}\": day out of range",
            String::from_utf8_lossy(self.since(start))
        ))
    }
}

//! Numbers: the kinds the language tells apart, and their texts.

/// A number as arithmetic sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Num {
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    Uint(u64),
    /// A float.
    Float(f64),
}

impl Num {
    /// The number as a float.
    #[expect(clippy::cast_precision_loss, reason = "that is what the language does")]
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Self::Int(n) => n as f64,
            Self::Uint(n) => n as f64,
            Self::Float(n) => n,
        }
    }

    /// The number as a signed integer: floats lose their fraction, unsigned ones wrap.
    #[inline]
    pub fn to_i64(self) -> i64 {
        match self {
            Self::Int(n) => n,
            Self::Uint(n) => n.cast_signed(),
            Self::Float(n) => truncate(n),
        }
    }
}

/// Truncates as the reference's hardware does: what does not fit is the least integer.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(crate) fn truncate(value: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}

/// Numbers of a kind that only conversion methods and a few others yield.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Narrow {
    /// A signed 8-bit integer.
    Int8(i8),
    /// A signed 16-bit integer.
    Int16(i16),
    /// A signed 32-bit integer.
    Int32(i32),
    /// An integer of the machine's width, as searches yield.
    Word(i64),
    /// An unsigned 8-bit integer.
    Uint8(u8),
    /// An unsigned 16-bit integer.
    Uint16(u16),
    /// An unsigned 32-bit integer.
    Uint32(u32),
    /// A 32-bit float.
    Float32(f32),
}

impl Narrow {
    /// The number as arithmetic sees it.
    #[inline]
    pub fn to_num(self) -> Num {
        match self {
            Self::Int8(n) => Num::Int(n.into()),
            Self::Int16(n) => Num::Int(n.into()),
            Self::Int32(n) => Num::Int(n.into()),
            Self::Word(n) => Num::Int(n),
            Self::Uint8(n) => Num::Uint(n.into()),
            Self::Uint16(n) => Num::Uint(n.into()),
            Self::Uint32(n) => Num::Uint(n.into()),
            Self::Float32(n) => Num::Float(n.into()),
        }
    }
}

/// The value of a JSON number's text: an integer if it reads as one, else a float; `None` beyond floats.
#[inline]
pub(crate) fn parse_text(text: &[u8]) -> Option<Num> {
    match parse_int(text) {
        Some(n) => Some(Num::Int(n)),
        None => parse_float(text).map(Num::Float),
    }
}

/// A decimal integer with an optional sign; `None` if it is anything else or does not fit.
#[inline]
pub(crate) fn parse_int(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit.into())? } else { value.checked_add(digit.into())? };
    }
    Some(value)
}

/// A finite float from a JSON number's text.
#[inline]
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.parse().ok().filter(|value: &f64| value.is_finite())
}

/// Shortest decimal digits of a finite float: `0.DIGITS` times ten to `point`.
struct Decimal {
    negative: bool,
    digits: [u8; 20],
    len: usize,
    point: i32,
}

impl Decimal {
    fn of(value: f64) -> Self {
        Self::read(ryu::Buffer::new().format_finite(value))
    }

    fn of_f32(value: f32) -> Self {
        Self::read(ryu::Buffer::new().format_finite(value))
    }

    /// Reads what the shortest-digits printer wrote: `-12.34e-5` and the like.
    fn read(text: &str) -> Self {
        let mut out = Self { negative: false, digits: [b'0'; 20], len: 0, point: 0 };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut fraction = false;
        for byte in mantissa.bytes() {
            match byte {
                b'-' => out.negative = true,
                b'.' => fraction = true,
                digit => {
                    if out.len == 0 && digit == b'0' {
                        out.point -= i32::from(fraction);
                        continue;
                    }
                    if let Some(slot) = out.digits.get_mut(out.len) {
                        *slot = digit;
                        out.len += 1;
                    }
                    out.point += i32::from(!fraction);
                }
            }
        }
        out.point += exponent.parse::<i32>().unwrap_or(0);
        while out.len > 0 && out.digits.get(out.len - 1) == Some(&b'0') {
            out.len -= 1;
        }
        if out.len == 0 {
            out.point = 1;
        }
        out
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.len).unwrap_or_default()
    }

    /// Digits with a decimal point, no exponent.
    fn write_positional(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let digits = self.digits();
        let whole = usize::try_from(self.point).unwrap_or(0);
        if whole == 0 {
            out.push(b'0');
        } else {
            out.extend_from_slice(digits.get(..whole.min(digits.len())).unwrap_or_default());
            out.extend(std::iter::repeat_n(b'0', whole.saturating_sub(digits.len())));
            if digits.is_empty() && whole == 0 {
                out.push(b'0');
            }
        }
        let fraction = digits.get(whole..).unwrap_or_default();
        if !fraction.is_empty() {
            out.push(b'.');
            let zeros = usize::try_from(-self.point).unwrap_or(0);
            out.extend(std::iter::repeat_n(b'0', zeros));
            out.extend_from_slice(fraction);
        }
    }

    /// `d.ddde±x`, the exponent with at least `width` digits.
    fn write_exponent(&self, width: usize, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        let digits = self.digits();
        out.push(digits.first().copied().unwrap_or(b'0'));
        if let Some(rest) = digits.get(1..).filter(|rest| !rest.is_empty()) {
            out.push(b'.');
            out.extend_from_slice(rest);
        }
        let exponent = self.point - 1;
        out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
        let magnitude = exponent.unsigned_abs();
        out.extend_from_slice(format!("{magnitude:0width$}").as_bytes());
    }

    fn write_json(&self, scientific: bool, out: &mut Vec<u8>) {
        if scientific { self.write_exponent(1, out) } else { self.write_positional(out) }
    }

    fn write_shortest(&self, out: &mut Vec<u8>) {
        let exponent = self.point - 1;
        if (-4..6).contains(&exponent) { self.write_positional(out) } else { self.write_exponent(2, out) }
    }
}

/// Writes a finite float as JSON: positional from 1e-6 up to 1e21.
pub(crate) fn write_json_float(value: f64, out: &mut Vec<u8>) {
    let size = value.abs();
    Decimal::of(value).write_json(size != 0.0 && !(1e-6..1e21).contains(&size), out);
}

/// As above for 32 bits.
pub(crate) fn write_json_float32(value: f32, out: &mut Vec<u8>) {
    let size = value.abs();
    Decimal::of_f32(value).write_json(size != 0.0 && !(1e-6..1e21).contains(&size), out);
}

/// A float with its shortest digits, with an exponent below 1e-4 and from 1e6 on (`+Inf`, `NaN` by name).
pub fn format_shortest(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let mut out = Vec::with_capacity(24);
    Decimal::of(value).write_shortest(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// As [`format_shortest`], for 32 bits.
pub(crate) fn format_shortest32(value: f32) -> String {
    if !value.is_finite() {
        return format_shortest(value.into());
    }
    let mut out = Vec::with_capacity(24);
    Decimal::of_f32(value).write_shortest(&mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// Writes an integer in decimal.
#[inline]
pub(crate) fn write_int(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_uint(value.unsigned_abs(), out);
}

/// Writes an unsigned integer in decimal.
#[inline]
pub(crate) fn write_uint(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        start -= 1;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(start..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: f64) -> String {
        let mut out = Vec::new();
        write_json_float(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_as_json() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (0.000_001, "0.000001"),
            (1e-7, "1e-7"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (1.234e-10, "1.234e-10"),
            (9_223_372_036_854_775_808.0, "9223372036854776000"),
            (123.456, "123.456"),
            (-0.25, "-0.25"),
        ] {
            assert_eq!(json(value), want);
        }
    }

    #[test]
    fn floats_as_text() {
        for (value, want) in [
            (1e6, "1e+06"),
            (21_000_000.0, "2.1e+07"),
            (123_456.0, "123456"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (f64::INFINITY, "+Inf"),
            (0.0, "0"),
        ] {
            assert_eq!(format_shortest(value), want);
        }
    }

    #[test]
    fn integers() {
        assert_eq!(parse_int(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_int(b"9223372036854775808"), None);
        assert_eq!(parse_text(b"9223372036854775808"), Some(Num::Float(9_223_372_036_854_775_808.0)));
        assert_eq!(parse_text(b"1e400"), None);
        let mut out = Vec::new();
        write_int(i64::MIN, &mut out);
        write_uint(0, &mut out);
        assert_eq!(out, b"-92233720368547758080");
    }
}

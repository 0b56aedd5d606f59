//! How the reference reads numbers from text, and what it says when it cannot.

/// The text is no number.
const SYNTAX: &str = "invalid syntax";
/// The number does not fit.
const RANGE: &str = "value out of range";

/// Splits a sign off.
fn signed(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

/// A float: decimal or hexadecimal, `inf` and `nan`, underscores between digits.
pub(crate) fn parse_float(text: &str, bits: u32) -> Result<f64, &'static str> {
    let (negative, body) = signed(text);
    let sign = if negative { -1.0 } else { 1.0 };
    if body.eq_ignore_ascii_case("inf") || body.eq_ignore_ascii_case("infinity") {
        return Ok(sign * f64::INFINITY);
    }
    if text.eq_ignore_ascii_case("nan") {
        return Ok(f64::NAN);
    }
    let value = if let Some(hex) = body.strip_prefix("0x").or_else(|| body.strip_prefix("0X")) {
        hex_float(hex).ok_or(SYNTAX)?
    } else {
        if !body.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            || !underscores_are_between_digits(body)
        {
            return Err(SYNTAX);
        }
        let plain = body.replace('_', "");
        if !plain.contains(|c: char| c.is_ascii_digit()) {
            return Err(SYNTAX);
        }
        plain.parse::<f64>().map_err(|_| SYNTAX)?
    };
    let too_large = value.is_infinite() || (bits == 32 && value.is_finite() && to_f32(value).is_infinite());
    if too_large { Err(RANGE) } else { Ok(sign * if bits == 32 { f64::from(to_f32(value)) } else { value }) }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to 32 bits is what is wanted")]
fn to_f32(value: f64) -> f32 {
    value as f32
}

/// `H.HHp±D` without its prefix.
fn hex_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut value = 0.0f64;
    for digit in whole.chars().chain(fraction.chars()) {
        value = value * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let exponent: i32 = exponent.parse().ok()?;
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    Some(value * 2f64.powi(exponent.checked_sub(shift)?))
}

/// Whether every underscore stands between digits (or behind a base prefix).
fn underscores_are_between_digits(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'_').all(|(at, _)| {
        let digit =
            |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        digit(at.checked_sub(1)) && digit(Some(at + 1))
    })
}

/// Digits of an unsigned integer; base 0 takes the base from a prefix.
fn magnitude(text: &str, base: u32) -> Result<u64, &'static str> {
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    let (digits, base) = match (base, lower.as_deref()) {
        (0, Some("0x")) => (text.get(2..).unwrap_or_default(), 16),
        (0, Some("0b")) => (text.get(2..).unwrap_or_default(), 2),
        (0, Some("0o")) => (text.get(2..).unwrap_or_default(), 8),
        (0, Some(_)) if text.starts_with('0') => (text.get(1..).unwrap_or_default(), 8),
        (0, _) => (text, 10),
        (base, _) => (text, base),
    };
    let separated = text.contains('_');
    if digits.is_empty() || (separated && !underscores_are_between_digits(text)) {
        return Err(SYNTAX);
    }
    let mut value = Some(0u64);
    for char in digits.chars().filter(|char| *char != '_') {
        let digit = char.to_digit(base).ok_or(SYNTAX)?;
        value = value.and_then(|value| value.checked_mul(base.into())?.checked_add(digit.into()));
    }
    value.ok_or(RANGE)
}

/// A signed integer of so many bits; base 0 takes the base from a prefix and allows underscores.
pub(crate) fn parse_int_text(text: &str, base: u32, bits: u32) -> Result<i64, &'static str> {
    if base != 0 && text.contains('_') {
        return Err(SYNTAX);
    }
    let (negative, digits) = signed(text);
    let magnitude = magnitude(digits, base)?;
    let limit = 1u64 << (bits - 1);
    match negative {
        true if magnitude <= limit => Ok(0i64.wrapping_sub_unsigned(magnitude)),
        false if magnitude < limit => Ok(magnitude.cast_signed()),
        _ => Err(RANGE),
    }
}

/// An unsigned 64-bit integer.
pub(crate) fn parse_uint_text(text: &str, base: u32) -> Result<u64, &'static str> {
    magnitude(text, base)
}

/// The decimal logarithm, by way of the natural one.
pub(crate) fn log10(value: f64) -> f64 {
    super::elementary::log(value) * std::f64::consts::LOG10_E
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the last digit is the point")]
    fn logarithms() {
        assert_eq!(
            [3.0, 10.0, 14.0, 22.0].map(log10),
            [0.477_121_254_719_662_4, 1.0, 1.146_128_035_678_238_2, 1.342_422_680_822_206_4]
        );
        assert!(log10(-1.0).is_nan());
    }

    #[test]
    fn floats() {
        assert_eq!(parse_float("1_000", 64), Ok(1000.0));
        assert_eq!(parse_float("-Inf", 64), Ok(f64::NEG_INFINITY));
        assert_eq!(parse_float("0x1p4", 64), Ok(16.0));
        assert_eq!(parse_float(".5", 64), Ok(0.5));
        for bad in [" 5", "0x1F", "", "1e", "_1", "1__0", ".", "5 ", "infi"] {
            assert_eq!(parse_float(bad, 64), Err(SYNTAX), "{bad}");
        }
        assert_eq!(parse_float("1e400", 64), Err(RANGE));
    }

    #[test]
    fn integers() {
        assert_eq!(parse_int_text("017", 0, 64), Ok(15));
        assert_eq!(parse_int_text("-0x10", 0, 64), Ok(-16));
        assert_eq!(parse_int_text("0", 0, 64), Ok(0));
        assert_eq!(parse_int_text("-9223372036854775808", 10, 64), Ok(i64::MIN));
        assert_eq!(parse_int_text("9223372036854775808", 10, 64), Err(RANGE));
        assert_eq!(parse_int_text("5.0", 10, 64), Err(SYNTAX));
        assert_eq!(parse_uint_text("1_0", 0), Ok(10));
        assert_eq!(parse_uint_text("-1", 0), Err(SYNTAX));
    }
}

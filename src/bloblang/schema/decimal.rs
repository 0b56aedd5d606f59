//! Numbers compared as they are written: floats would call 0.3 no multiple of 0.1.

use std::cmp::Ordering;

use crate::value::Value;

/// A number of a JSON text.
#[derive(Clone, Debug)]
pub(super) struct Decimal {
    /// Digits without zeros at either end, and the sign.
    digits: i128,
    /// The power of ten that they are multiplied by.
    exponent: i32,
}

impl Decimal {
    /// The number that a value is; `None` if it is none, or longer than can be told exactly.
    pub(super) fn of(value: &Value) -> Option<Self> {
        value.as_number()?;
        Self::parse(&value.to_json())
    }

    fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut exponent = exponent.parse::<i32>().ok()?.checked_sub(i32::try_from(fraction.len()).ok()?)?;
        let mut digits: i128 = format!("{whole}{fraction}").parse().ok()?;
        while digits != 0 && digits % 10 == 0 {
            digits /= 10;
            exponent += 1;
        }
        Some(Self { digits, exponent: if digits == 0 { 0 } else { exponent } })
    }

    /// Both as whole numbers of the same unit.
    fn aligned(&self, other: &Self) -> Option<(i128, i128)> {
        let unit = self.exponent.min(other.exponent);
        let scaled = |number: &Self| {
            let factor = 10i128.checked_pow(u32::try_from(number.exponent - unit).ok()?)?;
            number.digits.checked_mul(factor)
        };
        Some((scaled(self)?, scaled(other)?))
    }

    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        self.aligned(other).map(|(left, right)| left.cmp(&right))
    }

    pub(super) fn is_multiple_of(&self, step: &Self) -> Option<bool> {
        self.aligned(step).map(|(number, step)| step != 0 && number % step == 0)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.exponent >= 0
    }

    /// As the reference prints bounds: from a million on with an exponent.
    pub(super) fn shown(&self) -> String {
        let digits = self.digits.unsigned_abs().to_string();
        let sign = if self.digits < 0 { "-" } else { "" };
        let point = i32::try_from(digits.len()).unwrap_or(i32::MAX).saturating_add(self.exponent);
        let scientific = point - 1;
        if self.digits != 0 && !(-4..6).contains(&scientific) {
            let (first, rest) = digits.split_at(1);
            let rest = if rest.is_empty() { String::new() } else { format!(".{rest}") };
            let direction = if scientific < 0 { '-' } else { '+' };
            return format!("{sign}{first}{rest}e{direction}{:02}", scientific.unsigned_abs());
        }
        let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
        match usize::try_from(point) {
            Ok(point) if point >= digits.len() => format!("{sign}{digits}{}", zeros(self.exponent)),
            Ok(point) if point > 0 => {
                let (whole, fraction) = digits.split_at(point);
                format!("{sign}{whole}.{fraction}")
            }
            _ => format!("{sign}0.{}{digits}", zeros(-point)),
        }
    }
}

#[test]
fn bounds_are_shown_as_the_reference_does() {
    for (text, want) in [
        ("0", "0"),
        ("-0.0", "0"),
        ("10", "10"),
        ("-12.50", "-12.5"),
        ("0.005", "0.005"),
        ("0.00001", "1e-05"),
        ("999999", "999999"),
        ("1e6", "1e+06"),
        ("12345678901234567890", "1.234567890123456789e+19"),
    ] {
        assert_eq!(Decimal::parse(text).unwrap().shown(), want, "{text}");
    }
}

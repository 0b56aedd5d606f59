//! Elementary functions by the approximations that the reference uses, whose last digit may differ from the best.

const SIN: [f64; 6] = [
    1.589_623_015_765_465_7e-10,
    -2.505_074_776_285_780_7e-8,
    2.755_731_362_138_572_5e-6,
    -1.984_126_982_958_954e-4,
    8.333_333_333_322_119e-3,
    -1.666_666_666_666_663e-1,
];
const COS: [f64; 6] = [
    -1.135_853_652_138_768_2e-11,
    2.087_570_084_197_473e-9,
    -2.755_731_417_929_674e-7,
    2.480_158_728_885_170_5e-5,
    -1.388_888_888_887_305_6e-3,
    4.166_666_666_666_659e-2,
];
const TAN_ABOVE: [f64; 3] =
    [-1.309_369_391_813_837_3e4, 1.153_516_648_385_874_2e6, -1.795_652_519_764_848_8e7];
const TAN_BELOW: [f64; 5] = [
    1.0,
    1.368_129_634_706_929_5e4,
    -1.320_892_344_402_109_7e6,
    2.500_838_018_233_579e7,
    -5.386_957_559_294_546_4e7,
];
/// A quarter of pi in three parts, the first two exact in multiplication.
const QUARTER: [f64; 3] = [7.853_981_256_484_985e-1, 3.774_894_707_930_798e-8, 2.695_151_429_079_059_5e-15];
/// Beyond this the reduction to an eighth of a circle is no longer exact.
const FAR: f64 = 536_870_912.0;

/// A polynomial's value, by coefficients from the highest power.
fn polynomial(coefficients: &[f64], at: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, coefficient| sum * at + coefficient)
}

/// Which eighth of a circle an angle is in, made even, and what is left of the angle.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the angle is positive and not far"
)]
fn reduced(angle: f64) -> (u8, f64) {
    let eighth = (angle * (4.0 / std::f64::consts::PI)) as u32;
    let eighth = eighth + (eighth & 1);
    let count = f64::from(eighth);
    let rest = QUARTER.iter().fold(angle, |rest, part| rest - count * part);
    ((eighth & 7) as u8, rest)
}

fn sine(angle: f64) -> f64 {
    let square = angle * angle;
    angle + angle * square * polynomial(&SIN, square)
}

fn cosine(angle: f64) -> f64 {
    let square = angle * angle;
    1.0 - 0.5 * square + square * square * polynomial(&COS, square)
}

fn signed(value: f64, negative: bool) -> f64 {
    if negative { -value } else { value }
}

/// The sine of an angle.
pub(crate) fn sin(angle: f64) -> f64 {
    if !angle.is_finite() || angle == 0.0 || angle.abs() >= FAR {
        return angle.sin();
    }
    let (eighth, rest) = reduced(angle.abs());
    let negative = (angle < 0.0) != (eighth > 3);
    signed(if matches!(eighth & 3, 1 | 2) { cosine(rest) } else { sine(rest) }, negative)
}

/// The cosine of an angle.
pub(crate) fn cos(angle: f64) -> f64 {
    if !angle.is_finite() || angle.abs() >= FAR {
        return angle.cos();
    }
    let (eighth, rest) = reduced(angle.abs());
    let negative = (eighth > 3) != (eighth & 3 > 1);
    signed(if matches!(eighth & 3, 1 | 2) { sine(rest) } else { cosine(rest) }, negative)
}

/// The tangent of an angle.
pub(crate) fn tan(angle: f64) -> f64 {
    if !angle.is_finite() || angle == 0.0 || angle.abs() >= FAR {
        return angle.tan();
    }
    let (eighth, rest) = reduced(angle.abs());
    let square = rest * rest;
    let mut value = rest;
    if square > 1e-14 {
        value += rest * (square * polynomial(&TAN_ABOVE, square) / polynomial(&TAN_BELOW, square));
    }
    signed(if eighth & 2 == 2 { -1.0 / value } else { value }, angle < 0.0)
}

const LN2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN2_LOW: f64 = 1.908_214_929_270_587_7e-10;
const ODD: [f64; 4] = [
    1.479_819_860_511_658_6e-1,
    1.818_357_216_161_805e-1,
    2.857_142_874_366_239e-1,
    6.666_666_666_666_735e-1,
];
const EVEN: [f64; 3] = [1.531_383_769_920_937_3e-1, 2.222_219_843_214_978_4e-1, 3.999_999_999_940_942e-1];

/// The natural logarithm.
pub(crate) fn log(value: f64) -> f64 {
    if !value.is_normal() || value < 0.0 {
        return value.ln();
    }
    let bits = value.to_bits();
    let mut exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) - 1022;
    let mut fraction = f64::from_bits((bits & !(0x7ff << 52)) | (1022 << 52));
    if fraction < std::f64::consts::FRAC_1_SQRT_2 {
        fraction *= 2.0;
        exponent -= 1;
    }
    let (f, k) = (fraction - 1.0, f64::from(exponent));
    let s = f / (2.0 + f);
    let (s2, s4) = (s * s, s * s * (s * s));
    let rest = s2 * polynomial(&ODD, s4) + s4 * polynomial(&EVEN, s4);
    let half = 0.5 * f * f;
    k * LN2_HIGH - ((half - (s * (half + rest) + k * LN2_LOW)) - f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "the last digit is the point")]
    fn the_last_digit_is_the_references() {
        assert_eq!(log(3.0), 1.098_612_288_668_109_6);
        assert_eq!(tan(tan(5.0)), -0.243_574_819_790_726_5);
        for at in 1..2000u32 {
            let at = f64::from(at) * 0.37;
            assert!((sin(at) - at.sin()).abs() < 1e-15, "{at}");
            assert!((cos(-at) - at.cos()).abs() < 1e-15, "{at}");
            assert!((log(at) - at.ln()).abs() < 1e-14, "{at}");
            assert!(((tan(at) - at.tan()) / at.tan()).abs() < 1e-11, "{at}");
        }
    }
}

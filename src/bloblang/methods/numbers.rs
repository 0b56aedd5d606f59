//! Methods on numbers.

use super::coercion::to_float;
use super::target::{array, float, not_a_number};
use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::{Narrow, Num};
use crate::spec::{Args, Param, Query, Spec};
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("ceil", "Rounds up to a whole number.", &[], ceil),
    Spec::method("floor", "Rounds down to a whole number.", &[], floor),
    Spec::method("round", "Rounds to the nearest whole number, halves away from zero.", &[], round),
    Spec::method("log", "The natural logarithm.", &[], log),
    Spec::method("log10", "The decimal logarithm.", &[], log10),
    Spec::method("max", "The largest number of an array.", &[], max),
    Spec::method("min", "The smallest number of an array.", &[], min),
    Spec::lazy("sum", "The sum of an array's numbers.", &[], sum),
    Spec::method("bitwise_and", "Both bits.", BITS, bitwise_and),
    Spec::method("bitwise_or", "Either bit.", BITS, bitwise_or),
    Spec::method("bitwise_xor", "One bit but not the other.", BITS, bitwise_xor),
    Spec::plugin("abs", "The number without its sign.", &[], abs),
    Spec::plugin("pow", "The number raised to a power.", &[Param::float("exponent", "The power.")], pow),
    Spec::plugin("sin", "The sine of an angle in radians.", &[], sin),
    Spec::plugin("cos", "The cosine of an angle in radians.", &[], cos),
    Spec::plugin("tan", "The tangent of an angle in radians.", &[], tan),
    Spec::plugin("int64", "The value as a 64-bit integer.", &[], int64),
    Spec::plugin("int32", "The value as a 32-bit integer.", &[], int32),
    Spec::plugin("int16", "The value as a 16-bit integer.", &[], int16),
    Spec::plugin("int8", "The value as an 8-bit integer.", &[], int8),
    Spec::plugin("uint64", "The value as a 64-bit unsigned integer.", &[], uint64),
    Spec::plugin("uint32", "The value as a 32-bit unsigned integer.", &[], uint32),
    Spec::plugin("uint16", "The value as a 16-bit unsigned integer.", &[], uint16),
    Spec::plugin("uint8", "The value as an 8-bit unsigned integer.", &[], uint8),
    Spec::plugin("float64", "The value as a 64-bit float.", &[], float64),
    Spec::plugin("float32", "The value as a 32-bit float.", &[], float32),
];

const BITS: &[Param] = &[Param::int("value", "The other integer.")];

/// A number of the kinds core methods accept: not the narrow ones.
fn plain(target: &Value) -> Result<Num, Fault> {
    match target {
        Value::Narrow(_) => Err(Fault::expected("number", target)),
        _ => target.as_number().ok_or_else(|| match target.number_text() {
            Some(text) => Fault::new(format!(
                "failed to parse number: {}",
                compat::parse_error("ParseFloat", text, "value out of range")
            )),
            None => Fault::expected("number", target),
        }),
    }
}

/// Rounds floats; the result is an integer where it fits.
fn rounded(target: &Value, round: fn(f64) -> f64) -> Result<Value, Fault> {
    Ok(match plain(target)? {
        Num::Float(value) => {
            let value = round(value);
            match float_to_int(value) {
                // At the edge of the integers the sign may be lost.
                Ok(whole) if (whole < 0) == (value < 0.0) => Value::Int(whole),
                _ => Value::Float(value),
            }
        }
        whole => whole.into(),
    })
}

fn ceil(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    rounded(&target, f64::ceil)
}

fn floor(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    rounded(&target, f64::floor)
}

fn round(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    rounded(&target, f64::round)
}

fn log(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::Float(compat::elementary::log(plain(&target)?.to_f64())))
}

fn log10(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    // The reference divides logarithms, and so rounds.
    Ok(Value::Float(compat::log10(plain(&target)?.to_f64())))
}

/// The item of an array that `better` prefers, as a float.
fn extreme(target: &Value, better: fn(f64, f64) -> bool) -> Result<Value, Fault> {
    let items = array(target)?;
    let mut best = None;
    for (index, item) in items.iter().enumerate() {
        let value = float(item).map_err(|fault| fault.context(format!("index {index} of array")))?;
        if best.is_none_or(|best| better(value, best)) {
            best = Some(value);
        }
    }
    best.map(Value::Float).ok_or_else(|| Fault::new("the array was empty"))
}

fn max(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    extreme(&target, |value, best| value > best)
}

fn min(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    extreme(&target, |value, best| value < best)
}

fn sum(cx: &mut Cx<'_>, source: &Query, _: &Args<'_>) -> Result<Value, Fault> {
    let target = cx.eval(source)?;
    if target.kind() == Kind::Number && target.as_number().is_some() {
        return Ok(target);
    }
    let items = array(&target).map_err(|fault| fault.from_source(&source.0.source()))?;
    let (mut total, mut failed) = (0.0, None);
    for (index, item) in items.iter().enumerate() {
        match float(item) {
            Ok(value) => total += value,
            // The last failure is the one reported.
            Err(fault) => failed = Some(fault.context(format!("index {index}"))),
        }
    }
    match failed {
        Some(fault) => Err(fault),
        None => Ok(Value::Float(total)),
    }
}

fn bits(target: &Value, args: &Args<'_>, combine: fn(i64, i64) -> i64) -> Result<Value, Fault> {
    let left = target.as_number().ok_or_else(|| Fault::expected("integer", target))?;
    Ok(Value::Int(combine(left.to_i64(), args.int(0).unwrap_or(0))))
}

fn bitwise_and(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    bits(&target, args, |a, b| a & b)
}

fn bitwise_or(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    bits(&target, args, |a, b| a | b)
}

fn bitwise_xor(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    bits(&target, args, |a, b| a ^ b)
}

fn abs(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    match target.as_number() {
        Some(Num::Float(value)) => Ok(Value::Float(value.abs())),
        Some(Num::Int(i64::MIN)) => Ok(Value::Uint(i64::MAX as u64)),
        Some(Num::Int(value)) => Ok(Value::Int(value.abs())),
        _ => Err(Fault::expected("number or integer", &target)),
    }
}

fn pow(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::Float(float(&target)?.powf(args.float(0).unwrap_or(1.0))))
}

fn sin(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::Float(compat::elementary::sin(float(&target)?)))
}

fn cos(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::Float(compat::elementary::cos(float(&target)?)))
}

fn tan(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::Float(compat::elementary::tan(float(&target)?)))
}

const DECIMALS: &str = "if you intend to round the value then call `.round()` explicitly before this cast";

#[expect(clippy::cast_precision_loss, reason = "the bound itself is what is compared")]
fn float_to_int(value: f64) -> Result<i64, String> {
    let whole = crate::number::truncate(value);
    let text = if value.is_infinite() {
        "cannot convert +/-INF to an integer"
    } else if value.is_nan() {
        "cannot convert NAN to an integer"
    } else if value > i64::MAX as f64 {
        "float value is too large to be cast as a signed integer"
    } else if value < i64::MIN as f64 {
        "float value is too small to be cast as a signed integer"
    } else if value.fract() == 0.0 {
        return Ok(whole);
    } else {
        return Err(format!(
            "float value contains decimals and therefore cannot be cast as a signed integer, {DECIMALS}"
        ));
    };
    Err(text.to_owned())
}

/// The value as a signed integer.
pub(crate) fn to_int(value: &Value) -> Result<i64, Fault> {
    if let Some(text) = value.number_text() {
        return compat::parse_int_text(text, 10, 64)
            .map_err(|cause| Fault::new(compat::parse_error("ParseInt", text, cause)));
    }
    match value.as_number() {
        Some(Num::Int(value)) => Ok(value),
        Some(Num::Uint(value)) => i64::try_from(value)
            .map_err(|_| Fault::new("unsigned integer value is too large to be cast as a signed integer")),
        Some(Num::Float(value)) => float_to_int(value).map_err(Fault::new),
        None => match value.as_str() {
            Some(text) => compat::parse_int_text(&text, 0, 64)
                .map_err(|cause| Fault::new(compat::parse_error("ParseInt", &text, cause))),
            None => Err(not_a_number(value)),
        },
    }
}

/// The value as an unsigned integer.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked"
)]
fn to_uint(value: &Value) -> Result<u64, Fault> {
    let negative =
        || Fault::new("signed integer value is negative and cannot be cast as an unsigned integer");
    if value.number_text().is_some() {
        return u64::try_from(to_int(value)?).map_err(|_| negative());
    }
    match value.as_number() {
        Some(Num::Uint(value)) => Ok(value),
        Some(Num::Int(value)) => u64::try_from(value).map_err(|_| negative()),
        Some(Num::Float(value)) => Err(Fault::new(if value < 0.0 {
            "float value is negative and cannot be cast as an unsigned integer"
        } else if value.is_infinite() {
            "cannot convert +/-INF to an unsigned integer"
        } else if value.is_nan() {
            "cannot convert NAN to an unsigned integer"
        } else if value > u64::MAX as f64 {
            "float value is too large to be cast as an unsigned integer"
        } else if value.fract() == 0.0 {
            return Ok(value as u64);
        } else {
            return Err(Fault::new(format!(
                "float value contains decimals and therefore cannot be cast as an unsigned integer, {DECIMALS}"
            )));
        })),
        None => match value.as_str() {
            Some(text) => compat::parse_uint_text(&text, 0)
                .map_err(|cause| Fault::new(compat::parse_error("ParseUint", &text, cause))),
            None => Err(not_a_number(value)),
        },
    }
}

/// A signed integer of fewer bits.
fn narrow<T: TryFrom<i64>>(value: &Value, bits: &str) -> Result<T, Fault> {
    let wide = to_int(value)?;
    T::try_from(wide).map_err(|_| {
        let size = if wide > 0 { "large" } else { "small" };
        Fault::new(format!("value is too {size} to be cast as {bits} signed integer"))
    })
}

/// An unsigned integer of fewer bits.
fn narrow_unsigned<T: TryFrom<u64>>(value: &Value, bits: &str) -> Result<T, Fault> {
    T::try_from(to_uint(value)?)
        .map_err(|_| Fault::new(format!("value is too large to be cast as {bits} unsigned integer")))
}

fn int64(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    to_int(&target).map(Value::Int)
}

fn int32(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow(&target, "a 32-bit").map(|value| Value::Narrow(Narrow::Int32(value)))
}

fn int16(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow(&target, "a 16-bit").map(|value| Value::Narrow(Narrow::Int16(value)))
}

fn int8(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow(&target, "an 8-bit").map(|value| Value::Narrow(Narrow::Int8(value)))
}

fn uint64(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    to_uint(&target).map(Value::Uint)
}

fn uint32(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow_unsigned(&target, "a 32-bit").map(|value| Value::Narrow(Narrow::Uint32(value)))
}

fn uint16(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow_unsigned(&target, "a 16-bit").map(|value| Value::Narrow(Narrow::Uint16(value)))
}

fn uint8(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    narrow_unsigned(&target, "an 8-bit").map(|value| Value::Narrow(Narrow::Uint8(value)))
}

fn float64(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    to_float(&target, 64).map(Value::Float)
}

#[expect(clippy::cast_possible_truncation, reason = "that is what the method is for")]
fn float32(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    to_float(&target, 32).map(|value| Value::Narrow(Narrow::Float32(value as f32)))
}

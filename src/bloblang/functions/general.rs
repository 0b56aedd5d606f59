//! Functions of their arguments alone.

use std::sync::Arc;

use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::function("bytes", "So many zero bytes.", &[Param::int("length", "How many.")], bytes)
        .prepared(check_bytes),
    Spec::function("pi", "The ratio of a circle's circumference to its diameter.", &[], |_, _| {
        Ok(Value::Float(std::f64::consts::PI))
    }),
    Spec::function("range", "Integers from a start up to, but not including, a stop.", RANGE, range)
        .prepared(check_range),
    Spec::function(
        "with_schema_registry_header",
        "Bytes with the header that names their schema in a registry.",
        HEADER,
        with_header,
    ),
    Spec::function("throw", "Fails with a text.", &[Param::string("why", "The text.")], throw),
];

const RANGE: &[Param] = &[
    Param::int("start", "The first."),
    Param::int("stop", "What comes after the last."),
    Param::int("step", "How far apart.").default(Default::Int(1)),
];

const HEADER: &[Param] = &[
    Param::any("schema_id", "Number of the schema, below 2 to the 32."),
    Param::any("message", "The encoded message."),
];

/// Longest result in bytes or items.
const MAX_LENGTH: i64 = 1 << 24;

fn check_bytes(args: &Args<'_>) -> Result<Prepared, Fault> {
    match args.int(0) {
        Some(length) if !(0..=MAX_LENGTH).contains(&length) => {
            Err(Fault::new(format!("length {length} must be between 0 and {MAX_LENGTH}")))
        }
        _ => Ok(Arc::new(())),
    }
}

fn bytes(cx: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    check_bytes(args)?;
    let length = usize::try_from(args.int(0).unwrap_or(0)).unwrap_or(0);
    cx.spend(length as u64 / 256)?;
    Ok(Value::bytes(vec![0; length]))
}

fn bounds(args: &Args<'_>) -> (i64, i64, i64) {
    (args.int(0).unwrap_or(0), args.int(1).unwrap_or(0), args.int(2).unwrap_or(1))
}

fn check_range(args: &Args<'_>) -> Result<Prepared, Fault> {
    let (start, end, step) = bounds(args);
    if step == 0 {
        return Err(Fault::new("step must be greater than or less than 0"));
    }
    if step < 0 && end > start {
        return Err(Fault::new(format!("with negative step arg stop ({end}) must be <= start ({start})")));
    }
    if step > 0 && start >= end {
        return Err(Fault::new(format!("with positive step arg start ({start}) must be < stop ({end})")));
    }
    Ok(Arc::new(()))
}

fn range(cx: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    check_range(args)?;
    let (start, end, step) = bounds(args);
    // As many as whole steps fit: the rest of a step yields none.
    let count = (i128::from(end) - i128::from(start)) / i128::from(step);
    let count = i64::try_from(count).ok().filter(|count| *count <= MAX_LENGTH);
    let count = count.ok_or_else(|| Fault::new(format!("range of more than {MAX_LENGTH} items")))?;
    cx.spend(count.unsigned_abs())?;
    Ok((0..count).map(|n| Value::Int(start.wrapping_add(step.wrapping_mul(n)))).collect())
}

fn with_header(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let id = args.value(0).map_or(Ok(0), crate::methods::to_int)?;
    let id = u32::try_from(id).map_err(|_| Fault::new(format!("schema ID {id} out of range")))?;
    let message = args.value(1).cloned().unwrap_or_default();
    let message = message.as_bytes().ok_or_else(|| Fault::expected("bytes", &message))?;
    let mut out = Vec::with_capacity(message.len() + 5);
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&message);
    Ok(Value::bytes(out))
}

fn throw(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    Err(Fault::new(args.str(0)))
}

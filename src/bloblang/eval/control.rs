//! Methods that decide when, and where, their target is evaluated.

use super::Cx;
use crate::error::Fault;
use crate::spec::{Args, Param, ParamKind, Query, Spec};
use crate::text::Text;
use crate::value::{Value, bounded_dot_path};

const FALLBACK: ParamKind = ParamKind::Query { scalars: true };

/// The family.
pub(super) static METHODS: &[Spec] = &[
    Spec::lazy(
        "apply",
        "Applies a named map to the target.",
        &[Param::string("mapping", "Name of the map.")],
        apply,
    ),
    Spec::lazy(
        "catch",
        "Yields a fallback if the target fails; the fallback's context is the error's text.",
        &[Param::new("fallback", FALLBACK, "A value, or a query to run.")],
        catch,
    ),
    Spec::lazy(
        "or",
        "Yields a fallback if the target fails or is null.",
        &[Param::new("fallback", FALLBACK, "A value, or a query to run.")],
        or,
    ),
    Spec::lazy(
        "from",
        "Runs the target as seen from another message of the batch.",
        &[Param::int("index", "Position of the message; negative ones count from the end.")],
        from,
    ),
    Spec::lazy(
        "from_all",
        "Runs the target as seen from each message of the batch, and yields an array.",
        &[],
        from_all,
    ),
    Spec::lazy(
        "map",
        "Runs a query with the target as its context.",
        &[Param::query("query", "The query to run.")],
        map,
    ),
    Spec::lazy("not", "Negates a boolean.", &[], not),
    Spec::lazy(
        "get",
        "Yields the field a dot path leads to, or null.",
        &[Param::string("path", "A dot path.")],
        get,
    ),
];

fn apply(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    let value = cx.eval(target)?;
    cx.apply(&args.str(0), value)
}

fn catch(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    match (cx.eval(target), args.query(0)) {
        (Err(fault), Some(fallback)) => match fallback.0.literal() {
            // The text of the error is needed only by those who look at it.
            Some(value) => Ok(value.clone()),
            None => cx.call(fallback, Value::String(Text::from(fault.to_string()))),
        },
        (result, _) => result,
    }
}

fn or(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    match (cx.eval(target), args.query(0)) {
        (Ok(value), _) if !value.is_absent() => Ok(value),
        (_, Some(fallback)) => cx.eval(fallback),
        (result, None) => result,
    }
}

fn from(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    cx.seen_from(args.int(0).unwrap_or_default(), |cx| cx.eval(target))
}

fn from_all(cx: &mut Cx<'_>, target: &Query, _: &Args<'_>) -> Result<Value, Fault> {
    let mut values = Vec::with_capacity(cx.batch_size());
    for index in 0..i64::try_from(cx.batch_size()).unwrap_or(i64::MAX) {
        cx.spend(1)?;
        values.push(cx.seen_from(index, |cx| cx.eval(target))?);
    }
    Ok(Value::from(values))
}

fn map(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    let value = cx.eval(target)?;
    args.query(0).map_or(Ok(Value::Null), |query| cx.call(query, value))
}

fn not(cx: &mut Cx<'_>, target: &Query, _: &Args<'_>) -> Result<Value, Fault> {
    let value = cx.eval(target)?;
    let truth = value.as_bool().ok_or_else(|| target.blame(Fault::expected("bool", &value)))?;
    Ok(Value::Bool(!truth))
}

fn get(cx: &mut Cx<'_>, target: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    let value = cx.eval(target)?;
    cx.reach(&value, &bounded_dot_path(&args.str(0))?)
}

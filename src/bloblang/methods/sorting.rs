//! Sorting, in the very order of the reference, whose sort is not stable.

use super::target::{boolean, float, pair};
use crate::compat::sort::Sorter;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Query, Spec};
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::lazy("sort", "Sorts numbers or strings, or by a comparison.", SORT, sort),
    Spec::lazy("sort_by", "Sorts by what a query makes of each item.", SORT_BY, sort_by),
];

const SORT: &[Param] = &[Param::query("compare", "Whether `left` comes before `right`.").optional()];
const SORT_BY: &[Param] = &[Param::query("query", "What to sort by.")];

/// Whether `left` comes before `right`; `label` makes an error of position 0 or 1 and its cause.
fn before(left: &Value, right: &Value, label: impl Fn(usize, Fault) -> Fault) -> Result<bool, Fault> {
    match left.kind() {
        Kind::Number if !matches!(left, Value::Narrow(narrow) if !matches!(narrow, crate::number::Narrow::Word(_))) =>
        {
            let left = float(left).map_err(|fault| label(0, fault))?;
            let right = float(right).map_err(|fault| label(1, fault))?;
            Ok(left < right)
        }
        Kind::String | Kind::Bytes => {
            let right = right.text_bytes().ok_or_else(|| label(1, Fault::expected("string", right)))?;
            Ok(left.as_bytes().unwrap_or_default() < right)
        }
        _ => Err(label(0, Fault::expected("number or string", left))),
    }
}

/// Sorts an array; the first failing comparison ends it, and its error is not prefixed with the target's name.
fn sorted(
    target: &Value,
    source: &Query,
    mut less: impl FnMut(&[Value], usize, usize) -> Result<bool, Fault>,
) -> Result<Value, Fault> {
    let Some(items) = target.to_array() else {
        return Err(Fault::expected("array", target).from_source(&source.0.source()));
    };
    let mut items = items.to_vec();
    let mut failed = None;
    Sorter::new(&mut items, |items: &[Value], i, j| {
        if failed.is_some() {
            return false;
        }
        less(items, i, j).unwrap_or_else(|fault| {
            failed = Some(fault);
            false
        })
    })
    .sort();
    match failed {
        Some(fault) => Err(fault),
        None => Ok(items.into()),
    }
}

fn at(items: &[Value], index: usize) -> &Value {
    static NULL: Value = Value::Null;
    items.get(index).unwrap_or(&NULL)
}

fn sort(cx: &mut Cx<'_>, source: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    let target = cx.eval(source)?;
    let Some(compare) = args.query(0) else {
        return sorted(&target, source, |items, i, j| {
            cx.spend(1)?;
            let label =
                |side, fault: Fault| fault.context(format!("sort element {}", if side == 0 { i } else { j }));
            before(at(items, i), at(items, j), label)
        });
    };
    sorted(&target, source, |items, i, j| {
        let sides = pair(("left", at(items, i).clone()), ("right", at(items, j).clone()));
        let result = cx.call(compare, sides)?;
        boolean(&result).ok_or_else(|| Fault::expected("bool", &result).from_source(&"sort argument".into()))
    })
}

fn sort_by(cx: &mut Cx<'_>, source: &Query, args: &Args<'_>) -> Result<Value, Fault> {
    let target = cx.eval(source)?;
    let query: &Query = args.query(0).ok_or_else(|| Fault::new("missing query argument"))?;
    sorted(&target, source, |items, i, j| {
        let left = cx.call(query, at(items, i).clone())?;
        let right = cx.call(query, at(items, j).clone())?;
        before(&left, &right, |side, fault| {
            let place = if side == 0 { i } else { j };
            fault.from_source(&query.0.source()).context(format!("sort_by element {place}"))
        })
    })
}

//! Methods on arrays, some of them on objects and strings too.

use std::collections::HashSet;
use std::sync::Arc;

use super::target::{PAIR, array, boolean, member, pair, text};
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Param, Prepared, Query, Spec};
use crate::text::Text;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("all", "Whether all items pass a test; false for none.", TEST, all),
    Spec::method("any", "Whether an item passes a test.", TEST, any),
    Spec::method("append", "Adds items to the end.", &[], append).variadic(),
    Spec::plugin("concat", "Adds the items of other arrays to the end.", &[], concat)
        .variadic()
        .prepared(check_arrays),
    Spec::method("contains", "Whether an item, a member or a substring is there.", CONTAINS, contains),
    Spec::method("enumerated", "Each item with its position.", &[], enumerated),
    Spec::method("filter", "The items or members that pass a test.", TEST, filter),
    Spec::method("find", "Position of the first equal item, or -1.", FIND, find),
    Spec::method("find_all", "Positions of all equal items.", FIND, find_all),
    Spec::method("find_by", "Position of the first item that passes a test, or -1.", QUERY, find_by),
    Spec::method("find_all_by", "Positions of all items that pass a test.", QUERY, find_all_by),
    Spec::method("flatten", "Puts the items of inner arrays in their place.", &[], flatten),
    Spec::method("fold", "Carries a tally through all items.", FOLD, fold),
    Spec::method("index", "The item at a position, negative from the end.", INDEX, index),
    Spec::method("length", "Number of items, members or bytes.", &[], length),
    Spec::method("map_each", "Maps each item, or each member's value.", QUERY, map_each),
    Spec::method("slice", "A part of an array or string.", SLICE, slice).prepared(check_slice),
    Spec::method("unique", "Without the items that were there before.", UNIQUE, unique),
    Spec::plugin("zip", "Items of several arrays side by side.", &[], zip).variadic().prepared(check_zip),
];

/// Most items of an array that is made of others.
const MAX_ITEMS: usize = 1 << 24;

const TEST: &[Param] = &[Param::query("test", "The test.")];
const QUERY: &[Param] = &[Param::query("query", "What to run on each.")];
const CONTAINS: &[Param] = &[Param::any("value", "What to look for.")];
const FIND: &[Param] = &[Param::any("value", "What to look for.")];
const FOLD: &[Param] = &[
    Param::any("initial", "The first tally."),
    Param::query("query", "Makes a tally of `tally` and `value`."),
];
const INDEX: &[Param] = &[Param::int("index", "The position.")];
const SLICE: &[Param] = &[
    Param::int("low", "Where it begins, negative from the end."),
    Param::int("high", "Where it ends.").optional(),
];
const UNIQUE: &[Param] = &[Param::query("emit", "What makes an item unique.").optional()];

fn missing() -> Fault {
    Fault::new("missing query argument")
}

fn query<'a>(args: &Args<'a>, at: usize) -> Result<&'a Query, Fault> {
    args.query(at).ok_or_else(missing)
}

#[expect(clippy::cast_possible_wrap, reason = "no array is that long")]
fn position(at: usize) -> i64 {
    at as i64
}

/// Runs a test on items until one gives `stop`.
fn test_items(cx: &mut Cx<'_>, target: &Value, args: &Args<'_>, stop: bool) -> Result<Value, Fault> {
    let items = array(target)?;
    let test = query(args, 0)?;
    for (at, item) in items.iter().enumerate() {
        let result = cx.call(test, item.clone()).map_err(|fault| fault.context(format!("element {at}")))?;
        match boolean(&result) {
            Some(passed) if passed == stop => return Ok(stop.into()),
            Some(_) => {}
            None => return Err(Fault::expected("bool", &result).context(format!("element {at}"))),
        }
    }
    Ok((!stop && !items.is_empty()).into())
}

fn all(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    test_items(cx, &target, args, false)
}

fn any(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    test_items(cx, &target, args, true)
}

fn append(cx: &mut Cx<'_>, mut target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    match target.array_mut() {
        Some(items) => {
            cx.spend(items.len() as u64 / 16)?;
            items.extend(args.values().cloned());
            Ok(target)
        }
        None => Err(Fault::expected("array", &target)),
    }
}

fn check_arrays(args: &Args<'_>) -> Result<Prepared, Fault> {
    for value in args.values() {
        array(value)?;
    }
    Ok(Arc::new(()))
}

fn concat(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let mut items = array(&target)?;
    let others = args.values().map(array).collect::<Result<Vec<_>, _>>()?;
    let len = others.iter().fold(items.len(), |len, other| len.saturating_add(other.len()));
    bounded(len)?;
    cx.spend(len as u64 / 16)?;
    let all = Arc::make_mut(&mut items);
    others.iter().for_each(|other| all.extend(other.iter().cloned()));
    Ok(Value::Array(items))
}

/// Refuses arrays of more items than `range` gives.
pub(super) fn bounded(len: usize) -> Result<(), Fault> {
    if len > MAX_ITEMS { Err(Fault::new(format!("array of more than {MAX_ITEMS} items"))) } else { Ok(()) }
}

fn contains(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let wanted = args.value(0).cloned().unwrap_or_default();
    if let Some(bytes) = target.as_bytes() {
        return Ok(memchr::memmem::find(&bytes, wanted.to_text().as_bytes()).is_some().into());
    }
    compare_all(cx, &wanted, target.count().unwrap_or(0))?;
    if let Some(items) = target.to_array() {
        return Ok(items.iter().any(|item| wanted.equals(item)).into());
    }
    match target.to_object() {
        Some(object) => Ok(object.values().any(|value| wanted.equals(&value)).into()),
        None => Err(Fault::expected("string, array or object", &target)),
    }
}

/// Accounts for comparing a value with so many others.
fn compare_all(cx: &mut Cx<'_>, wanted: &Value, count: usize) -> Result<(), Fault> {
    let bytes = wanted.weigh().map_err(|excess| Fault::new(excess.to_string()))?;
    cx.spend((count as u64).saturating_mul(8 + bytes as u64) / 64)
}

fn enumerated(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let numbered = items.iter().enumerate();
    let numbered =
        numbered.map(|(at, item)| pair(("index", Value::Int(position(at))), ("value", item.clone())));
    cx.collect(PAIR, numbered).map(Value::from)
}

fn filter(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let test = query(args, 0)?;
    if let Some(items) = target.to_array() {
        let mut kept = Vec::with_capacity(items.len());
        for item in items.iter() {
            if boolean(&cx.call(test, item.clone())?) == Some(true) {
                kept.push(item.clone());
            }
        }
        return Ok(kept.into());
    }
    let Some(object) = target.to_object() else { return Err(Fault::expected("array or object", &target)) };
    let mut kept = Object::with_capacity(object.len());
    for (key, value) in object.iter() {
        if boolean(&cx.call(test, member(&key, value.clone()))?) == Some(true) {
            kept.insert(key, value);
        }
    }
    Ok(kept.into())
}

fn find(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let wanted = args.value(0).cloned().unwrap_or_default();
    compare_all(cx, &wanted, items.len())?;
    Ok(Value::word(items.iter().position(|item| wanted.equals(item)).map_or(-1, position)))
}

fn find_all(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let wanted = args.value(0).cloned().unwrap_or_default();
    compare_all(cx, &wanted, items.len())?;
    let found = items.iter().enumerate().filter(|(_, item)| wanted.equals(item));
    Ok(found.map(|(at, _)| Value::word(position(at))).collect())
}

/// Runs a query on items until `found` has seen enough.
fn search(
    cx: &mut Cx<'_>,
    target: &Value,
    args: &Args<'_>,
    mut found: impl FnMut(i64) -> bool,
) -> Result<(), Fault> {
    let items = array(target)?;
    let test = query(args, 0)?;
    for (at, item) in items.iter().enumerate() {
        let result = cx
            .call(test, item.clone())
            .map_err(|fault| fault.context(format!("query returned an error for index {at}")))?;
        match boolean(&result) {
            Some(true) if found(position(at)) => return Ok(()),
            Some(_) => {}
            None => {
                let context = format!("query returned a non-boolean value for index {at}");
                return Err(Fault::expected("bool", &result).context(context));
            }
        }
    }
    Ok(())
}

fn find_by(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let mut first = -1;
    search(cx, &target, args, |at| {
        first = at;
        true
    })?;
    Ok(Value::word(first))
}

fn find_all_by(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let mut all = Vec::new();
    search(cx, &target, args, |at| {
        all.push(Value::word(at));
        false
    })?;
    Ok(all.into())
}

fn flatten(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let count = |item: &Value| if item.kind() == Kind::Array { item.count().unwrap_or(0) } else { 1 };
    bounded(items.iter().map(count).fold(0, usize::saturating_add))?;
    let mut flat = Vec::with_capacity(items.len());
    for item in items.iter() {
        match item.to_array() {
            Some(inner) => flat.extend(inner.iter().cloned()),
            None => flat.push(item.clone()),
        }
    }
    cx.spend(flat.len() as u64 / 8)?;
    Ok(flat.into())
}

fn fold(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let step = query(args, 1)?;
    let mut tally = args.value(0).cloned().unwrap_or_default();
    for item in items.iter() {
        let sides = pair(("tally", tally.clone()), ("value", item.clone()));
        let next = cx.call(step, sides)?;
        cx.give_back(std::mem::replace(&mut tally, next));
    }
    Ok(tally)
}

fn index(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let wanted = args.int(0).unwrap_or(0);
    let resolve = |len: usize| {
        let len = position(len);
        let at = if wanted < 0 { len.saturating_add(wanted) } else { wanted };
        let inside = (0..len).contains(&at).then(|| usize::try_from(at).ok()).flatten();
        inside.ok_or_else(|| Fault::new(format!("index '{at}' was out of bounds for array size: {len}")))
    };
    if let Value::Bytes(bytes) = &target {
        let at = resolve(bytes.len())?;
        return Ok(Value::Int(bytes.get(at).copied().unwrap_or_default().into()));
    }
    match (target.kind(), target.count()) {
        (Kind::Array, Some(len)) => Ok(target.item(resolve(len)?).unwrap_or_default()),
        _ => Err(Fault::expected("array", &target)),
    }
}

fn length(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let len = match target.as_bytes() {
        Some(bytes) => Some(bytes.len()),
        None => target.count(),
    };
    len.map(|len| Value::Int(position(len)))
        .ok_or_else(|| Fault::expected("string, array or object", &target))
}

fn map_each(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let step = query(args, 0)?;
    if let Some(items) = target.to_array() {
        let mut mapped = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            match cx.call(step, item.clone()).map_err(|fault| failed(fault, step, &at))? {
                Value::Delete => {}
                Value::Nothing => mapped.push(item.clone()),
                value => mapped.push(value),
            }
        }
        return Ok(mapped.into());
    }
    let Some(object) = target.to_object() else { return Err(Fault::expected("array", &target)) };
    let mut mapped = Object::with_capacity(object.len());
    for (key, value) in object.iter() {
        let result = cx.call(step, member(&key, value.clone()));
        match result.map_err(|fault| failed(fault, step, &crate::text::lossy(&key)))? {
            Value::Delete => {}
            Value::Nothing => mapped.insert(key, value),
            changed => mapped.insert(key, changed),
        }
    }
    Ok(mapped.into())
}

fn failed(fault: Fault, query: &Query, at: &dyn std::fmt::Display) -> Fault {
    fault.from_source(&query.0.source()).context(format!("failed to process element {at}"))
}

fn check_slice(args: &Args<'_>) -> Result<Prepared, Fault> {
    if let (Some(low), Some(high)) = (args.int(0), args.int(1))
        && high > 0
        && low >= high
    {
        return Err(Fault::new(format!("lower slice bound {low} must be lower than upper ({high})")));
    }
    Ok(Arc::new(()))
}

fn slice(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let bounds = |len: usize| {
        let len = position(len);
        let high = match args.int(1) {
            Some(high) if high < 0 => len.saturating_add(high),
            Some(high) => high,
            None => len,
        };
        let high = high.clamp(0, len);
        let low = args.int(0).unwrap_or(0);
        let low = if low < 0 { len.saturating_add(low).max(0) } else { low };
        if low > high {
            return Err(Fault::new(format!(
                "lower slice bound {low} must be lower than or equal to upper bound ({high}) and target length ({len})"
            )));
        }
        Ok(usize::try_from(low).unwrap_or(0)..usize::try_from(high).unwrap_or(0))
    };
    if let Ok(text) = text(&target) {
        let range = bounds(text.bytes.len())?;
        return Ok(text.give(text.bytes.get(range).unwrap_or_default()));
    }
    match target.to_array() {
        Some(items) => Ok(items.get(bounds(items.len())?).unwrap_or_default().to_vec().into()),
        None => Err(Fault::expected("array or string", &target)),
    }
}

/// Items whose identities are not hashed.
const FEW: usize = 16;

/// What makes an item unique.
#[derive(PartialEq, Eq, Hash)]
enum Identity {
    Text(Text),
    /// Bits of a float, both zeros alike.
    Number(u64),
}

fn unique(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let (mut few, mut many) = (Vec::new(), HashSet::new());
    let mut kept = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let check = match args.query(0) {
            Some(emit) => {
                cx.call(emit, item.clone()).map_err(|fault| fault.context(format!("index {at}")))?
            }
            None => item.clone(),
        };
        let identity = match (check.as_number(), check.text_bytes()) {
            (Some(number), _) => {
                let number = number.to_f64();
                // Not a number is never equal to itself.
                if number.is_nan() {
                    kept.push(item.clone());
                    continue;
                }
                Identity::Number(if number == 0.0 { 0 } else { number.to_bits() })
            }
            (None, Some(bytes)) => Identity::Text(Text::new(&bytes)),
            (None, None) => match check.number_text() {
                Some(text) => Identity::Text(text.into()),
                None => {
                    return Err(Fault::expected("string or number", &check).context(format!("index {at}")));
                }
            },
        };
        // A look at each of few is faster than hashing.
        let fresh = match items.len() {
            ..=FEW if few.contains(&identity) => false,
            ..=FEW => {
                few.push(identity);
                true
            }
            _ => many.insert(identity),
        };
        if fresh {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}

fn check_zip(args: &Args<'_>) -> Result<Prepared, Fault> {
    let mut len = None;
    for value in args.values() {
        let items = array(value)?.len();
        if *len.get_or_insert(items) != items {
            return Err(Fault::new("can't zip different length array values"));
        }
    }
    Ok(Arc::new(()))
}

fn zip(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let items = array(&target)?;
    let others = args.values().map(array).collect::<Result<Vec<_>, _>>()?;
    if others.is_empty() {
        return Err(Fault::new("zip requires at least one argument"));
    }
    if others.iter().any(|other| other.len() != items.len()) {
        return Err(Fault::new("can't zip different length array values"));
    }
    cx.spend((items.len() * (others.len() + 1)) as u64 / 8)?;
    cx.charge(items.len() * (40 + 24 * (others.len() + 1)))?;
    let zipped = items.iter().enumerate().map(|(at, item)| {
        let rest = others.iter().map(|other| other.get(at).cloned().unwrap_or_default());
        std::iter::once(item.clone()).chain(rest).collect()
    });
    Ok(zipped.collect())
}

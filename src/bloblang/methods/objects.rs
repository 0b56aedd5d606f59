//! Methods on objects.

use std::sync::Arc;

use super::arrays::bounded;
use super::target::{PAIR, array, coerced_str, member, object};
use crate::error::Fault;
use crate::eval::Cx;
use crate::json::{MAX_DEPTH, Unwritable};
use crate::object::Object;
use crate::spec::{Args, Default, Param, Prepared, Spec};
use crate::stack::deep;
use crate::text::Text;
use crate::value::{Kind, Segment, Value, bounded_dot_path};

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("assign", "Merges another value in, which wins where both have a value.", WITH, assign),
    Spec::method("merge", "Merges another value in, gathering values where both have one.", WITH, merge),
    Spec::plugin("squash", "Merges all objects of an array into one.", &[], squash),
    Spec::method("collapse", "All leaves in one object by their dot paths.", COLLAPSE, collapse),
    Spec::method("exists", "Whether a dot path leads to a value.", PATH, exists).prepared(path),
    Spec::method("explode", "A document for each item or member at a dot path.", PATH, explode)
        .prepared(path),
    Spec::method("keys", "The keys in order.", &[], keys),
    Spec::method("values", "The values in the order of their keys.", &[], values),
    Spec::method("key_values", "Each member as an object of `key` and `value`.", &[], key_values),
    Spec::method("map_each_key", "Maps each key.", QUERY, map_each_key),
    Spec::plugin("with", "Only the members at these dot paths.", &[], with).variadic().prepared(paths),
    Spec::method("without", "Without the members at these dot paths.", &[], without)
        .variadic()
        .prepared(paths),
];

const WITH: &[Param] = &[Param::any("with", "What to merge in.")];
const PATH: &[Param] = &[Param::string("path", "A dot path.")];
const QUERY: &[Param] = &[Param::query("query", "What to run on each.")];
const COLLAPSE: &[Param] =
    &[Param::bool("include_empty", "Whether empty arrays and objects are kept.")
        .default(Default::Bool(false))];

/// Decides what becomes of two values of one key.
type Collide = fn(Value, Value) -> Result<Value, Fault>;

/// Merges `from` into `into`, objects member by member.
fn merge_into(
    cx: &mut Cx<'_>,
    into: &mut Object,
    from: &Object,
    collide: Collide,
    depth: usize,
) -> Result<(), Fault> {
    cx.spend(from.len() as u64)?;
    cx.charge(from.len() * 64)?;
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    for (key, value) in from.iter() {
        let Some(existing) = into.get_mut(&key) else {
            into.insert(key, value);
            continue;
        };
        match (existing.kind(), value.to_object()) {
            (Kind::Object, Some(inner)) => {
                if let Some(existing) = existing.object_mut() {
                    deep(|| merge_into(cx, existing, &inner, collide, depth + 1))?;
                }
            }
            _ => *existing = collide(std::mem::take(existing), value)?,
        }
    }
    Ok(())
}

fn too_deep() -> Fault {
    Fault::new(Unwritable::TooDeep.to_string())
}

/// Both values in one array, flattening arrays one level.
fn gather(existing: Value, new: Value) -> Result<Value, Fault> {
    bounded(existing.count().unwrap_or(1).saturating_add(new.count().unwrap_or(1)))?;
    let mut all = match existing.to_array() {
        Some(items) => items,
        None => Arc::new(vec![existing]),
    };
    let items = Arc::make_mut(&mut all);
    match new.to_array() {
        Some(more) => items.extend(more.iter().cloned()),
        None => items.push(new),
    }
    Ok(Value::Array(all))
}

fn combine(cx: &mut Cx<'_>, mut target: Value, args: &Args<'_>, collide: Collide) -> Result<Value, Fault> {
    let other = args.value(0).cloned().unwrap_or_default();
    if target.kind() == Kind::Array {
        return gather(target, other);
    }
    match target.object_mut() {
        Some(into) => {
            if let Some(from) = other.to_object() {
                merge_into(cx, into, &from, collide, 0)?;
            }
            Ok(target)
        }
        None => Err(Fault::expected("object or array", &target)),
    }
}

fn merge(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    combine(cx, target, args, gather)
}

fn assign(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    combine(cx, target, args, |_, new| Ok(new))
}

fn squash(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let mut all = Object::new();
    for item in array(&target)?.iter() {
        if let Some(object) = item.to_object() {
            merge_into(cx, &mut all, &object, gather, 0)?;
        }
    }
    Ok(all.into())
}

fn collapse(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    if !matches!(target.kind(), Kind::Object | Kind::Array) {
        return Err(Fault::new("not an object or array"));
    }
    let mut flat = Object::new();
    let keep_empty = args.bool(0).unwrap_or(false);
    let mut path = Vec::new();
    collapse_into(cx, (&target, 0), &mut path, keep_empty, &mut flat)?;
    Ok(flat.into())
}

fn collapse_into(
    cx: &mut Cx<'_>,
    (value, depth): (&Value, usize),
    path: &mut Vec<u8>,
    keep_empty: bool,
    flat: &mut Object,
) -> Result<(), Fault> {
    let children: Vec<(Text, Value)> = match (value.to_object(), value.to_array()) {
        (Some(object), _) => object.iter().map(|(key, value)| (Text::new(&key), value)).collect(),
        (None, Some(items)) => {
            items.iter().enumerate().map(|(at, item)| (Text::from(at.to_string()), item.clone())).collect()
        }
        (None, None) => {
            flat.insert(path.as_slice(), value.clone());
            return Ok(());
        }
    };
    cx.spend(1 + children.len() as u64)?;
    cx.charge(children.len() * (path.len() + 64))?;
    if depth > MAX_DEPTH {
        return Err(too_deep());
    }
    if children.is_empty() && keep_empty {
        flat.insert(path.as_slice(), value.clone());
    }
    for (key, child) in children {
        let len = path.len();
        if len > 0 {
            path.push(b'.');
        }
        path.extend_from_slice(key.as_bytes());
        deep(|| collapse_into(cx, (&child, depth + 1), path, keep_empty, flat))?;
        path.truncate(len);
    }
    Ok(())
}

fn path(args: &Args<'_>) -> Result<Prepared, Fault> {
    Ok(Arc::new(bounded_dot_path(&args.str(0))?))
}

fn segments<'a>(args: &Args<'a>) -> &'a [Segment] {
    args.prepared::<Vec<Segment>>().map_or(&[], Vec::as_slice)
}

fn exists(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    if target.multiplies(segments(args)) {
        cx.walk(&target)?;
    }
    Ok(target.get_path(segments(args)).is_some().into())
}

fn explode(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let path = segments(args);
    let root = object(&target)?;
    let found = target.get_path(path).unwrap_or_default();
    let rest = Value::from(strip(&root, &[path]));
    let mut document = |value: Value| {
        cx.spend(1 + root.len() as u64 / 8)?;
        cx.charge(64 * root.len())?;
        let mut document = rest.clone();
        // What blocks the path is left as it is, as the reference does.
        drop(document.set_path(path, value));
        Ok(document)
    };
    if let Some(items) = found.to_array() {
        return items
            .iter()
            .map(|item| document(item.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map(Value::from);
    }
    if let Some(members) = found.to_object() {
        let mut exploded = Object::with_capacity(members.len());
        for (key, value) in members.iter() {
            exploded.insert(key, document(value)?);
        }
        return Ok(exploded.into());
    }
    let (path, kind) = (args.str(0), found.type_name());
    Err(Fault::new(format!("expected array or object value at path '{path}', found: {kind}")))
}

fn keys(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(object(&target)?.keys().map(|key| Value::String(Text::new(&key))).collect())
}

fn values(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(object(&target)?.values().collect())
}

fn key_values(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let object = object(&target)?;
    cx.collect(PAIR, object.iter().map(|(key, value)| member(&key, value))).map(Value::from)
}

fn map_each_key(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let object = object(&target)?;
    let query = args.query(0).ok_or_else(|| Fault::new("missing query argument"))?;
    let mut mapped = Object::with_capacity(object.len());
    for (key, value) in object.iter() {
        let result = cx.call(query, Value::String(Text::new(&key)))?;
        match (result.kind(), result.as_bytes()) {
            (Kind::Nothing, _) => mapped.insert(key, value),
            // Of keys that fall together the first in order keeps its place.
            (Kind::String, Some(name)) if mapped.contains_key(&name) => {}
            (Kind::String, Some(name)) => mapped.insert(name, value),
            _ => return Err(Fault::expected("string", &result).context("unexpected result from key mapping")),
        }
    }
    Ok(mapped.into())
}

/// The paths of a variadic method.
type Paths = Vec<Vec<Segment>>;

fn paths(args: &Args<'_>) -> Result<Prepared, Fault> {
    let mut all: Paths = Vec::new();
    for (at, value) in args.values().enumerate() {
        let text = coerced_str(value).map_err(|fault| fault.context(format!("argument {at}")))?;
        all.push(bounded_dot_path(&text)?);
    }
    Ok(Arc::new(all))
}

/// What remains of each path below `key`.
fn below<'a>(paths: &[&'a [Segment]], key: &[u8]) -> Vec<&'a [Segment]> {
    let starts = paths.iter().filter_map(|path| path.split_first());
    starts.filter(|(first, _)| first.text().as_bytes() == key).map(|(_, rest)| rest).collect()
}

/// An object without what the paths lead to; arrays are not descended into.
fn strip(object: &Object, paths: &[&[Segment]]) -> Object {
    let mut kept = Object::with_capacity(object.len());
    for (key, value) in object.iter() {
        let rest = below(paths, &key);
        if rest.iter().any(|rest| rest.is_empty()) {
            continue;
        }
        match value.to_object() {
            Some(inner) if !rest.is_empty() => kept.insert(key, strip(&inner, &rest).into()),
            _ => kept.insert(key, value),
        }
    }
    kept
}

/// An object with only what the paths lead to.
fn pick(object: &Object, paths: &[&[Segment]]) -> Object {
    let mut kept = Object::new();
    for (key, value) in object.iter() {
        let rest = below(paths, &key);
        if rest.is_empty() {
            continue;
        }
        let nested: Vec<_> = rest.into_iter().filter(|rest| !rest.is_empty()).collect();
        match value.to_object() {
            Some(inner) if !nested.is_empty() => kept.insert(key, pick(&inner, &nested).into()),
            _ => kept.insert(key, value),
        }
    }
    kept
}

fn prepared_paths<'a>(args: &Args<'a>) -> Vec<&'a [Segment]> {
    args.prepared::<Paths>().into_iter().flatten().map(Vec::as_slice).collect()
}

fn with(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(pick(&*object(&target)?, &prepared_paths(args)).into())
}

fn without(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(strip(&*object(&target)?, &prepared_paths(args)).into())
}

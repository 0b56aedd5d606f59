//! Functions that look at the message, its metadata and its batch.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use super::Cx;
use crate::error::Fault;
use crate::message::{Message, MessageError};
use crate::metadata::Metadata;
use crate::number::Num;
use crate::object::Object;
use crate::spec::{Args, Default, Param, ParamKind, Prepared, Spec, Traits};
use crate::text::Text;
use crate::value::{Kind, Segment, Value, bounded_dot_path};

const MESSAGE: Traits = Traits { message: true, ..Traits::PLAIN };
const IMPURE: Traits = Traits { impure: true, ..Traits::PLAIN };
const COUNT: ParamKind = ParamKind::Query { scalars: true };
const KEY: &[Param] =
    &[Param::string("key", "The key; without it, everything.").default(Default::String(""))];

/// The family.
pub(super) static FUNCTIONS: &[Spec] = &[
    Spec::function("batch_index", "Position of the message in its batch.", &[], |cx, _| {
        Ok(Value::Int(cx.index))
    })
    .traits(MESSAGE),
    Spec::function("batch_size", "Number of messages of the batch.", &[], |cx, _| {
        Ok(Value::Int(i64::try_from(cx.batch_size()).unwrap_or(i64::MAX)))
    })
    .traits(MESSAGE),
    Spec::function("content", "The raw content of the message, as bytes.", &[], |cx, _| {
        Ok(cx.content().map_or(Value::Null, Value::bytes))
    })
    .traits(MESSAGE),
    Spec::function(
        "json",
        "A field of the message as it came, by dot path.",
        &[Param::string("path", "A dot path; without it, the whole.").default(Default::String(""))],
        json,
    )
    .prepared(|args| Ok(Arc::new(path(args)?) as Prepared))
    .traits(MESSAGE),
    Spec::function("metadata", "A metadata value of the message as it came.", KEY, |cx, args| {
        Ok(read(cx.input_metadata(), args))
    })
    .traits(MESSAGE),
    Spec::function("meta", "A metadata value of the message as it came, as a string.", KEY, |cx, args| {
        Ok(read_text(cx.input_metadata(), args))
    })
    .traits(MESSAGE),
    Spec::function(
        "root_meta",
        "A metadata value of the new message, as a string.",
        KEY,
        |cx, args| match &cx.metadata {
            Some(metadata) => Ok(read_text(Some(metadata), args)),
            None => Err(Fault::new("root metadata cannot be queried in this context")),
        },
    )
    .traits(MESSAGE),
    Spec::function("error", "The text of the message's error, or null.", &[], |cx, _| {
        Ok(error(cx, |error| Some(&error.text)))
    })
    .traits(MESSAGE),
    Spec::function("errored", "Whether the message failed.", &[], |cx, _| {
        Ok(Value::Bool(cx.message().is_some_and(|message| message.error().is_some())))
    })
    .traits(MESSAGE),
    Spec::function("error_source_name", "Type of the component that failed, or null.", &[], |cx, _| {
        Ok(error(cx, |error| component(error).then_some(&error.name)))
    })
    .traits(MESSAGE),
    Spec::function("error_source_label", "Label of the component that failed, or null.", &[], |cx, _| {
        Ok(error(cx, |error| component(error).then_some(&error.label)))
    })
    .traits(MESSAGE),
    Spec::function("error_source_path", "Path of the component that failed, or null.", &[], |cx, _| {
        Ok(error(cx, |error| component(error).then_some(&error.path)))
    })
    .traits(MESSAGE),
    Spec::function("tracing_id", "The trace the message belongs to; zeros without one.", &[], |cx, _| {
        let trace = cx.message().and_then(Message::span).map_or(0, |id| id.trace);
        Ok(Value::from(format!("{trace:032x}").as_str()))
    })
    .traits(MESSAGE),
    Spec::function("tracing_span", "The headers that tell of the message's span, or null.", &[], |cx, _| {
        let Some(id) = cx.message().and_then(Message::span) else { return Ok(Value::Null) };
        let mut headers = Object::new();
        headers.insert("traceparent", Value::from(id.to_string().as_str()));
        Ok(Value::object(headers))
    })
    .traits(MESSAGE),
    Spec::function("deleted", "What is assigned it is deleted.", &[], |_, _| Ok(Value::Delete)),
    Spec::function("nothing", "What is assigned it stays as it is.", &[], |_, _| Ok(Value::Nothing)),
    Spec::function(
        "var",
        "The value of a variable.",
        &[Param::string("name", "Name of the variable.")],
        |_, args| Err(Fault::new(format!("variable '{}' undefined", args.str(0)))),
    ),
    Spec::function(
        "count",
        "Counts its calls, by name and process.",
        &[Param::string("name", "Name of it.")],
        count,
    )
    .traits(IMPURE),
    Spec::function(
        "counter",
        "Counts its calls, from a least number to a greatest and again.",
        &[
            Param::new("min", COUNT, "Where it begins.").default(Default::Int(1)),
            Param::new("max", COUNT, "Where it ends.").default(Default::Int(i64::MAX)),
            Param::query("set", "A number sets it, null reads it, a deletion resets it.").optional(),
        ],
        counter,
    )
    .prepared(|_| Ok(Arc::new(Mutex::new(None::<Counter>)) as Prepared))
    .traits(IMPURE),
];

fn path(args: &Args<'_>) -> Result<Vec<Segment>, Fault> {
    match &*args.str(0) {
        "" => Ok(Vec::new()),
        path => bounded_dot_path(path),
    }
}

fn json(cx: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let value = cx.document_path(args.prepared::<Vec<Segment>>().map_or(&[], |path| &**path))?;
    // Scalars come as plain values: numbers lose their text, timestamps theirs.
    Ok(match value.kind() {
        Kind::Number => match value.as_number() {
            Some(number) => Value::from(number),
            None => Value::String(value.to_text()),
        },
        _ => value,
    })
}

fn read(metadata: Option<&Metadata>, args: &Args<'_>) -> Value {
    let key = args.str(0);
    match metadata {
        Some(metadata) if !key.is_empty() => metadata.get(&key).cloned().unwrap_or_default(),
        None if !key.is_empty() => Value::Null,
        metadata => all(metadata, Value::clone),
    }
}

fn read_text(metadata: Option<&Metadata>, args: &Args<'_>) -> Value {
    let key = args.str(0);
    if key.is_empty() {
        return all(metadata, |value| Value::String(value.to_text()));
    }
    match metadata.and_then(|metadata| metadata.get(&key)).map(Value::to_text) {
        Some(text) if !text.is_empty() => Value::String(text),
        _ => Value::Null,
    }
}

fn all(metadata: Option<&Metadata>, show: impl Fn(&Value) -> Value) -> Value {
    let mut object = Object::new();
    for (key, value) in metadata.into_iter().flat_map(Metadata::iter) {
        object.insert(key.clone(), show(value));
    }
    Value::object(object)
}

fn component(error: &MessageError) -> bool {
    !error.name.is_empty()
}

fn error<'a>(cx: &Cx<'a>, part: impl Fn(&'a MessageError) -> Option<&'a String>) -> Value {
    let error = cx.message().and_then(|message| message.error());
    error.and_then(|error| part(error)).map_or(Value::Null, |text| Value::String(Text::from(text)))
}

/// Names that are counted at most: a name is never forgotten.
const MAX_COUNTS: usize = 100_000;

fn count(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    static COUNTS: LazyLock<Mutex<HashMap<Text, i64>>> = LazyLock::new(Mutex::default);
    let name = args.text(0).cloned().unwrap_or_default();
    let mut counts = COUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    if counts.len() >= MAX_COUNTS && !counts.contains_key(&name) {
        return Err(Fault::new("too many counters"));
    }
    let count = counts.entry(name).or_insert(0);
    *count += 1;
    Ok(Value::Int(*count))
}

struct Counter {
    min: i64,
    max: i64,
    value: i64,
}

fn counter(cx: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(state) = args.prepared::<Mutex<Option<Counter>>>() else {
        return Err(Fault::new("counter has no state"));
    };
    // Queries run outside the lock, since they may come back to this very counter.
    let known = state.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    if !known {
        let min = bound(cx, args, 0, "min")?;
        if min < 0 {
            return Err(Fault::new(format!("min argument must be >0, got {min}")));
        }
        let max = bound(cx, args, 1, "max")?;
        if max <= min {
            return Err(Fault::new(format!("max argument must be >0 and >min, got {max}")));
        }
        let counter = Counter { min, max, value: min - 1 };
        state.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(counter);
    }
    let failed = |fault: Fault| fault.context("failed to resolve set argument");
    let set = match args.query(2) {
        Some(set) => cx.eval(set).map_err(failed)?,
        None => Value::Nothing,
    };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(counter) = &mut *state else { return Err(Fault::new("counter has no state")) };
    match set.kind() {
        Kind::Null => return Ok(Value::Int(counter.value)),
        Kind::Delete => counter.value = counter.min - 1,
        Kind::Nothing => {}
        _ => {
            let number = set.as_number().ok_or_else(|| failed(Fault::expected("number", &set)))?;
            counter.value = number.to_i64();
            return Ok(Value::Int(counter.value));
        }
    }
    let next = counter.value.saturating_add(1);
    counter.value = if next >= counter.max { counter.min - 1 } else { next };
    Ok(Value::Int(next))
}

/// A bound of a counter, from the query at a position.
fn bound(cx: &mut Cx<'_>, args: &Args<'_>, at: usize, name: &str) -> Result<i64, Fault> {
    let failed = |fault: Fault| fault.context(format!("failed to resolve {name} argument"));
    let Some(query) = args.query(at) else { return Ok(0) };
    let value = cx.eval(query).map_err(failed)?;
    value.as_number().map(Num::to_i64).ok_or_else(|| failed(Fault::expected("number", &value)))
}

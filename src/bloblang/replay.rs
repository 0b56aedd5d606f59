//! Replays recorded cases: what a mapping made of messages elsewhere must be what it makes of them here.

use std::path::PathBuf;
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::Fault;
use crate::eval::Scratch;
use crate::interpolate::Interpolated;
use crate::message::{Message, MessageError};
use crate::program::{Mapped, Mutated, Program};
use crate::value::{Kind, Value};

/// Replays one case, given as a line of JSON; the error shows what was wanted and what came.
pub fn replay(case: &str) -> Result<(), String> {
    let case =
        Value::parse_json(case.as_bytes().to_vec()).map_err(|error| format!("case is not JSON: {error}"))?;
    let expect = member(&case, "expect");
    let got = run(&case);
    match (member(&expect, "parse_error").as_str(), got) {
        (Some(want), Err(got)) if want == got => Ok(()),
        // What is known from documentation alone says not where.
        (Some(want), Err(got))
            if !want.starts_with("line ") && got.split_once(": ").is_some_and(|(_, text)| want == text) =>
        {
            Ok(())
        }
        (Some(want), Err(got)) => Err(format!("want parse error {want}\n got parse error {got}")),
        (Some(want), Ok(_)) => Err(format!("want parse error {want}\n got none")),
        (None, Err(got)) => Err(format!("want results\n got parse error {got}")),
        (None, Ok(got)) => compare(&member(&expect, "results"), &got),
    }
}

fn compare(want: &Value, got: &[Value]) -> Result<(), String> {
    let want = want.to_array().unwrap_or_default();
    let equal = want.len() == got.len() && want.iter().zip(got).all(|(want, got)| matches(want, got));
    if equal {
        return Ok(());
    }
    let list = |values: &[Value]| values.iter().map(Value::to_json).collect::<Vec<_>>().join("\n     ");
    Err(format!("want {}\n got {}", list(&want), list(got)))
}

/// Every field that is wanted is there, and deleted or failed messages are wanted to be.
fn matches(want: &Value, got: &Value) -> bool {
    let Some(object) = want.to_object() else { return false };
    let unwanted = |field: &str| object.get(field).is_none() && !member(got, field).is_null();
    let unwanted_metadata = object.get("metadata").is_none()
        && member(got, "metadata").to_object().is_some_and(|metadata| !metadata.is_empty());
    !unwanted_metadata
        && !unwanted("error")
        && !unwanted("deleted")
        && object.iter().all(|(key, value)| {
            let got = got.member(&key).unwrap_or_default();
            value.to_json() == got.to_json()
        })
}

fn member(value: &Value, key: &str) -> Value {
    value.member(key.as_bytes()).unwrap_or_default()
}

fn text(value: &Value, key: &str) -> String {
    member(value, key).as_str().unwrap_or_default().into_owned()
}

fn messages(case: &Value) -> Vec<Message> {
    let mut batch = Vec::new();
    for part in member(case, "batch").to_array().unwrap_or_default().iter() {
        let content = member(part, "content");
        let mut message = Message::new(content.as_bytes().unwrap_or_default().into_owned());
        if let Some(metadata) = member(part, "metadata").to_object() {
            for (key, value) in metadata.iter() {
                message.metadata_mut().set(&*String::from_utf8_lossy(&key), value);
            }
        }
        batch.push(message);
    }
    let error = member(case, "message_error");
    if let (Kind::String, Some(first)) = (error.kind(), batch.first_mut()) {
        let error = MessageError { text: text(case, "message_error"), ..MessageError::default() };
        first.set_error(Some(Arc::new(error)));
    }
    batch
}

fn environment(case: &Value) -> Environment {
    let files = member(case, "files");
    let loader = move |path: &std::path::Path| {
        let name = path.to_string_lossy();
        match files.member(name.as_bytes()) {
            Some(content) => Ok(content.as_str().unwrap_or_default().into_owned()),
            None => Err("no such file".to_owned()),
        }
    };
    let environment = Environment::new().with_loader(Arc::new(loader), PathBuf::new());
    // Some cases were recorded where these methods were not built in, and are about just that.
    let error = text(&member(case, "expect"), "parse_error");
    let unknown = |name: &&str| error.ends_with(&format!("unrecognised method '{name}'"));
    match ["strip_html", "unicode_segments"].iter().find(|name| unknown(name)) {
        Some(name) => environment.without(&[name]),
        None => environment,
    }
}

fn run(case: &Value) -> Result<Vec<Value>, String> {
    let environment = environment(case);
    let source = text(case, "source");
    let kind = text(case, "kind");
    if member(case, "lint").as_bool() == Some(true) {
        let lints = Program::lint(&source, &environment);
        return lints.first().map_or(Ok(Vec::new()), |lint| Err(lint.to_string()));
    }
    let mut batch = messages(case);
    let index = member(case, "index")
        .as_number()
        .map(crate::number::Num::to_i64)
        .and_then(|n| usize::try_from(n).ok());
    let indices: Vec<usize> = index.map_or_else(|| (0..batch.len()).collect(), |index| vec![index]);
    let mut results = Vec::new();
    if kind == "field" {
        let field = Interpolated::parse(&source, &environment).map_err(|error| error.to_string())?;
        for index in indices {
            results.push(outcome(
                field.resolve(&batch, index).map(|bytes| vec![("out", Value::from(&*lossy(&bytes)))]),
            ));
        }
        return Ok(results);
    }
    let program = Program::parse(&source, &environment).map_err(|error| error.to_string())?;
    let mut scratch = Scratch::default();
    for index in indices {
        results.push(match &*kind {
            "check" => outcome(
                program.check(&batch, index, &mut scratch).map(|met| vec![("bool", Value::Bool(met))]),
            ),
            "mutation" => {
                let result = program.mutate(&mut batch, index, &mut scratch);
                let failed = result.is_err();
                let message = batch.get(index).cloned().unwrap_or_default();
                let mut result = outcome(result.map(|mutated| match mutated {
                    Mutated::Dropped => vec![("deleted", Value::Bool(true))],
                    Mutated::Kept => shown(&message),
                }));
                if let (true, Some(object)) = (failed, result.object_mut()) {
                    object.insert("payload_left", Value::from(&*lossy(message.content())));
                }
                result
            }
            _ => outcome(program.map(&batch, index, &mut scratch).map(|mapped| match mapped {
                Mapped::Dropped => vec![("deleted", Value::Bool(true))],
                Mapped::Message(message) => shown(&message),
            })),
        });
    }
    Ok(results)
}

fn lossy(bytes: &[u8]) -> String {
    crate::text::lossy(bytes).into_owned()
}

fn shown(message: &Message) -> Vec<(&'static str, Value)> {
    let metadata: crate::object::Object =
        message.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    vec![("out", Value::from(&*lossy(message.content()))), ("metadata", Value::object(metadata))]
}

fn outcome(result: Result<Vec<(&'static str, Value)>, Fault>) -> Value {
    let fields = result.unwrap_or_else(|fault| vec![("error", Value::from(&*fault.to_string()))]);
    Value::object(fields.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    /// Cases that passed when this was last raised.
    const FLOOR: usize = 1896;

    /// With `WEIR_CASES` set, prints every case that fails; with `WEIR_FILE`, replays those of another file.
    #[test]
    fn recorded_cases() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/conformance/bloblang.jsonl");
        let other = std::env::var("WEIR_FILE").ok();
        let cases = std::fs::read_to_string(other.as_deref().unwrap_or(path)).unwrap();
        let show = std::env::var("WEIR_CASES").ok();
        let (mut passed, mut panicked, mut total) = (0, Vec::new(), 0);
        for (n, case) in cases.lines().enumerate() {
            total += 1;
            match catch_unwind(|| super::replay(case)) {
                Ok(Ok(())) => passed += 1,
                Ok(Err(difference)) => {
                    if show.is_some() {
                        println!("#{} {case}\n{difference}\n", n + 1);
                    }
                }
                Err(_) => panicked.push(n + 1),
            }
        }
        println!("{}: {passed} of {total}", other.as_deref().unwrap_or("bloblang.jsonl"));
        assert!(panicked.is_empty(), "cases that panicked: {panicked:?}");
        assert!(other.is_some() || passed >= FLOOR, "{passed} cases pass, fewer than the {FLOOR} of before");
    }
}

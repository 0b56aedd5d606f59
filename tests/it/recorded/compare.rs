//! When an answer is as recorded.

use super::steps::list;
use serde_json::{Map, Value};
use serde_yaml::Value as Yaml;

/// What a case wants: what was recorded, and where weir differs on purpose, that.
pub(crate) fn wanted(case: &Value) -> Value {
    let mut want = case["expect"].clone();
    if let (Some(want), Some(differs)) =
        (want.as_object_mut(), case.get("differs").and_then(Value::as_object))
    {
        want.extend(differs.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    want
}

pub(crate) fn agrees(case: &Value, want: &Value, got: &Value) -> bool {
    let same = |key: &str| want.get(key) == got.get(key);
    let kind = case["kind"].as_str().unwrap_or_default();
    if kind == "api" {
        return same("up") && (want["up"] != true || same_steps(case, "steps", want, got));
    }
    if want["exit"] == "timeout" || got["exit"] == "timeout" {
        return same("exit");
    }
    let same_verdict = (want["exit"] == 0) == (got["exit"] == 0);
    if case["foreign"].as_array().is_some_and(|libraries| !libraries.is_empty()) {
        return same_verdict;
    }
    match kind {
        "echo" => {
            same("exit") && same("error") && (want["exit"] != 0 || same_config(&want["yaml"], &got["yaml"]))
        }
        "lint" => same("exit") && same("lines"),
        "test" => ["exit", "passed", "failed", "titles", "lines"].into_iter().all(same),
        _ => same_verdict && same_run(case, want, got),
    }
}

fn same_run(case: &Value, want: &Value, got: &Value) -> bool {
    if want.get("steps").is_some() && !same_steps(case, "requests", want, got) {
        return false;
    }
    let same = |key: &str| want.get(key).is_none_or(|want| Some(want) == got.get(key));
    if !same("stderr") || (got.get("running").is_some() && !same("running")) {
        return false;
    }
    let unordered = case["unordered"] == true;
    let same_text = |want: &Value, got: &Value| match (want.as_str(), got.as_str()) {
        (Some(want), Some(got)) if unordered => sorted_lines(want) == sorted_lines(got),
        _ => want == got,
    };
    let none = Map::new();
    let (wanted, found) =
        (want["files"].as_object().unwrap_or(&none), got["files"].as_object().unwrap_or(&none));
    (case["ignore_stdout"] == true || same_text(&want["stdout"], &got["stdout"]))
        && wanted.len() == found.len()
        && wanted.iter().all(|(path, text)| found.get(path).is_some_and(|found| same_text(text, found)))
}

fn same_steps(case: &Value, key: &str, want: &Value, got: &Value) -> bool {
    let (want, got) = (list(want, "steps"), list(got, "steps"));
    want.len() == got.len()
        && list(case, key).iter().zip(want).zip(got).all(|((step, want), got)| same_step(want, got, step))
}

pub(crate) fn same_step(want: &Value, got: &Value, step: &Value) -> bool {
    if ["status", "missing", "headers"].into_iter().any(|key| want.get(key) != got.get(key)) {
        return false;
    }
    if step["status_only"] == true {
        return true;
    }
    if let Some(lints) = want.get("lint_errors") {
        return Some(lints) == got.get("lint_errors");
    }
    if let Some(json) = want.get("json") {
        if let (true, Some(want), Some(got)) =
            (step["exact_keys"] == true, json.as_object(), got["json"].as_object())
            && !want.keys().eq(got.keys())
        {
            return false;
        }
        return subset(json, &got["json"]);
    }
    let Some(want) = want.get("text") else { return true };
    match (want.as_str(), got["text"].as_str()) {
        (Some(want), Some(got)) if step["unordered"] == true => sorted_lines(want) == sorted_lines(got),
        (Some(want), Some(got)) => want.trim_end_matches('\n') == got.trim_end_matches('\n'),
        _ => *want == got["text"],
    }
}

/// Every key of a wanted object must be there; more keys are allowed.
fn subset(want: &Value, got: &Value) -> bool {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            want.iter().all(|(key, want)| got.get(key).is_some_and(|got| subset(want, got)))
        }
        (Value::Array(want), Value::Array(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| subset(want, got))
        }
        (Value::Number(want), Value::Number(got)) => want == got || want.as_f64() == got.as_f64(),
        _ => want == got,
    }
}

/// Compares what two normalised configs say of the stream and its resources.
fn same_config(want: &Value, got: &Value) -> bool {
    match (sections(want), sections(got)) {
        (Some(want), Some(got)) => same_yaml(&Yaml::Mapping(want), &Yaml::Mapping(got)),
        _ => false,
    }
}

fn sections(text: &Value) -> Option<serde_yaml::Mapping> {
    let tree: serde_yaml::Mapping = serde_yaml::from_str(text.as_str()?).ok()?;
    let kept = |(key, value): &(Yaml, Yaml)| {
        key.as_str().is_some_and(|key| {
            ["input", "buffer", "pipeline", "output"].contains(&key)
                || (key.ends_with("_resources") && value.as_sequence().is_some_and(|list| !list.is_empty()))
        })
    };
    Some(tree.into_iter().filter(kept).collect())
}

fn same_yaml(want: &Yaml, got: &Yaml) -> bool {
    match (want, got) {
        (Yaml::Mapping(want), Yaml::Mapping(got)) => {
            want.len() == got.len()
                && want.iter().all(|(key, want)| got.get(key).is_some_and(|got| same_yaml(want, got)))
        }
        (Yaml::Sequence(want), Yaml::Sequence(got)) => {
            want.len() == got.len() && want.iter().zip(got).all(|(want, got)| same_yaml(want, got))
        }
        (Yaml::Number(want), Yaml::Number(got)) => want == got || want.as_f64() == got.as_f64(),
        _ => want == got,
    }
}

fn sorted_lines(text: &str) -> Vec<&str> {
    let mut lines = lines(text);
    lines.sort_unstable();
    lines
}

/// The lines of a text, which all the characters end that the recordings take for line ends.
pub(crate) fn lines(text: &str) -> Vec<&str> {
    let ends =
        |c| matches!(c, '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some((line, after)) = rest.split_once(ends) {
        lines.push(line);
        let crlf = rest.get(line.len()..).is_some_and(|end| end.starts_with("\r\n"));
        rest = if crlf { after.get(1..).unwrap_or_default() } else { after };
    }
    if !rest.is_empty() {
        lines.push(rest);
    }
    lines
}

#[test]
fn lines_end_as_in_the_recordings() {
    assert_eq!(lines("a\r\n\r\nb\u{2028}c\n"), ["a", "", "b", "c"]);
}

#[test]
fn more_keys_are_allowed_and_fewer_are_not() {
    let (small, big) = (serde_json::json!({"a": [1]}), serde_json::json!({"a": [1.0], "b": 2}));
    assert!(subset(&small, &big) && !subset(&big, &small));
}

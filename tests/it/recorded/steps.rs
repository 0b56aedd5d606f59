//! The steps of a case: requests, and changes and readings of files.

use super::{
    compare::same_step,
    perform::{Place, show},
};
use crate::http::{self, Answer};
use regex::Regex;
use serde_json::{Map, Value, json};
use std::{
    fs, io, thread,
    time::{Duration, Instant},
};

const LOOK_AGAIN: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(20);
/// How long a state may follow its cause: a file is whole before its stream can know that it has ended, and a write is
/// answered when tasks have started, which is before they are connected.
const SETTLING: Duration = Duration::from_secs(1);
/// How many redirects are followed.
const REDIRECTS: usize = 10;

/// The list at a key; empty when there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A number of seconds at a key; none is 0.
pub(crate) fn seconds(value: &Value, key: &str) -> Duration {
    Duration::from_secs_f64(value.get(key).and_then(Value::as_f64).unwrap_or(0.0))
}

/// Takes the steps one by one, each again until it is as wanted or has waited long enough.
pub(crate) fn take(
    steps: &[Value],
    want: &Value,
    place: &Place,
    deadline: Instant,
) -> io::Result<Vec<Value>> {
    let wants = list(want, "steps");
    let mut answers = Vec::new();
    let mut after_file = false;
    for (step, want) in steps.iter().zip(wants) {
        thread::sleep(seconds(step, "pause"));
        let settles = step["method"].is_null() && (after_file || step["path"] == "/ready");
        let settling = if settles { SETTLING } else { Duration::ZERO };
        let end = Instant::now() + seconds(step, "wait").max(settling);
        after_file = step.get("read_file").is_some();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::other(format!(
                    "no time left for step {step}, after {}",
                    json!(answers)
                )));
            }
            let got = answer(step, place, left.min(TIMEOUT))?;
            if same_step(want, &got, step) || Instant::now() >= end {
                answers.push(got);
                break;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }
    Ok(answers)
}

fn answer(step: &Value, place: &Place, timeout: Duration) -> io::Result<Value> {
    let text = |key: &str| step.get(key).and_then(Value::as_str);
    if let Some(pattern) = text("read_file") {
        let mut bytes = Vec::new();
        let found = place.find(pattern)?;
        for path in &found {
            bytes.extend(fs::read(path)?);
        }
        let calm = || json!({"text": place.calm_value(&show(bytes))});
        return Ok(if found.is_empty() { json!({"missing": true}) } else { calm() });
    }
    if let Some(name) = text("write_file") {
        let path = place.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let content = place.fill(text("content").unwrap_or_default());
        if step["in_place"] == true {
            fs::write(&path, content)?;
        } else {
            let beside = place.path().join(format!("{name}.tmp~"));
            fs::write(&beside, content)?;
            fs::rename(beside, path)?;
        }
        return Ok(json!({"written": true}));
    }
    if let Some(name) = text("move_file") {
        fs::rename(place.path().join(name), place.path().join(text("to").unwrap_or_default()))?;
        return Ok(json!({"moved": true}));
    }
    if let Some(name) = text("remove_file") {
        fs::remove_file(place.path().join(name))?;
        return Ok(json!({"removed": true}));
    }
    let mut answer = send(step, place, timeout);
    hide_boundary(&mut answer);
    Ok(told(step, place, &answer))
}

/// The boundary of a multipart answer is random.
fn hide_boundary(answer: &mut Answer) {
    let pattern = regex(r#"^multipart/.*boundary="?([^";]+)"#);
    let content_type = answer.header("content-type").unwrap_or_default();
    let Some(boundary) = pattern.captures(content_type).map(|found| found[1].to_owned()) else { return };
    for (_, value) in &mut answer.headers {
        *value = value.replace(&boundary, "BOUNDARY__");
    }
    let mut body = Vec::new();
    let mut rest = answer.body.as_slice();
    while let Some(first) = rest.first() {
        if let Some(after) = rest.strip_prefix(boundary.as_bytes()) {
            body.extend(b"BOUNDARY__");
            rest = after;
        } else {
            body.push(*first);
            rest = &rest[1..];
        }
    }
    answer.body = body;
}

/// An answer in the form of the recordings.
fn told(step: &Value, place: &Place, answer: &Answer) -> Value {
    let mut got = Map::from_iter([("status".to_owned(), json!(answer.status))]);
    if step.get("want_headers").is_some() {
        let names = list(step, "want_headers").iter().filter_map(Value::as_str);
        let headers: Map<String, Value> =
            names.map(|name| (name.to_owned(), json!(answer.header(name)))).collect();
        got.insert("headers".to_owned(), Value::Object(headers));
    }
    if let Some(pattern) = step.get("find").and_then(Value::as_str) {
        let body = answer.text();
        let mut found = find_all(pattern, &body);
        found.sort_unstable();
        got.insert("text".to_owned(), json!(place.calm(&found.join("\n"))));
        return Value::Object(got);
    }
    let Ok(mut value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_slice(&answer.body) else {
        got.insert("text".to_owned(), place.calm_value(&show(answer.body.clone())));
        return Value::Object(got);
    };
    if let (Some(pattern), Some(members)) = (step.get("mask").and_then(Value::as_str), value.as_object_mut())
    {
        let pattern = regex(pattern);
        members
            .iter_mut()
            .filter(|(key, _)| pattern.is_match(key))
            .for_each(|(_, value)| *value = json!("@any@"));
    }
    let lints = value.get("lint_errors").or_else(|| value.get("linting_errors"));
    if let Some(lints) = lints.filter(|_| value.is_object()) {
        let lints = lints.as_array().map_or(&[][..], Vec::as_slice);
        let mut lints: Vec<String> =
            lints.iter().map(|lint| place.calm(lint.as_str().unwrap_or_default())).collect();
        lints.sort_unstable();
        got.insert("lint_errors".to_owned(), json!(lints));
    } else {
        got.insert("json".to_owned(), place.calm_json(&value));
    }
    Value::Object(got)
}

/// Sends a step's request: as it is if it is `raw`, else with the headers and the redirects of a usual client.
fn send(step: &Value, place: &Place, timeout: Duration) -> Answer {
    let mut method = step.get("method").and_then(Value::as_str).unwrap_or("GET");
    let mut path = step["path"].as_str().unwrap_or_default().to_owned();
    let body = step.get("body").filter(|body| !body.is_null());
    let mut body =
        body.map(|body| place.fill(&body.as_str().map_or_else(|| body.to_string(), str::to_owned)));
    let given = step.get("headers").and_then(Value::as_object).into_iter().flatten();
    let mut headers: Vec<(String, String)> =
        given.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
    let address = ([127, 0, 0, 1], place.port()).into();
    if step["raw"] == true {
        return http::request(address, method, &path, &headers, body.as_deref().map(str::as_bytes), timeout);
    }
    for _ in 0..REDIRECTS {
        let mut all = headers.clone();
        let mut default = |name: &str, value: &str| {
            if !headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name)) {
                all.push((name.to_owned(), value.to_owned()));
            }
        };
        default("Accept-Encoding", "identity");
        default("User-Agent", "recorded");
        default("Connection", "close");
        if body.is_some() {
            default("Content-Type", "application/x-www-form-urlencoded");
        }
        if body.is_none() && ["POST", "PUT", "PATCH"].contains(&method) {
            body = Some(String::new());
        }
        let answer = http::request(address, method, &path, &all, body.as_deref().map(str::as_bytes), timeout);
        let Some(to) = redirected(method, &answer, address) else { return answer };
        path = to;
        if method != "HEAD" {
            method = "GET";
        }
        body = None;
        headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
    }
    http::request(address, method, &path, &headers, None, timeout)
}

/// Where a usual client goes next.
fn redirected(method: &str, answer: &Answer, address: std::net::SocketAddr) -> Option<String> {
    let follows = match answer.status {
        301..=303 => ["GET", "HEAD", "POST"].contains(&method),
        307 | 308 => ["GET", "HEAD"].contains(&method),
        _ => false,
    };
    let to = answer.header("location").filter(|_| follows)?;
    Some(to.strip_prefix(&format!("http://{address}")).unwrap_or(to).to_owned())
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"))
}

/// All matches of a pattern; what stands in a last group `(?=...)` is looked at and left to the next match.
fn find_all<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
    let pattern = regex(&format!("(?m){}", pattern.replacen("(?=", "(?P<ahead>", 1)));
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(groups) = (at <= text.len()).then(|| pattern.captures_at(text, at)).flatten() {
        let Some(whole) = groups.get(0) else { break };
        let end = groups.name("ahead").map_or(whole.end(), |ahead| ahead.start());
        found.extend(text.get(whole.start()..end));
        at = if end > at { end } else { text.ceil_char_boundary(at + 1) };
    }
    found
}

#[test]
fn a_look_ahead_takes_nothing() {
    assert_eq!(find_all(r"a(?=b)", "abacab"), ["a", "a"]);
    assert_eq!(find_all(r"^[a-z]+:", "one: x\ntwo: y"), ["one:", "two:"]);
}

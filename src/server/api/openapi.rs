//! `/openapi.json`: the routing table as `OpenAPI` 3.1. A route without an entry here does not compile.

use super::{
    answer, query,
    routes::{Endpoint, ROWS},
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use weir_core::http::{Request, Response};

/// What one verb of a route takes and answers.
struct Operation {
    method: Method,
    summary: &'static str,
    /// Names of [`PARAMETERS`], beside those in the path.
    parameters: &'static [&'static str],
    /// The schema of the body, if it takes one.
    body: Option<&'static str>,
    /// The schema of what is answered; none for text.
    answer: Option<&'static str>,
    /// Statuses that only some routes answer with.
    further: &'static [u16],
}

fn get(
    summary: &'static str,
    parameters: &'static [&'static str],
    answer: Option<&'static str>,
) -> Operation {
    Operation { method: Method::GET, summary, parameters, body: None, answer, further: &[400] }
}

/// What every write takes.
const WRITE: &[&str] = &[
    "dry_run",
    "note",
    "timeout",
    "wait",
    "wait_timeout",
    "probation",
    "override",
    "reason",
    "chilled",
    "if-match",
];
/// What every write may be answered with.
const WRITTEN: &[u16] = &[202, 400, 409, 412, 507];
/// What a plan may be answered with, which stores nothing and waits for nothing.
const PLANNED: &[u16] = &[400, 409, 412];

fn write(method: Method, summary: &'static str, body: Option<&'static str>) -> Operation {
    Operation { method, summary, parameters: WRITE, body, answer: Some("Written"), further: WRITTEN }
}

/// A write that takes further parameters.
fn with(parameters: &'static [&'static str], operation: Operation) -> Operation {
    Operation { parameters, ..operation }
}

/// A check that may also fail.
fn check(summary: &'static str) -> Operation {
    Operation { further: &[503], ..get(summary, &[], None) }
}

const PAGE: &[&str] = &["before", "limit"];
const RUN: &[&str] =
    &["dry_run", "note", "timeout", "wait", "wait_timeout", "probation", "override", "reason", "if-match"];

#[rustfmt::skip]
fn operations(endpoint: Endpoint) -> Vec<Operation> {
    match endpoint {
        Endpoint::Ping => vec![get("Whether the server answers.", &[], None)],
        Endpoint::Livez => vec![get("Whether the server answers, and what a person should know.", &[], Some("Conditions"))],
        Endpoint::Version => vec![get("The version.", &[], None)],
        Endpoint::Endpoints => vec![get("Every path with its description.", &[], None)],
        Endpoint::OpenApi => vec![get("This document.", &[], Some("Anything"))],
        Endpoint::Ready => vec![check("Whether all running streams are connected.")],
        Endpoint::StreamReady => vec![check("Whether a stream is connected.")],
        Endpoint::Metrics => vec![get("Metrics in the form of the service config.", &[], None)],
        Endpoint::DebugJson => vec![get("The service config as JSON.", &[], None)],
        Endpoint::DebugYaml => vec![get("The service config as YAML.", &[], None)],
        Endpoint::Streams => vec![
            get("All streams.", &[], Some("Streams")),
            write(Method::POST, "These become all streams there are, in one commit.", Some("Set")),
        ],
        Endpoint::Stream => vec![
            get("A stream as it should run; with a generation, as it was then.", &["full", "generation"], Some("Stream")),
            write(Method::POST, "Creates a stream.", Some("Config")),
            write(Method::PUT, "Replaces a stream.", Some("Config")),
            write(Method::PATCH, "Merges a change into a stream.", Some("Config")),
            with(RUN, write(Method::DELETE, "Removes a stream.", None)),
        ],
        Endpoint::StreamStats => vec![get("A stream's metrics.", &[], Some("Anything"))],
        Endpoint::StreamStatus => vec![get("Where a stream is, and why; with its flight record.", &["record"], Some("Status"))],
        Endpoint::StreamTap => vec![Operation {
            further: &[400, 409, 429],
            ..get("Messages as they pass, as server-sent events.", &["at", "max", "tap-for", "redact"], Some("Anything"))
        }],
        Endpoint::StreamPlan => vec![Operation {
            answer: Some("Plan"),
            further: PLANNED,
            ..with(&["sample", "plan-for", "chilled", "if-match"], write(Method::POST, "What a spec would change, in the data too.", Some("Trial")))
        }],
        Endpoint::StreamHistory => vec![get("The generations that are kept, newest first.", PAGE, Some("History"))],
        Endpoint::StreamDiff => vec![get("What differs between two generations.", &["from", "to"], None)],
        Endpoint::StreamRollback => vec![with(
            &["to", "dry_run", "note", "timeout", "wait", "wait_timeout", "probation", "override", "reason", "if-match"],
            write(Method::POST, "An earlier generation becomes a new one.", None),
        )],
        Endpoint::StreamPause => vec![with(RUN, write(Method::POST, "Stops a stream; it keeps its position.", None))],
        Endpoint::StreamResume => vec![with(RUN, write(Method::POST, "Lets a stream run on.", None))],
        Endpoint::StreamRevert => vec![with(RUN, write(Method::POST, "What the stream's file says counts again.", None))],
        Endpoint::Drift => vec![get("The streams that differ from their files.", &query::PAGE, Some("Drift"))],
        Endpoint::StreamRestart => vec![with(RUN, write(Method::POST, "Builds a stream anew and runs it again.", None))],
        Endpoint::Plan => vec![Operation {
            answer: Some("Plan"),
            further: PLANNED,
            ..write(Method::POST, "What would change if these were all streams.", Some("Set"))
        }],
        Endpoint::Events => vec![get("What happens, as server-sent events; with follow=false, what is kept of it.",
            &["since", "follow", "last-event-id"], Some("Events"))],
        Endpoint::Revisions => vec![get("What was changed, newest first.", PAGE, Some("Revisions"))],
        Endpoint::Revision => vec![get("What one revision changed.", &[], Some("Revision"))],
        Endpoint::RevisionRestore => vec![with(RUN, write(Method::POST, "Everything becomes what it was then.", None))],
        Endpoint::Resources => vec![get("All resources, those that were changed last first.", &query::PAGE, Some("Resources"))],
        Endpoint::ResourcesOfType => vec![get("The resources of a type.", &query::PAGE, Some("Resources"))],
        Endpoint::Resource => vec![
            get("A resource as it was submitted.", &[], Some("Resource")),
            write(Method::POST, "Creates or changes a resource.", Some("Config")),
            with(
                &["force", "dry_run", "note", "timeout", "wait", "wait_timeout", "probation", "override", "reason", "if-match"],
                write(Method::DELETE, "Removes a resource that nobody uses; with force, any.", None),
            ),
        ],
    }
}

/// Each parameter: where it is, its schema, what it means.
#[rustfmt::skip]
fn parameter(name: &str) -> Value {
    let number = json!({ "type": "integer", "minimum": 0 });
    let duration = json!({ "type": "string", "examples": ["30s", "1m30s"] });
    let within = |usual: &str| json!({ "type": "string", "examples": ["1s"], "default": usual });
    let flag = json!({ "type": "boolean", "default": false });
    let (place, schema, description) = match name {
        "id" => ("path", json!({ "type": "string", "minLength": 1 }), "The name of a stream or resource."),
        "type" => ("path", json!({ "enum": ["cache", "input", "output", "processor", "rate_limit"] }), "A type of resource."),
        "n" => ("path", number, "A revision."),
        "before" => ("query", number, "Only what came before this revision."),
        "after" => ("query", json!({ "type": "string", "examples": ["cache:x"] }), "Also what the revision `before` changed itself, after this entry; the header `Link` leads on so."),
        "limit" => ("query", json!({ "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }), "How many."),
        "generation" => ("query", number, "A generation of the stream."),
        "full" => ("query", flag, "Adds status, owner, generation, revision and the text as submitted."),
        "from" => ("query", number, "The older generation; the one before the newer if left out."),
        "to" => ("query", number, "A generation."),
        "since" => ("query", number, "Only what came after this revision."),
        "follow" => ("query", json!({ "type": "boolean", "default": true }), "Whether to go on with what happens."),
        "last-event-id" => ("header", number, "The event after which to go on."),
        "dry_run" => ("query", flag, "Answers with the plan, and changes nothing."),
        "note" => ("query", json!({ "type": "string", "maxLength": 1000 }), "A remark that is kept."),
        "timeout" => ("query", duration, "How long the old stream may take to stop; as the service config's shutdown_timeout says if left out."),
        "wait" => ("query", json!({ "enum": ["applied", "none"], "default": "applied" }), "Whether the answer waits until it is applied."),
        "wait_timeout" => ("query", within("30s"), "How long the answer waits, at most 1h."),
        "probation" => ("query", duration, "Rolls back what does not run well for so long."),
        "override" => ("query", duration, "How long a change over a file counts; needs a reason."),
        "reason" => ("query", json!({ "type": "string", "maxLength": 1000 }), "Why a change is made over a file."),
        "record" => ("query", flag, "Adds what happened to the stream lately."),
        "at" => ("query", json!({ "type": "string", "default": "output", "examples": ["input", "pipeline.processors.0"] }), "Where to look."),
        "max" => ("query", number, "How many messages; if left out, all that pass in the time."),
        "plan-for" => ("query", within("10s"), "How long to wait for messages, at most 1m."),
        "tap-for" => ("query", within("30s"), "How long to look, at most 1h."),
        "redact" => ("query", json!({ "type": "string" }), "Fields whose values are not shown, with commas between."),
        "sample" => ("query", json!({ "type": "integer", "minimum": 0, "maximum": 1000, "default": 20 }), "How many messages to look at."),
        "chilled" => ("query", flag, "Takes configs that have lint errors."),
        "force" => ("query", flag, "Removes what is in use, too."),
        "if-match" => ("header", json!({ "type": "string", "pattern": "^\"[0-9]+\"$" }), "Only if this is the generation; of /streams, the revision."),
        _ => return Value::Null,
    };
    // Some names mean something else elsewhere.
    let name = match name {
        "max" => "limit",
        "plan-for" | "tap-for" => "for",
        name => name,
    };
    json!({ "name": name, "in": place, "required": place == "path", "schema": schema, "description": description })
}

/// Whether a stream is, as far as a caller cares.
fn schemas() -> Value {
    let number = || json!({ "type": "integer", "minimum": 0 });
    let text = || json!({ "type": "string" });
    let maybe = || json!({ "type": ["string", "null"] });
    let list =
        |of: &str| json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } });
    let object = |required: &[&str], members: Value| json!({ "type": "object", "required": required, "properties": members });
    json!({
        "Anything": {},
        "Error": { "anyOf": [object(&["error"], json!({ "error": text() })),
            object(&["lint_errors"], json!({ "lint_errors": { "type": "array", "items": text() } }))] },
        "Config": { "type": "object", "description": "A config, as JSON or YAML; variables are kept as written." },
        "Set": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Config" } },
        "Streams": { "type": "object", "additionalProperties": object(&["active", "uptime", "uptime_str", "phase"],
            json!({ "active": { "type": "boolean" }, "uptime": { "type": "number" }, "uptime_str": text(),
                "phase": text(), "generation": number(), "owner": { "enum": ["api", "file"] }, "reason": text() })) },
        "Stream": object(&["config"], json!({ "config": {}, "active": { "type": "boolean" }, "uptime": { "type": "number" },
            "uptime_str": text(), "generation": number(), "text": text(), "owner": { "enum": ["api", "file"] },
            "revision": number(), "status": { "$ref": "#/components/schemas/Status" } })),
        "Status": object(&["phase", "since", "generation", "restarts", "connections", "counters", "conditions"],
            json!({ "phase": text(), "since": maybe(), "generation": { "type": "object" }, "reason": maybe(),
                "message": maybe(), "restarts": number(), "next_retry": maybe(), "last_error": { "type": ["object", "null"] },
                "connections": { "type": "array" }, "counters": { "type": "object" }, "conditions": { "type": "array" } })),
        "Conditions": object(&["conditions"], json!({ "conditions": { "type": "array" } })),
        "Entry": object(&["generation", "revision", "time", "actor", "verb", "outcome"],
            json!({ "generation": number(), "revision": number(), "time": maybe(), "actor": text(), "verb": text(),
                "note": text(), "reason": text(),
                "outcome": { "enum": ["running", "rolled_back", "superseded", "deleted"] } })),
        "History": list("Entry"),
        "Revision": object(&["revision", "time", "actor", "verb", "changes"], json!({ "revision": number(),
            "time": maybe(), "actor": text(), "verb": text(), "note": text(), "changes": { "type": "array" } })),
        "Revisions": list("Revision"),
        "Event": object(&["id", "time", "type"], json!({ "id": number(), "time": maybe(), "type": text(), "stream": text(),
            "resource": text(), "phase": text(), "reason": text(), "generation": number(), "revision": number() })),
        "Events": list("Event"),
        "Resource": object(&["id", "type", "phase", "dependents"], json!({ "id": text(), "type": text(), "phase": text(),
            "generation": number(), "revision": number(), "owner": text(), "reason": text(),
            "dependents": { "type": "array", "items": text() }, "config": {}, "text": text() })),
        "Resources": list("Resource"),
        "Plan": object(&["revision", "changes", "unchanged"],
            json!({ "revision": number(), "changes": list("Change"), "unchanged": number(),
                "data": { "$ref": "#/components/schemas/Data" } })),
        "Change": object(&["kind", "id", "action", "restart", "diff", "lints", "error"], json!({ "kind": text(), "id": text(),
            "action": { "enum": ["create", "update", "delete"] }, "restart": { "type": "boolean" }, "diff": text(),
            "lints": { "type": "array", "items": text() }, "error": maybe() })),
        "Data": object(&["messages", "same", "changed", "dropped", "added", "newly_failing", "left_out"],
            json!({ "messages": number(), "same": number(), "changed": { "type": "array" },
                "dropped": { "type": "array", "items": number() }, "added": { "type": "array", "items": number() },
                "newly_failing": { "type": "array" }, "left_out": { "type": "array", "items": text() } })),
        "Drift": { "type": "array", "items": object(&["id", "file", "override"], json!({ "id": text(), "file": text(), "revision": number(),
            "override": { "type": "object" }, "diff": maybe() })) },
        "Trial": object(&["spec"], json!({ "spec": { "$ref": "#/components/schemas/Config" },
            "messages": { "type": "array", "items": { "type": "object" } } })),
        "Written": { "type": "object", "description": "The plan of a dry run, else where the stream is, or of many in \
            `underway` the phases of those that are not there yet; often nothing." },
    })
}

/// What a status means wherever it is answered.
fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Done.",
        202 => "It is stored, but was not applied in time; it goes on.",
        400 => "Refused: the answer says why.",
        401 => "A token is needed, or a name and a password.",
        403 => "The token lacks a scope, or the request comes from elsewhere.",
        404 => "There is no such thing.",
        405 => "This path takes another verb: the header Allow names it.",
        408 => "The body came too slowly.",
        409 => "Something depends on it, or is there already.",
        412 => "It was changed meanwhile: the answer has the generation.",
        413 => "The body is too large.",
        429 => "Too many logins have failed.",
        503 => "Not connected, or too busy.",
        507 => "It cannot be stored.",
        _ => "",
    }
}

fn content(schema: Option<&str>) -> Value {
    match schema {
        Some(schema) => {
            json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
        }
        None => json!({ "text/plain": { "schema": { "type": "string" } } }),
    }
}

/// The headers of an answer that went well.
fn headers(operation: &Operation) -> Value {
    let writes = operation.method != Method::GET;
    let tagged = writes || matches!(operation.answer, Some("Streams" | "Stream" | "Resource"));
    let pages = operation.parameters.contains(&"before");
    let all = [
        ("ETag", tagged, "The generation, of a whole set the revision; for If-Match.", "string"),
        ("Revision", writes, "The store's revision after it.", "integer"),
        ("Link", pages, "Where the list goes on, with rel=\"next\", if it does.", "string"),
    ];
    let there = all.into_iter().filter(|(_, there, ..)| *there);
    let header = |(name, _, description, kind): (&str, bool, &str, &str)| {
        (name.to_owned(), json!({ "description": description, "schema": { "type": kind } }))
    };
    Value::Object(there.map(header).collect())
}

fn answers(endpoint: Endpoint, operation: &Operation, in_path: bool) -> Value {
    let mut all = Map::new();
    let headers = headers(operation);
    let mut well =
        json!({ "description": meaning(200), "headers": headers, "content": content(operation.answer) });
    if operation.answer == Some("Written")
        && let Some(well) = well.as_object_mut()
    {
        // Most writes have nothing to say, which is told by naming no content.
        well.remove("content");
    }
    all.insert("200".into(), well);
    if matches!(endpoint, Endpoint::Events | Endpoint::StreamTap)
        && let Some(events) = all["200"]["content"].as_object_mut()
    {
        events.insert("text/event-stream".into(), json!({ "schema": { "type": "string" } }));
    }
    let found: &[u16] = if in_path { &[400, 404] } else { &[] };
    let guarded: &[u16] = if endpoint.scope(&operation.method).is_some() { &[401, 403, 429] } else { &[] };
    let body: &[u16] = if operation.body.is_some() { &[408, 413, 503] } else { &[] };
    let other: &[u16] = if endpoint.is_added() { &[405] } else { &[] };
    for status in [operation.further, found, guarded, body, other].concat() {
        let schema = if status == 202 { "Written" } else { "Error" };
        let mut either = content(Some(schema));
        either["text/plain"] = json!({ "schema": { "type": "string" } });
        all.insert(status.to_string(), json!({ "description": meaning(status), "content": either }));
    }
    if let Some(late) = all.get_mut("202") {
        late["headers"] = headers;
    }
    if let Some(refused) = all.get_mut("405") {
        let allow = json!({ "description": "The verb that it takes.", "schema": { "type": "string" } });
        refused["headers"] = json!({ "Allow": allow });
    }
    Value::Object(all)
}

fn described(endpoint: Endpoint, path: &str, operation: &Operation) -> Value {
    let in_path: Vec<&str> = path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
    let parameters =
        in_path.iter().chain(operation.parameters).map(|name| parameter(name)).collect::<Vec<_>>();
    let mut told = json!({
        "summary": operation.summary,
        "operationId": format!("{endpoint:?}.{}", operation.method.as_str().to_lowercase()),
        "parameters": parameters,
        "responses": answers(endpoint, operation, !in_path.is_empty()),
    });
    if let Some(schema) = operation.body {
        let schema = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } });
        told["requestBody"] = json!({ "required": true, "content": { "application/json": schema, "application/yaml": schema } });
    }
    if endpoint.scope(&operation.method).is_some() {
        told["security"] = json!([{ "token": [] }, { "password": [] }, {}]);
    }
    told
}

/// The document, of the routes that are served.
pub(super) fn document(
    request: &Request,
    is_served: impl Fn(Endpoint) -> bool,
) -> Result<Response, Response> {
    answer::only(request, &Method::GET)?;
    query::Query::only(request, &[])?;
    Ok(answer::json(StatusCode::OK, &whole(is_served)))
}

fn whole(is_served: impl Fn(Endpoint) -> bool) -> Value {
    let mut paths = Map::new();
    for row in ROWS.iter().filter(|row| is_served(row.endpoint)) {
        let mut verbs = Map::new();
        for operation in operations(row.endpoint) {
            let verb = operation.method.as_str().to_lowercase();
            verbs.insert(verb, described(row.endpoint, row.path, &operation));
        }
        paths.insert(row.path.to_owned(), verbs.into());
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "weir", "version": env!("CARGO_PKG_VERSION"),
            "description": "Streams that are kept as they were asked to be." },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" },
                "password": { "type": "http", "scheme": "basic" } },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::write::PARAMETERS;

    #[test]
    fn everything_that_is_named_is_there() {
        let document = whole(|_| true);
        let text = document.to_string();
        assert!(!text.contains("null}") && !text.contains("[null"), "a parameter is unknown");
        for part in text.split("#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(document["components"]["schemas"].get(name).is_some(), "{name}");
        }
        assert!(!text.contains("\"description\":\"\""), "a status has no meaning");
        assert_eq!(document["paths"].as_object().unwrap().len(), ROWS.len());
    }

    #[test]
    fn every_write_takes_what_all_writes_take_and_says_what_is_left_out() {
        let all = ROWS.iter().flat_map(|row| operations(row.endpoint).into_iter().map(move |one| (row, one)));
        let writes = all.filter(|(_, operation)| operation.parameters.contains(&"dry_run"));
        let mut known = 0;
        for (row, operation) in writes {
            for name in PARAMETERS.into_iter().chain(["if-match"]) {
                assert!(operation.parameters.contains(&name), "{} {} {name}", operation.method, row.path);
            }
            known += 1;
        }
        assert_eq!(known, 14);
        let document = whole(|_| true);
        let usual = |path: &str, verb: &str, name: &str| {
            let parameters = document["paths"][path][verb]["parameters"].as_array().unwrap();
            parameters.iter().find(|one| one["name"] == name).unwrap()["schema"]["default"].clone()
        };
        assert_eq!(usual("/streams/{id}", "put", "wait_timeout"), "30s");
        assert_eq!(usual("/streams/{id}/plan", "post", "for"), "10s");
        assert_eq!(usual("/streams/{id}/tap", "get", "for"), "30s");
        assert_eq!(usual("/streams/{id}/plan", "post", "sample"), 20);
        for path in ["/plan", "/streams/{id}/plan"] {
            let answers = &document["paths"][path]["post"]["responses"];
            assert!(answers.get("202").is_none() && answers.get("507").is_none(), "{path}");
            assert_eq!(answers["405"]["headers"]["Allow"]["schema"]["type"], "string");
        }
    }
}

//! Plans: what a write would do. They come from the write's own path, up to the commit.

use super::{answer, scrub::scrubbed, submit::format};
use http::StatusCode;
use serde_json::{Value, json};
use similar::TextDiff;
use std::{sync::Arc, time::Duration};
use weir_config::{
    json::{from_json, to_json},
    tokens,
    write::to_yaml,
};
use weir_control::service::{Plan, PlannedChange};
use weir_core::{http::Response, registry::Registry};

/// How long one comparison may look for the smallest difference.
const LOOK: Duration = Duration::from_millis(200);

/// A unified diff of two texts; what is missing is empty.
pub(super) fn unified(before: &str, after: &str, names: (&str, &str)) -> String {
    let diff = TextDiff::configure().timeout(LOOK).diff_lines(before, after);
    diff.unified_diff().context_radius(3).header(names.0, names.1).to_string()
}

/// A text as YAML that is written in only one way.
fn canonical(text: &str) -> String {
    tokens::parse(text).map_or_else(|_| text.to_owned(), |node| to_yaml(&from_json(&to_json(&node))))
}

fn change(change: &PlannedChange, registry: &Registry) -> Value {
    let PlannedChange { key, action, restart, before, after, lints, error } = change;
    let name = |text: &Option<String>, when: &str| match text {
        Some(_) => format!("{}/{} {when}", key.kind.name(), key.id),
        None => "/dev/null".to_owned(),
    };
    let texts = [before, after].map(|text| text.as_deref().unwrap_or_default());
    let clean = |text: String| scrubbed(text, key.kind, &texts, registry);
    let names = (&*name(before, "now"), &*name(after, "planned"));
    let diff = match (before, after) {
        // JSON and YAML would differ in every line.
        (Some(before), Some(after)) if format(before) != format(after) => {
            unified(&canonical(before), &canonical(after), names)
        }
        _ => unified(texts[0], texts[1], names),
    };
    let (diff, error) = (clean(diff), error.clone().map(clean));
    let lints: Vec<String> = lints.iter().cloned().map(clean).collect();
    json!({ "kind": key.kind, "id": &*key.id, "action": action, "restart": restart, "diff": diff, "lints": lints,
        "error": error })
}

/// A plan as an answer.
pub(super) async fn answer(revision: u64, plan: Plan, registry: &Arc<Registry>) -> Response {
    match told(revision, plan, registry).await {
        Ok(told) => answer::json(StatusCode::OK, &told),
        Err(refused) => refused,
    }
}

/// A plan in JSON.
pub(super) async fn told(revision: u64, plan: Plan, registry: &Arc<Registry>) -> Result<Value, Response> {
    let registry = Arc::clone(registry);
    let told = tokio::task::spawn_blocking(move || {
        let changes: Vec<Value> = plan.changes.iter().map(|one| change(one, &registry)).collect();
        json!({ "revision": revision, "changes": changes, "unchanged": plan.unchanged })
    });
    told.await.map_err(|error| answer::refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_control::record::{Key, Verb};

    #[test]
    fn a_change_shows_what_differs() {
        let planned = PlannedChange {
            key: Key::stream("a"),
            action: Verb::Update,
            restart: true,
            before: Some("x: 1\ny: 2\n".into()),
            after: Some("x: 1\ny: 3\n".into()),
            lints: Vec::new(),
            error: None,
        };
        let diff = "--- stream/a now\n+++ stream/a planned\n@@ -1,2 +1,2 @@\n x: 1\n-y: 2\n+y: 3\n";
        let registry = Registry::new(&[]);
        assert_eq!(change(&planned, &registry)["diff"], diff);
        let json = Some(r#"{"y":3,"x":1}"#.to_owned());
        let other = PlannedChange { after: json, ..planned.clone() };
        assert_eq!(change(&other, &registry)["diff"], diff);
        let new = PlannedChange { before: None, action: Verb::Create, ..planned };
        assert!(
            change(&new, &registry)["diff"]
                .as_str()
                .unwrap()
                .starts_with("--- /dev/null\n+++ stream/a planned\n@@ ")
        );
    }
}

//! Ids for shells that complete: asked of the server. One that does not answer at once has none.

use super::{
    client::{Client, Failure, Reach},
    set,
};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use std::time::Duration;
use tokio::time::timeout;

/// How long somebody who pressed a key waits.
const QUICK: Duration = Duration::from_secs(1);

/// The ids of streams.
pub(super) fn streams() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(false))
}

/// The ids of streams, and those of resources behind their types.
pub(super) fn all() -> ArgValueCandidates {
    ArgValueCandidates::new(|| candidates(true))
}

/// The value of a flag on the line that is completed.
fn given(flag: &str) -> Option<String> {
    let words: Vec<String> = std::env::args().collect();
    let apart = words.iter().position(|word| word == flag).and_then(|at| words.get(at + 1)).cloned();
    apart.or_else(|| {
        words.iter().find_map(|word| Some(word.strip_prefix(flag)?.strip_prefix('=')?.to_owned()))
    })
}

fn candidates(resources: bool) -> Vec<CompletionCandidate> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = Client::of(Reach {
        server: given("--server"),
        token: given("--token"),
        ca_file: given("--ca-file"),
        cert_file: given("--cert-file"),
        key_file: given("--key-file"),
    });
    let (Ok(runtime), Ok(client)) = (runtime, client) else { return Vec::new() };
    let asked = runtime.block_on(async { timeout(QUICK, ids(&client, resources)).await });
    let found = asked.ok().and_then(Result::ok).unwrap_or_default();
    found.into_iter().map(CompletionCandidate::new).collect()
}

async fn ids(client: &Client, resources: bool) -> Result<Vec<String>, Failure> {
    let told = client.get(&["streams"], &[]).await?.json()?;
    let mut ids: Vec<String> = told.as_object().into_iter().flatten().map(|(id, _)| id.clone()).collect();
    if resources {
        let told = set::resources(client).await?;
        let part = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let named = |one| format!("{}/{}", part(one, "type"), part(one, "id"));
        ids.extend(told.as_array().into_iter().flatten().map(named));
    }
    Ok(ids)
}

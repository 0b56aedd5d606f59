//! Streams that files own: one scan of the files is one commit.

use crate::{
    plan::Build,
    record::{self, Desired, Key, Kind, Owner, Rejected, Run},
    service::{Planned, Service, Submission, Unbuilt, WriteError, WriteOptions, Written},
    store::{committer::Change, folder::Condition},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a scan was of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All files of streams.
    Streams,
    /// All files of resources.
    Resources,
}

/// A stream or resource as a file has it.
pub struct FileMember {
    /// Its key.
    pub key: Key,
    /// The file's path.
    pub path: String,
    /// A fingerprint of the file's bytes.
    pub hash: String,
    /// The spec, or why the file is refused.
    pub spec: Result<Submission, String>,
}

/// What a scan did.
#[derive(Debug)]
pub struct Scanned {
    /// The commit, if there was something to do.
    pub written: Written,
    /// The files that were refused: `(path, reason)`. Their streams keep the last good text, if they have one.
    pub rejected: Vec<(String, String)>,
}

impl Service {
    /// Takes a scan of all stream files over. A bad file is refused by itself; one that only cannot be built and has
    /// no good text before it is `Invalid` until something helps. What was in files that are gone is removed, except
    /// that a scan that found nothing removes nothing and raises `SourceMissing`.
    ///
    /// At boot it comes between `boot_resources` and `boot_streams`, with `options.wait` unset.
    pub async fn set_files(
        &self,
        members: Vec<FileMember>,
        options: &WriteOptions,
    ) -> Result<Scanned, WriteError> {
        self.set_scope(Scope::Streams, members, options).await
    }

    /// Takes a scan of all resource files over, in the same way; at boot after `boot_resources`.
    pub async fn set_resource_files(
        &self,
        members: Vec<FileMember>,
        options: &WriteOptions,
    ) -> Result<Scanned, WriteError> {
        self.set_scope(Scope::Resources, members, options).await
    }

    async fn set_scope(
        &self,
        scope: Scope,
        members: Vec<FileMember>,
        options: &WriteOptions,
    ) -> Result<Scanned, WriteError> {
        let gate = self.gate.write().await;
        let seen: BTreeSet<Key> = members.iter().map(|member| member.key.clone()).collect();
        let mut changes = self.gone(scope, &seen);
        let (mut rejected, mut built) = (Vec::new(), BTreeMap::new());
        for member in members {
            let current = self.stored(&member.key);
            match member.spec {
                Ok(submission) => {
                    if let Some((change, build)) =
                        plan(current.as_ref(), submission, &member.path, &member.hash)
                    {
                        if matches!(build, Build::Yes(_)) {
                            built.insert(member.key, (member.path, member.hash));
                        }
                        changes.push((change, build));
                    }
                }
                Err(error) => {
                    changes
                        .extend(refuse(current, &member.path, &member.hash, &error).map(|c| (c, Build::No)));
                    rejected.push((member.path, error));
                }
            }
        }
        // What cannot be built is refused like what cannot be read; the others go on.
        let mut planned = Vec::new();
        for one in self.build_each(changes).await? {
            match one {
                Ok(one) => planned.push(one),
                Err(Unbuilt { change, key, failure }) => {
                    let Some((path, hash)) = built.remove(&key) else { continue };
                    let current = self.desired(&key);
                    let change = match current {
                        Some(_) => refuse(current, &path, &hash, &failure.message),
                        None => Some(change),
                    };
                    planned.extend(change.map(|change| Planned { change, prepared: None }));
                    rejected.push((path, failure.message));
                }
            }
        }
        let pending = self.commit(planned, options).await?;
        drop(gate);
        Ok(Scanned { written: pending.finish(options).await, rejected })
    }

    /// The removal of streams whose files are gone.
    fn gone(&self, scope: Scope, seen: &BTreeSet<Key>) -> Vec<(Change, Build)> {
        let mut table = self.shared.table();
        let of_scope = |kind| (kind == Kind::Stream) == (scope == Scope::Streams);
        let scanned = table.slots.iter().filter(|(key, _)| of_scope(key.kind));
        let owned = scanned.filter_map(|(key, slot)| Some((key, slot.desired.as_ref()?)));
        let owned = owned.filter(|(_, desired)| matches!(desired.owner, Owner::File { .. }));
        let gone: Vec<Key> =
            owned.filter(|(key, _)| !seen.contains(*key)).map(|(key, _)| key.clone()).collect();
        let what = if scope == Scope::Streams { "streams" } else { "resources" };
        let ours =
            |condition: &Condition| condition.kind == "SourceMissing" && condition.message.contains(what);
        table.conditions.retain(|condition| !ours(condition));
        if gone.is_empty() || !seen.is_empty() {
            return gone.into_iter().map(|key| (Change::Delete(key), Build::No)).collect();
        }
        let message = format!(
            "no file was found, but {} {what} came from files; they are kept: give their paths again, or delete them",
            gone.len()
        );
        tracing::warn!("{message}");
        table.conditions.push(Condition::new("SourceMissing", message));
        Vec::new()
    }
}

/// The change that makes a file's spec desired; `None` when it is already, or the API overrode this very content.
fn plan(
    current: Option<&Arc<Desired>>,
    submission: Submission,
    path: &str,
    hash: &str,
) -> Option<(Change, Build)> {
    let Submission { key, text, format, chilled, fingerprint, build } = submission;
    let owner = Owner::File { path: path.to_owned(), hash: hash.to_owned() };
    let present = current.is_some_and(|current| current.is_present());
    let known = current.is_some_and(|current| current.owner == owner);
    if let Some(current) = current
        && known
        && (current.overridden.is_some() || current.fingerprint == fingerprint)
        && current.rejected.is_none()
    {
        return None;
    }
    let mut next = current.map(|current| (**current).clone()).unwrap_or_default();
    let equal = present && next.fingerprint == fingerprint;
    (next.kind, next.id) = (key.kind, key.id.to_string());
    (next.text, next.format, next.chilled, next.fingerprint) = (text, format, chilled, fingerprint);
    (next.owner, next.overridden, next.rejected) = (owner, None, None);
    if equal {
        return Some((Change::Touch(Box::new(next)), Build::No));
    }
    next.completed = None;
    next.run = Run {
        wanted: if present { next.run.wanted } else { record::Wanted::Running },
        number: next.run.number + 1,
        ..next.run
    };
    Some((Change::Put(Box::new(next)), Build::Yes(build)))
}

/// Remembers a bad file beside its stream's last good text.
fn refuse(current: Option<Arc<Desired>>, path: &str, hash: &str, error: &str) -> Option<Change> {
    let current = current?;
    let ours = matches!(&current.owner, Owner::File { path: owner, .. } if owner == path);
    let known =
        current.rejected.as_ref().is_some_and(|rejected| rejected.hash == hash && rejected.error == error);
    if !ours || known {
        return None;
    }
    let mut next = (*current).clone();
    let (hash, error) = (hash.to_owned(), error.to_owned());
    next.rejected = Some(Rejected { hash, error, at: record::now(), ..Rejected::default() });
    Some(Change::Touch(Box::new(next)))
}

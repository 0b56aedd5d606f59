//! Streams that files own: one scan of the files is one commit.

use crate::{
    plan::Build,
    record::{self, Desired, Key, Kind, Owner, Rejected, Run},
    service::Service,
    store::{committer::Change, folder::Condition},
    write::{Planned, Submission, Unbuilt, WriteError, WriteOptions, Written},
};
use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
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
    /// What it says.
    pub content: Content,
}

/// What a file says of a stream or resource.
pub enum Content {
    /// The same as when it was last taken over.
    Same,
    /// A spec.
    Spec(Submission),
    /// Nothing that can be taken, and why.
    Bad(String),
}

/// What a look at all files of streams, or at all of resources, found.
pub struct Scan {
    /// What the files say.
    pub members: Vec<FileMember>,
    /// Files and folders that could not be looked into, or held nothing at all: what came from there is kept.
    pub missing: Vec<PathBuf>,
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
    /// what came from places that are missing, and that a scan that found nothing removes nothing: then
    /// `SourceMissing` is raised.
    ///
    /// At boot it comes between `boot_resources` and `boot_streams`, with `options.wait` unset.
    pub async fn set_files(&self, scan: Scan, options: &WriteOptions) -> Result<Scanned, WriteError> {
        self.set_scope(Scope::Streams, scan, options).await
    }

    /// Takes a scan of all resource files over, in the same way, but what is in no file is removed even when nothing
    /// was found; at boot after `boot_resources`.
    pub async fn set_resource_files(
        &self,
        scan: Scan,
        options: &WriteOptions,
    ) -> Result<Scanned, WriteError> {
        self.set_scope(Scope::Resources, scan, options).await
    }

    async fn set_scope(
        &self,
        scope: Scope,
        Scan { members, missing }: Scan,
        options: &WriteOptions,
    ) -> Result<Scanned, WriteError> {
        let gate = self.gate.write().await;
        let seen: HashSet<Key> = members.iter().map(|member| member.key.clone()).collect();
        let mut changes = self.gone(scope, &seen, &missing);
        let (mut rejected, mut built) = (Vec::new(), BTreeMap::new());
        for FileMember { key, path, hash, content } in members {
            match content {
                Content::Same => {}
                Content::Spec(submission) => {
                    if let Some((change, build)) = plan(self.stored(&key).as_ref(), submission, &path, &hash)
                    {
                        if matches!(build, Build::Yes(_)) {
                            built.insert(key, (path, hash));
                        }
                        changes.push((change, build));
                    }
                }
                Content::Bad(error) => {
                    let change = refuse(self.stored(&key), &key, &path, &hash, &error);
                    changes.extend(change.map(|change| (change, Build::No)));
                    rejected.push((path, error));
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
                    let current = self.desired(&key).filter(|current| current.has_spec());
                    let change = match current {
                        Some(_) => refuse(current, &key, &path, &hash, &failure.message),
                        None => Some(change),
                    };
                    planned.extend(change.map(Planned::unbuilt));
                    rejected.push((path, failure.message));
                }
            }
        }
        let pending = self.commit(planned, options).await?;
        drop(gate);
        Ok(Scanned { written: pending.finish(options).await, rejected })
    }

    /// The removal of what files said that are gone.
    fn gone(&self, scope: Scope, seen: &HashSet<Key>, missing: &[PathBuf]) -> Vec<(Change, Build)> {
        let mut table = self.shared.table();
        let of_scope = |kind| (kind == Kind::Stream) == (scope == Scope::Streams);
        let (mut gone, mut kept) = (Vec::new(), 0);
        for (key, slot) in table.slots.iter().filter(|(key, _)| of_scope(key.kind) && !seen.contains(*key)) {
            let Some(desired) = &slot.desired else { continue };
            let Owner::File { path, .. } = &desired.owner else { continue };
            // Streams come from places that may vanish with all they hold, resources from files that were named.
            let nothing = scope == Scope::Streams && seen.is_empty();
            if nothing || missing.iter().any(|place| Path::new(path).starts_with(place)) {
                kept += usize::from(desired.is_present());
            } else {
                gone.push((Change::Delete(key.clone()), Build::No));
            }
        }
        let what = if scope == Scope::Streams { "streams" } else { "resources" };
        let message = (kept > 0).then(|| {
            let places: Vec<String> = missing.iter().map(|place| place.display().to_string()).collect();
            let places = if places.is_empty() { String::new() } else { format!(" in {}", places.join(", ")) };
            format!(
                "no file was found{places}, but {kept} {what} came from there; they are kept: bring the files back, or delete them"
            )
        });
        let ours =
            |condition: &Condition| condition.kind == "SourceMissing" && condition.message.contains(what);
        let known = table.conditions.iter().find(|condition| ours(condition)).map(|c| c.message.clone());
        if known != message {
            table.conditions.retain(|condition| !ours(condition));
            if let Some(message) = message {
                tracing::warn!("{message}");
                table.conditions.push(Condition::new("SourceMissing", message));
            }
        }
        gone
    }
}

/// The change that makes a file's spec desired; `None` when it is already, or the API overrode this very content.
fn plan(
    current: Option<&Arc<Desired>>,
    submission: Submission,
    path: &str,
    hash: &str,
) -> Option<(Change, Build)> {
    let Submission { key, text, format, chilled, fingerprint, build, .. } = submission;
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

/// Remembers a bad file beside its stream's last good text; one that never was any good is remembered alone.
fn refuse(current: Option<Arc<Desired>>, key: &Key, path: &str, hash: &str, error: &str) -> Option<Change> {
    let (hash, error) = (hash.to_owned(), error.to_owned());
    let Some(current) = current else {
        let owner = Owner::File { path: path.to_owned(), hash: hash.clone() };
        let rejected = Some(Rejected { hash, error, at: record::now(), ..Rejected::default() });
        let (kind, id) = (key.kind, key.id.to_string());
        return Some(Change::Put(Box::new(Desired { kind, id, owner, rejected, ..Desired::default() })));
    };
    let ours = matches!(current.owner, Owner::File { .. });
    let known =
        current.rejected.as_ref().is_some_and(|rejected| rejected.hash == hash && rejected.error == error);
    if !ours || known {
        return None;
    }
    let mut next = (*current).clone();
    next.rejected = Some(Rejected { hash, error, at: record::now(), ..Rejected::default() });
    Some(Change::Touch(Box::new(next)))
}

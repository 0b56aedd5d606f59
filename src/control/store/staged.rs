//! What a group of requests changes: numbered and encoded, but not yet durable.

use super::{
    Batch, Op, StoreError,
    committer::{Change, Committed, FILES, GRAVES_KEPT, ITSELF, Origin, Writer},
};
use crate::record::{
    self, Changed, Completed, Desired, Grave, Key, Kind, MAJOR, Made, Meta, Outcome, Override, Owner,
    Quarantined, RecordError, Retention, Revision, RolledBack, Run, StoredCheckpoint, Verb, keys,
};
use std::{collections::HashMap, path::PathBuf, sync::Arc};

/// What a group of requests changes, until it is durable.
#[derive(Default)]
pub(super) struct Staged {
    pub(super) batches: Vec<Batch>,
    pub(super) live: HashMap<Key, Option<Arc<Desired>>>,
    pub(super) graves: HashMap<Key, Option<Grave>>,
    pub(super) meta: Meta,
}

impl Writer {
    fn current(&self, staged: &Staged, key: &Key) -> Option<Arc<Desired>> {
        match staged.live.get(key) {
            Some(desired) => desired.clone(),
            None => self.live.get(key).cloned(),
        }
    }

    fn last_generation(&self, staged: &Staged, key: &Key) -> u64 {
        let grave = match staged.graves.get(key) {
            Some(grave) => grave.as_ref(),
            None => self.graves.get(key),
        };
        grave.map_or(0, |grave| grave.generation)
    }

    pub(super) fn prepare(
        &self,
        staged: &mut Staged,
        changes: Vec<Change>,
        origin: Option<Origin>,
    ) -> Result<Committed, StoreError> {
        let now = record::now();
        let commit = staged.meta.commit + 1;
        let revision = staged.meta.revision + u64::from(origin.is_some());
        let mut ops = Vec::new();
        let (mut described, mut owners) = (Vec::new(), Vec::new());
        let mut records = Vec::new();
        for change in changes {
            let made = origin.as_ref().map(|origin| made(origin, change.desired(), revision, now));
            let Some((key, before, after)) = self.number(staged, change, revision, made, &mut ops)? else {
                continue;
            };
            let after = after.map(|next| Arc::new(stamped(next, before.as_deref(), commit, now)));
            if key.kind == Kind::Stream && after.as_ref().is_none_or(|next| next.lineage == 0) {
                let old = self.store.scan(&keys::checkpoints_of(&key.id))?;
                ops.extend(old.into_keys().map(Op::Delete));
            }
            if let Some(next) = &after {
                ops.push(Op::Put(keys::desired(&key), record::seal(&**next)?));
            }
            described.push(describe(&key, before.as_deref(), after.as_deref()));
            if origin.as_ref().is_some_and(|origin| origin.actor == FILES) {
                owners.extend(after.as_ref().or(before.as_ref()).map(|one| one.owner.clone()));
            }
            staged.live.insert(key.clone(), after.clone());
            records.push((key, after));
        }
        if records.is_empty() {
            return Ok(Committed { commit: staged.meta.commit, revision: staged.meta.revision, records });
        }
        if let Some(Origin { actor, verb, note }) = origin {
            let actor = signed(&actor, owners.iter());
            let other = record::Other::new();
            let entry = Revision {
                version: MAJOR,
                revision,
                time: now,
                actor,
                verb,
                note,
                changes: described,
                other,
            };
            ops.push(Op::Put(keys::revision(revision), record::seal(&entry)?));
            if let Some(oldest) = revision.checked_sub(self.retention.revisions) {
                ops.push(Op::Delete(keys::revision(oldest)));
            }
        }
        staged.push(Meta { version: MAJOR, commit, revision }, ops)?;
        Ok(Committed { commit, revision, records })
    }

    /// A change's record before and after it, with the writes of history; `None` when there is nothing to change.
    fn number(
        &self,
        staged: &mut Staged,
        change: Change,
        revision: u64,
        made: Option<Made>,
        ops: &mut Vec<Op>,
    ) -> Result<Option<Numbered>, StoreError> {
        Ok(Some(match change {
            Change::Put(desired) => {
                let key = desired.key();
                let before = self.current(staged, &key);
                let last =
                    before.as_ref().map_or_else(|| self.last_generation(staged, &key), |b| b.generation);
                let mut next = *desired;
                (next.generation, next.made) = (last + 1, made);
                if let Some(before) = &before {
                    let deleted = (!before.is_present()).then_some(before.revision);
                    ops.push(past(before, deleted)?);
                } else if last > 0 {
                    ops.push(Op::Delete(keys::grave(&key)));
                    staged.graves.insert(key.clone(), None);
                }
                if let Some(before) = &before {
                    ops.extend(outlived(before, &next, self.retention));
                }
                next.revision = revision;
                (key, before, Some(next))
            }
            Change::Touch(desired) => {
                let key = desired.key();
                let Some(before) = self.current(staged, &key) else { return Ok(None) };
                let mut next = *desired;
                next.generation = before.generation;
                next.revision = revision;
                next.completed.clone_from(&before.completed);
                next.probation.clone_from(&before.probation);
                next.made.clone_from(&before.made);
                (key, Some(before), Some(next))
            }
            Change::Judge { key, generation, outcome } => {
                let Some(before) = self.current(staged, &key) else { return Ok(None) };
                if before.generation != generation || before.on_probation().is_none() {
                    return Ok(None);
                }
                let mut judged = (*before).clone();
                if let Some(probation) = &mut judged.probation {
                    probation.outcome = Some(outcome.clone());
                }
                match (outcome, self.healthy(&judged)?) {
                    (Outcome::Failed(reason), Some(healthy)) => {
                        ops.push(past(&judged, None)?);
                        let next = put_back(judged, healthy, reason, made);
                        ops.extend(outlived(&before, &next, self.retention));
                        (key, Some(before), Some(Desired { revision, ..next }))
                    }
                    _ => (key, Some(before), Some(judged)),
                }
            }
            Change::Quarantine { key, generation, reason } => {
                let before = self.current(staged, &key).filter(|before| before.generation == generation);
                let Some(before) = before else { return Ok(None) };
                let (run, other) = (before.run.number, record::Other::new());
                let quarantined = Some(Quarantined { generation, run, reason, other });
                let next = Desired { quarantined, revision, ..(*before).clone() };
                (key, Some(before), Some(next))
            }
            Change::Complete { key, generation, run, uptime } => {
                let Some(before) = self.current(staged, &key) else { return Ok(None) };
                if before.generation != generation || before.run.number != run {
                    return Ok(None);
                }
                let mut next = (*before).clone();
                let other = record::Other::new();
                next.completed = Some(Completed { generation, run, at: record::now(), uptime, other });
                (key, Some(before), Some(next))
            }
            Change::Delete(key) => {
                let Some(before) = self.current(staged, &key) else { return Ok(None) };
                ops.push(past(&before, Some(revision))?);
                ops.push(Op::Delete(keys::desired(&key)));
                self.bury(staged, &key, before.generation, revision, ops)?;
                (key, Some(before), None)
            }
        }))
    }

    /// The last healthy generation before this one, if it is kept.
    fn healthy(&self, of: &Desired) -> Result<Option<Desired>, StoreError> {
        let Some(generation) = of.healthy else { return Ok(None) };
        let found = self.store.get(&keys::history(&of.key(), generation))?;
        Ok(found.map(|bytes| record::read(&bytes)).transpose()?)
    }

    /// Remembers a deleted key's generation, forgetting the oldest when there are too many.
    fn bury(
        &self,
        staged: &mut Staged,
        key: &Key,
        generation: u64,
        revision: u64,
        ops: &mut Vec<Op>,
    ) -> Result<(), RecordError> {
        let grave = Grave { version: MAJOR, kind: key.kind, id: key.id.to_string(), generation, revision };
        ops.push(Op::Put(keys::grave(key), record::seal(&grave)?));
        let dug = staged.graves.values().filter(|grave| grave.is_some()).count();
        if self.graves.len() + dug >= GRAVES_KEPT {
            let oldest = self.order.iter().find(|(_, key)| !staged.graves.contains_key(key));
            if let Some((_, oldest)) = oldest {
                ops.push(Op::Delete(keys::grave(oldest)));
                let history = self.store.scan(&keys::history_of(oldest)).unwrap_or_default();
                ops.extend(history.into_keys().map(Op::Delete));
                staged.graves.insert(oldest.clone(), None);
            }
        }
        staged.graves.insert(key.clone(), Some(grave));
        Ok(())
    }

    pub(super) fn prepare_checkpoints(
        &self,
        staged: &mut Staged,
        checkpoints: Vec<StoredCheckpoint>,
    ) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        for mut checkpoint in checkpoints {
            let current = self.current(staged, &Key::stream(checkpoint.stream.as_str()));
            if current.is_none_or(|desired| desired.lineage != checkpoint.lineage || desired.lineage == 0) {
                continue;
            }
            checkpoint.version = MAJOR;
            let key = keys::checkpoint(&checkpoint.stream, &checkpoint.path);
            ops.push(Op::Put(key, record::seal(&checkpoint)?));
        }
        if ops.is_empty() {
            return Ok(());
        }
        Ok(staged.push_ops(ops)?)
    }
}

impl Staged {
    /// Adds changes that are no revision.
    pub(super) fn push_ops(&mut self, ops: Vec<Op>) -> Result<(), RecordError> {
        let Meta { commit, revision, .. } = self.meta;
        self.push(Meta { version: MAJOR, commit: commit + 1, revision }, ops)
    }

    fn push(&mut self, meta: Meta, mut ops: Vec<Op>) -> Result<(), RecordError> {
        ops.push(Op::Put(keys::META.into(), record::seal(&meta)?));
        self.batches.push(Batch { commit: meta.commit, ops });
        self.meta = meta;
        Ok(())
    }
}

/// An actor by its full name: for a scan of files, where what it changed comes from.
fn signed<'a>(actor: &str, owners: impl Iterator<Item = &'a Owner>) -> String {
    if actor != FILES {
        return actor.to_owned();
    }
    let paths = owners.filter_map(|owner| match owner {
        Owner::File { path, .. } => Some(PathBuf::from(path)),
        Owner::Api => None,
    });
    let shared = |one: PathBuf, other: PathBuf| -> PathBuf {
        let parts = one.components().zip(other.components()).take_while(|(one, other)| one == other);
        parts.map(|(part, _)| part).collect()
    };
    let place = paths.reduce(shared).filter(|place| !place.as_os_str().is_empty());
    format!("{FILES}{}", place.unwrap_or_else(|| ".".into()).display())
}

fn made(origin: &Origin, desired: Option<&Desired>, revision: u64, time: u64) -> Made {
    let Origin { actor, verb, note } = origin.clone();
    let actor = signed(&actor, desired.iter().map(|desired| &desired.owner));
    Made { revision, time, actor, verb, note, other: record::Other::new() }
}

/// The removal of generations that are too many; never of one that others may go back to.
fn outlived(before: &Desired, next: &Desired, retention: Retention) -> impl Iterator<Item = Op> {
    let (key, spared) = (next.key(), next.spared());
    let oldest = before.generation.checked_sub(retention.generations).filter(|oldest| *oldest > 0);
    // One that was kept for being healthy goes with the next that is.
    let before =
        before.spared().into_iter().flatten().filter(move |one| oldest.is_some_and(|oldest| *one < oldest));
    let gone = oldest.into_iter().chain(before).filter(move |one| !spared.contains(&Some(*one)));
    gone.map(move |generation| Op::Delete(keys::history(&key, generation)))
}

/// The record that lets a healthy generation follow one that failed. Over a file's stream it is an override, unless it is
/// what the file says, and one that ends by itself goes on to do so.
fn put_back(failed: Desired, healthy: Desired, reason: String, made: Option<Made>) -> Desired {
    let (from, to, other) = (failed.generation, healthy.generation, record::Other::new());
    let overridden = match (healthy.overridden, failed.overridden) {
        _ if failed.owner == Owner::Api => None,
        (_, Some(over)) if over.base == Some(to) => None,
        (Some(own), Some(over)) if own.base == over.base => Some(own),
        // One over what the file says now: it has no end but the failed one's, or the file would fail again and again.
        (_, over) => Some(Override {
            actor: ITSELF.into(),
            at: record::now(),
            reason: Some(format!("generation {from} failed its probation: {reason}")),
            base: over.as_ref().map_or(Some(from), |over| over.base),
            expires_at: over.and_then(|over| over.expires_at),
            ..Override::default()
        }),
    };
    Desired {
        text: healthy.text,
        format: healthy.format,
        chilled: healthy.chilled,
        fingerprint: healthy.fingerprint,
        overridden,
        run: Run { number: failed.run.number + 1, ..failed.run },
        completed: None,
        generation: from + 1,
        made,
        probation: None,
        rolled_back: Some(RolledBack { from, to, reason, other }),
        ..failed
    }
}

/// Keeps what was desired.
fn past(before: &Desired, deleted: Option<u64>) -> Result<Op, RecordError> {
    let past = Desired { deleted, ..before.clone() };
    Ok(Op::Put(keys::history(&before.key(), before.generation), record::seal(&past)?))
}

/// A key with its record before and after a change.
type Numbered = (Key, Option<Arc<Desired>>, Option<Desired>);

/// A record with its times, and the line of runs whose checkpoints it takes over.
fn stamped(mut next: Desired, before: Option<&Desired>, commit: u64, now: u64) -> Desired {
    next.version = MAJOR;
    next.created_at = before.map_or(now, |before| before.created_at);
    next.updated_at = now;
    let carried = before.map_or(0, |before| if before.is_completed() { 0 } else { before.lineage });
    next.lineage = match carried {
        _ if next.is_completed() || !next.is_present() => 0,
        0 => commit,
        carried => carried,
    };
    next
}

fn describe(key: &Key, before: Option<&Desired>, after: Option<&Desired>) -> Changed {
    let listed = |desired: Option<&Desired>| desired.filter(|d| d.is_present()).map(|d| d.generation);
    let (before, after) = (listed(before), listed(after));
    let action = match (before, after) {
        (_, None) => Verb::Delete,
        (None, _) => Verb::Create,
        _ => Verb::Update,
    };
    Changed { kind: key.kind, id: key.id.to_string(), action, before, after }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_back_over_a_file_is_an_override_that_ends_when_its_own_or_the_failed_one_did() {
        let over = |base, expires_at| Some(Override { base: Some(base), expires_at, ..Override::default() });
        let file = Owner::File { path: "a.yaml".into(), hash: String::new() };
        let seen = |owner: &Owner, healthy: Option<Override>, failed: Option<Override>| {
            let one = |generation, overridden| Desired {
                generation,
                overridden,
                owner: owner.clone(),
                ..Desired::default()
            };
            let next = put_back(one(3, failed), one(2, healthy), "no".into(), None);
            next.overridden.map(|over| (over.base, over.expires_at))
        };
        let table = [
            (seen(&Owner::Api, None, None), None),
            (seen(&file, None, None), Some((Some(3), None))),
            (seen(&file, None, over(2, Some(9))), None),
            (seen(&file, None, over(1, Some(9))), Some((Some(1), Some(9)))),
            (seen(&file, over(1, Some(5)), over(1, Some(9))), Some((Some(1), Some(5)))),
            (seen(&file, over(1, Some(5)), over(4, Some(9))), Some((Some(4), Some(9)))),
            (seen(&file, over(1, Some(5)), None), Some((Some(3), None))),
        ];
        for (row, (got, wanted)) in table.iter().enumerate() {
            assert_eq!(got, wanted, "row {row}");
        }
    }
}

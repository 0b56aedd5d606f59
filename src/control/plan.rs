//! From a submission to the change that makes it desired: pure.

use crate::{
    record::{self, Desired, Owner, Run, Wanted},
    store::committer::{Change, Origin},
    write::{BuildOnce, Submission},
};
use std::sync::Arc;

/// Whether a change needs a build, and by whom.
pub(crate) enum Build {
    No,
    Yes(Option<BuildOnce>),
}

/// The change that makes a submission desired; `None` when it is already.
pub(crate) fn plan_put(
    current: Option<&Arc<Desired>>,
    submission: Submission,
    origin: &Origin,
    idle: bool,
) -> Option<(Change, Build)> {
    let Submission { key, text, format, chilled, fingerprint, build, .. } = submission;
    let present = current.is_some_and(|current| current.is_present());
    let mut next = current.map(|current| (**current).clone()).unwrap_or_default();
    let equal = present && next.fingerprint == fingerprint;
    let same_text = next.text == text;
    (next.kind, next.id) = (key.kind, key.id.to_string());
    (next.text, next.format, next.chilled, next.fingerprint) = (text, format, chilled, fingerprint);
    if equal {
        if !idle || next.run.wanted == Wanted::Paused {
            return if same_text { None } else { Some((Change::Touch(Box::new(next)), Build::No)) };
        }
        next.run.number += 1;
        return Some((Change::Touch(Box::new(next)), Build::Yes(build)));
    }
    if matches!(next.owner, Owner::File { .. }) {
        next.overridden = Some(over(origin, false));
    }
    next.completed = None;
    let (wanted, number) = if present { (next.run.wanted, next.run.number) } else { (Wanted::Running, 0) };
    next.run = Run { wanted, number: number + 1, other: std::mem::take(&mut next.run.other) };
    Some((Change::Put(Box::new(next)), Build::Yes(build)))
}

/// The change that removes a key.
pub(crate) fn plan_delete(current: &Arc<Desired>, origin: &Origin) -> Change {
    if matches!(current.owner, Owner::File { .. }) {
        let mut next = (**current).clone();
        next.overridden = Some(over(origin, true));
        return Change::Touch(Box::new(next));
    }
    Change::Delete(current.key())
}

fn over(origin: &Origin, deleted: bool) -> record::Override {
    let actor = origin.actor.clone();
    record::Override {
        actor,
        at: record::now(),
        reason: origin.note.clone(),
        deleted,
        ..record::Override::default()
    }
}

//! Back to what was: a generation of one key, or the whole set as of a revision.

use crate::{
    plan::{Build, plan_delete, plan_put},
    record::{self, Desired, Key, Kind, keys},
    service::Service,
    write::{Submission, WriteError, WriteOptions, Written, check_match},
};
use std::{collections::BTreeMap, sync::Arc};

/// What a key was as of a revision.
#[derive(Debug, PartialEq)]
enum Then {
    /// It was not there.
    Absent,
    /// This.
    Was(Arc<Desired>),
    /// What it was is not kept any more.
    Forgotten,
}

/// What a key was as of a revision, by its generations, oldest first.
fn then(generations: &[Arc<Desired>], revision: u64) -> Then {
    let found = generations.iter().rposition(|one| one.made_in() <= revision);
    let next = found.and_then(|found| generations.get(found + 1));
    match found.and_then(|found| generations.get(found)) {
        // One that came between them is not kept any more: whether it was there then is unknown.
        Some(one) if next.is_some_and(|next| next.generation > one.generation + 1) => Then::Forgotten,
        Some(one) => {
            let deleted = one.deleted.or_else(|| (!one.is_present()).then_some(one.revision));
            let gone = deleted.is_some_and(|deleted| deleted <= revision);
            if gone { Then::Absent } else { Then::Was(Arc::clone(one)) }
        }
        None if generations.first().is_some_and(|oldest| oldest.generation > 1) => Then::Forgotten,
        None => Then::Absent,
    }
}

fn submission(past: &Desired) -> Submission {
    Submission {
        key: past.key(),
        text: past.text.clone(),
        format: past.format,
        chilled: past.chilled,
        fingerprint: past.fingerprint.clone(),
        lints: Vec::new(),
        build: None,
    }
}

impl Service {
    /// The text of an earlier generation becomes a new one: of the last that ran as it should, unless another is named.
    pub async fn roll_back(
        &self,
        key: &Key,
        to: Option<u64>,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        let history = self.history(key).await?;
        let newest = history.first().ok_or_else(|| WriteError::NotFound(key.clone()))?;
        // The newest of a deleted key is one of the past already.
        let present = newest.deleted.is_none() && newest.is_present();
        let past = match to {
            Some(to) => history.iter().find(|past| past.generation == to),
            None if present => history.iter().find(|past| Some(past.generation) == newest.healthy),
            None => Some(newest),
        };
        let past = past.filter(|past| past.has_spec()).ok_or_else(|| {
            WriteError::Gone(match to {
                Some(to) => format!("generation {to} of {key} is not kept"),
                None => format!("no earlier generation of {key} ran healthy: name one with to=N"),
            })
        })?;
        self.put(submission(past), options, None).await
    }

    /// Makes everything, resources included, what it was as of a revision: one commit, all or nothing.
    pub async fn restore(&self, revision: u64, options: &WriteOptions) -> Result<Written, WriteError> {
        let gate = self.gate.write().await;
        check_match(options, self.revision())?;
        if revision > self.revision() {
            return Err(WriteError::Gone(format!("there is no revision {revision} yet")));
        }
        let mut all: BTreeMap<Key, Vec<Arc<Desired>>> = BTreeMap::new();
        // By key and generation: the oldest come first.
        for bytes in self.shared.commits.scan(keys::HISTORY.into()).await?.values() {
            if let Ok(past) = record::read::<Desired>(bytes) {
                all.entry(past.key()).or_default().push(Arc::new(past));
            }
        }
        for (key, slot) in &self.shared.table().slots {
            all.entry(key.clone()).or_default().extend(slot.desired.clone());
        }
        let (mut changes, mut forgotten, mut unchanged) = (Vec::new(), Vec::new(), 0);
        for (key, generations) in all {
            let current = self.desired(&key);
            match then(&generations, revision) {
                Then::Forgotten => forgotten.push(key.to_string()),
                Then::Absent => {
                    changes
                        .extend(current.map(|current| (plan_delete(&current, &options.origin), Build::No)));
                }
                Then::Was(past) => match current {
                    Some(current) if current.fingerprint == past.fingerprint => unchanged += 1,
                    _ if !past.has_spec() => {}
                    _ => changes.extend(plan_put(
                        self.stored(&key).as_ref(),
                        submission(&past),
                        &options.origin,
                        false,
                    )),
                },
            }
        }
        if !forgotten.is_empty() {
            let text = format!(
                "revision {revision} is not kept whole: {} had another spec then",
                forgotten.join(", ")
            );
            return Err(WriteError::Gone(text));
        }
        // A stream finds its resources only once these run: then the reconciler builds them, one after the other.
        if changes.iter().any(|(change, _)| change.key().kind != Kind::Stream) {
            changes.iter_mut().for_each(|(_, build)| *build = Build::No);
        }
        let planned = self.build_all(changes, options).await?;
        let pending = self.commit(planned, options).await?.of_all(unchanged);
        drop(gate);
        Ok(pending.finish(options).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Made, Override};

    fn one(generation: u64, made: u64, deleted: Option<u64>) -> Arc<Desired> {
        let made = Some(Made { revision: made, ..Made::default() });
        Arc::new(Desired { generation, made, deleted, ..Desired::default() })
    }

    #[test]
    fn what_was_as_of_a_revision_follows_from_the_generations() {
        // Made in 2, changed in 4, deleted in 6, made again in 8.
        let all = [one(1, 2, None), one(2, 4, Some(6)), one(3, 8, None)];
        let was = |number: usize| Then::Was(Arc::clone(&all[number - 1]));
        for (revision, expected) in [
            (1, Then::Absent),
            (2, was(1)),
            (3, was(1)),
            (4, was(2)),
            (5, was(2)),
            (6, Then::Absent),
            (7, Then::Absent),
            (8, was(3)),
            (9, was(3)),
        ] {
            assert_eq!(then(&all, revision), expected, "revision {revision}");
        }
        assert_eq!(then(&all[1..], 3), Then::Forgotten);
        let gap = [Arc::clone(&all[0]), Arc::clone(&all[2])];
        assert_eq!((then(&gap, 3), then(&gap, 8)), (Then::Forgotten, was(3)));
        assert_eq!(then(&all[1..], 4), was(2));
        // Deleted over the API, in revision 5, from under its file.
        let over = Some(Override { deleted: true, ..Override::default() });
        let hidden = [Arc::new(Desired { overridden: over, revision: 5, ..(*one(1, 2, None)).clone() })];
        assert_eq!(then(&hidden, 4), Then::Was(Arc::clone(&hidden[0])));
        assert_eq!(then(&hidden, 5), Then::Absent);
    }
}

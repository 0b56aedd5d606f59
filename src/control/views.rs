//! What the API reads: streams and resources as they are, and what is kept of the past.

use crate::{
    events::Events,
    record::{self, Desired, Key, Kind, Revision, keys},
    runtime::Running,
    service::Service,
    status::View,
    store::{StoreError, committer::Sizes, folder::Condition},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// How often something was done, and how long it took altogether.
#[derive(Debug, Default)]
pub struct Spent {
    times: AtomicU64,
    micros: AtomicU64,
}

impl Spent {
    pub(crate) fn note(&self, took: Duration) {
        self.times.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How often, and how long.
    pub fn seen(&self) -> (u64, Duration) {
        (self.times.load(Ordering::Relaxed), Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }
}

/// One page of a list that has what was changed last first, and by key what one revision changed.
#[derive(Debug, Clone)]
pub struct Page {
    /// Only what was changed before this revision,
    pub before: u64,
    /// and of what this revision itself changed, only what comes after this key.
    pub after: Option<Key>,
    /// At most so many.
    pub limit: usize,
}

/// The revision and key of a page's last member, when there are more behind it.
pub type More = Option<(u64, Key)>;

impl Page {
    /// Picks its members out of all, and puts them in order.
    pub fn of<T>(
        &self,
        all: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> (u64, Key),
    ) -> (Vec<T>, More) {
        let placed = all.into_iter().map(|one| (place(&one), one));
        let mut placed: Vec<((u64, Key), T)> = placed.filter(|(place, _)| self.is_behind(place)).collect();
        placed.sort_by(|((a, a_key), _), ((b, b_key), _)| (b, a_key).cmp(&(a, b_key)));
        let is_last = placed.len() <= self.limit;
        placed.truncate(self.limit);
        let last = placed.last().map(|(place, _)| place.clone()).filter(|_| !is_last);
        (placed.into_iter().map(|(_, one)| one).collect(), last)
    }

    fn is_behind(&self, (revision, key): &(u64, Key)) -> bool {
        let is_next = self.after.as_ref().is_some_and(|after| key > after);
        *revision < self.before || *revision == self.before && is_next
    }
}

/// What the control plane spends its time on.
#[derive(Debug, Default)]
pub struct Timing {
    /// Passes of the reconciler over one key.
    pub passes: Spent,
    /// Commits of writes, until they are durable.
    pub commits: Spent,
    /// Starts after failures.
    pub restarts: AtomicU64,
}

impl Service {
    /// What the control plane spends its time on.
    pub fn timing(&self) -> &Timing {
        &self.shared.timing
    }

    /// Keys that wait for the reconciler.
    pub fn waiting(&self) -> usize {
        self.shared.table().waiting()
    }

    /// Whether a spec is what is desired already: it need not be built.
    pub fn is_unchanged(&self, key: &Key, fingerprint: &str) -> bool {
        self.desired(key).is_some_and(|desired| desired.fingerprint == fingerprint)
    }

    /// All of a kind, by id, with no more than a list shows.
    pub fn list(&self, kind: Kind) -> Vec<View> {
        self.shared.table().listed(kind).map(|(key, slot)| slot.view(key, false)).collect()
    }

    /// One key.
    pub fn view(&self, key: &Key) -> Option<View> {
        let table = self.shared.table();
        table.slots.get(key).map(|slot| slot.view(key, true)).filter(|view| {
            view.status.active || view.desired.as_ref().is_some_and(|desired| desired.is_present())
        })
    }

    /// What runs under a key, or ran last.
    pub fn running(&self, key: &Key) -> Option<Arc<dyn Running>> {
        let table = self.shared.table();
        let slot = table.slots.get(key)?;
        slot.live.as_ref().map(|live| &live.running).or(slot.last.as_ref()).map(Arc::clone)
    }

    /// What happens and happened lately.
    pub fn events(&self) -> Arc<Events> {
        Arc::clone(&self.shared.events)
    }

    /// The store's revision.
    pub fn revision(&self) -> u64 {
        self.shared.table().revision
    }

    /// What a person should know.
    pub fn conditions(&self) -> Vec<Condition> {
        let mut all = self.shared.commits.conditions();
        all.extend(self.shared.table().conditions.iter().cloned());
        all
    }

    /// Raises a condition of this kind, or ends it.
    pub fn raise(&self, kind: &'static str, message: Option<String>) {
        let mut table = self.shared.table();
        let conditions = &mut table.conditions;
        if !conditions.iter().any(|known| known.kind == kind && Some(&known.message) == message.as_ref()) {
            conditions.retain(|known| known.kind != kind);
            conditions.extend(message.map(|message| Condition::new(kind, message)));
        }
    }

    /// Counts the changes of resources: what could not be built for want of one may be tried again.
    pub fn resource_changes(&self) -> u64 {
        self.shared.table().epoch
    }

    /// The store's figures.
    pub fn sizes(&self) -> Sizes {
        self.shared.commits.sizes()
    }

    /// The generations of a key that are kept, newest first.
    pub async fn history(&self, key: &Key) -> Result<Vec<Arc<Desired>>, StoreError> {
        let current = self.stored(key);
        let records = self.shared.commits.scan(keys::history_of(key)).await?;
        let mut all: Vec<Arc<Desired>> =
            records.values().rev().filter_map(|bytes| record::read(bytes).ok()).map(Arc::new).collect();
        // The newest may have become one of the past since it was looked at.
        if let Some(current) =
            current.filter(|one| all.first().is_none_or(|past| past.generation < one.generation))
        {
            all.insert(0, current);
        }
        Ok(all)
    }

    /// A revision, if it is kept.
    pub async fn revision_record(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        Ok(self.revisions(number.saturating_add(1), 1).await?.pop().filter(|found| found.revision == number))
    }

    /// At most so many of the revisions before one, newest first.
    pub async fn revisions(&self, before: u64, limit: usize) -> Result<Vec<Revision>, StoreError> {
        let newest = before.min(self.revision().saturating_add(1));
        let keys = (1..newest).rev().take(limit).map(keys::revision).collect();
        let records = self.shared.commits.get(keys).await?;
        Ok(records.iter().filter_map(|bytes| record::read(bytes).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_leave_nothing_out_wherever_a_revision_is_cut() {
        let all: Vec<(u64, Key)> = (0..7)
            .map(|n| ([3, 1, 3, 2, 3, 3, 1][n], Key::stream(["c", "x", "a", "y", "d", "b", "w"][n])))
            .collect();
        let mut expected = all.clone();
        expected.sort_by_key(|(revision, key)| (std::cmp::Reverse(*revision), key.clone()));
        for limit in 1..=8 {
            let (mut seen, mut page) = (Vec::new(), Page { before: u64::MAX, after: None, limit });
            loop {
                let (members, more) = page.of(all.clone(), Clone::clone);
                assert!(members.len() <= limit);
                seen.extend(members);
                let Some((revision, key)) = more else { break };
                (page.before, page.after) = (revision, Some(key));
            }
            assert_eq!(seen, expected, "by {limit}");
        }
    }
}

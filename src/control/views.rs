//! What the API reads: streams and resources as they are, and what is kept of the past.

use crate::{
    record::{self, Desired, Key, Kind, Revision, keys},
    runtime::Running,
    service::Service,
    status::View,
    store::{StoreError, committer::Sizes, folder::Condition},
};
use std::sync::Arc;

impl Service {
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

    /// The past generations of a key that are kept, newest first; without the current one.
    pub async fn history(&self, key: &Key) -> Result<Vec<Desired>, StoreError> {
        let records = self.shared.commits.scan(keys::history_of(key)).await?;
        Ok(records.values().rev().filter_map(|bytes| record::read(bytes).ok()).collect())
    }

    /// A revision, if it is kept.
    pub async fn revision_record(&self, number: u64) -> Result<Option<Revision>, StoreError> {
        let records = self.shared.commits.scan(keys::revision(number)).await?;
        Ok(records.values().next().and_then(|bytes| record::read(bytes).ok()))
    }
}

//! What of the past is too old, or too much, to be kept. What runs, and what others may go back to, always is.

use super::{Op, StoreError, committer::Writer, staged::Staged};
use crate::record::{self, Desired, Key, Revision, keys};
use std::collections::BTreeMap;

impl Writer {
    /// Stages the removal of generations and revisions that are beyond their number or age.
    pub(super) fn prune(&self, staged: &mut Staged) -> Result<(), StoreError> {
        let oldest = match self.retention.age {
            0 => 0,
            age => record::now().saturating_sub(age),
        };
        let mut ops = Vec::new();
        for (key, bytes) in self.store.scan(keys::REVISIONS)? {
            let revision: Revision = record::read(&bytes)?;
            let last = staged.meta.revision.saturating_sub(self.retention.revisions);
            if revision.revision <= last || revision.time < oldest {
                ops.push(Op::Delete(key));
            }
        }
        let mut past: BTreeMap<Key, Vec<(u64, u64, String)>> = BTreeMap::new();
        for (key, bytes) in self.store.scan(keys::HISTORY)? {
            let one: Desired = record::read(&bytes)?;
            past.entry(one.key()).or_default().push((one.generation, one.updated_at, key));
        }
        for (key, mut generations) in past {
            let spared = self.live.get(&key).map(|live| live.spared()).unwrap_or_default();
            generations.sort_by_key(|(generation, ..)| std::cmp::Reverse(*generation));
            let kept = usize::try_from(self.retention.generations).unwrap_or(usize::MAX);
            for (index, (generation, time, key)) in generations.into_iter().enumerate() {
                if (index >= kept || time < oldest) && !spared.contains(&Some(generation)) {
                    ops.push(Op::Delete(key));
                }
            }
        }
        if !ops.is_empty() {
            tracing::info!(records = ops.len(), "forgot what was too old to be kept");
            staged.push_ops(ops)?;
        }
        Ok(())
    }
}

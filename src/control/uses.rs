//! Who uses which resource, and the removal of one.

use crate::{
    guard::build_guarded,
    plan::plan_delete,
    record::{Desired, Key},
    runtime::Running,
    service::Service,
    table::ask,
    write::{Planned, WriteError, WriteOptions, Written, check_match},
};
use std::{collections::BTreeMap, sync::Arc};

impl Service {
    /// The users of each resource that has any. What does not run is asked once, by a build of it.
    pub async fn users(&self) -> BTreeMap<Key, Vec<Key>> {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (key, slot) in &self.shared.table().slots {
            let Some(desired) = slot.desired.as_ref().filter(|one| one.is_present() && one.has_spec()) else {
                continue;
            };
            match (&slot.live, &slot.uses) {
                (Some(live), _) => known.push((key.clone(), ask(Some(&live.running), Running::uses))),
                (None, Some((of, uses))) if *of == desired.generation => {
                    known.push((key.clone(), uses.clone()));
                }
                _ => unknown.push(Arc::clone(desired)),
            }
        }
        if !unknown.is_empty() {
            known.extend(self.ask_builds(unknown).await);
        }
        let mut users: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        for (user, uses) in known {
            for used in uses {
                users.entry(used).or_default().push(user.clone());
            }
        }
        users
    }

    /// What these would use; one that cannot be built uses nothing.
    async fn ask_builds(&self, unknown: Vec<Arc<Desired>>) -> Vec<(Key, Vec<Key>)> {
        let builder = Arc::clone(&self.shared.builder);
        let built = tokio::task::spawn_blocking(move || {
            let uses = |one: &Arc<Desired>| Some(build_guarded(|| builder.build(one)).ok()?.uses());
            let built = unknown.iter().filter_map(|one| Some((one.key(), one.generation, uses(one)?)));
            built.collect::<Vec<_>>()
        });
        let built = built.await.unwrap_or_default();
        let mut table = self.shared.table();
        let keep = |(key, generation, uses): (Key, u64, Vec<Key>)| {
            if let Some(slot) = table.slots.get_mut(&key) {
                slot.uses = Some((generation, uses.clone()));
            }
            (key, uses)
        };
        built.into_iter().map(keep).collect()
    }

    /// Removes a resource that nobody uses; with `force` also one that is used, whose users then cannot run.
    pub async fn delete_resource(
        &self,
        key: &Key,
        force: bool,
        options: &WriteOptions,
    ) -> Result<Written, WriteError> {
        // A user that is written meanwhile would not be seen.
        let gate = self.gate.write().await;
        let current = self.desired(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        check_match(options, current.generation)?;
        if !force && let Some(users) = self.users().await.remove(key) {
            return Err(WriteError::InUse(key.clone(), users));
        }
        let planned = Planned::unbuilt(plan_delete(&current, &options.origin));
        let pending = self.commit(vec![planned], options).await?;
        drop(gate);
        Ok(pending.finish(options).await)
    }
}

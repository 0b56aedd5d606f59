//! Files own streams: what the API says over one is known as an override, and may end by itself.

use crate::{
    log::say,
    plan::Build,
    reconcile::SLOW_TICK,
    record::{self, Desired, Key, Override, Owner, keys},
    service::Service,
    store::{
        StoreError,
        committer::{Change, ITSELF, Origin},
    },
    views::{More, Page},
    write::{Planned, WriteError, WriteOptions, Written, check_match},
};
use std::{sync::Arc, time::Duration};

/// How often overrides are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// A stream that differs from its file.
#[derive(Debug, Clone)]
pub struct Drift {
    /// The stream as it is.
    pub desired: Arc<Desired>,
    /// The file.
    pub file: String,
    /// Who made it differ.
    pub over: Override,
    /// What the file says, if that is kept.
    pub text: Option<String>,
}

impl Service {
    /// Completes a change over a file, or refuses it where files have the last word.
    pub(crate) fn claim(&self, change: &mut Change, options: &WriteOptions) -> Result<(), WriteError> {
        let (Change::Put(next) | Change::Touch(next)) = change else { return Ok(()) };
        let key = next.key();
        let current = self.stored(&key);
        let before = current.as_ref().and_then(|current| current.overridden.as_ref());
        let (Some(over), Owner::File { path, .. }) = (&mut next.overridden, &next.owner) else {
            return Ok(());
        };
        if before == Some(&*over) {
            return Ok(());
        }
        over.base = match before {
            Some(before) => before.base,
            None => current.as_ref().map(|current| current.generation),
        };
        match &options.overriding {
            Some(overriding) => {
                let within = record::millis(overriding.within);
                over.expires_at = Some(over.at.saturating_add(within));
                over.reason = Some(overriding.reason.clone());
            }
            None if self.shared.options.strict_files => return Err(WriteError::Owned(key, path.clone())),
            None => {}
        }
        Ok(())
    }

    /// What the file of an overridden stream says.
    async fn base(&self, current: &Desired) -> Result<Option<Desired>, StoreError> {
        let Some(base) = current.overridden.as_ref().and_then(|over| over.base) else { return Ok(None) };
        if base == current.generation {
            return Ok(Some(current.clone()));
        }
        let found = self.shared.commits.get(vec![keys::history(&current.key(), base)]).await?;
        Ok(found.first().map(|bytes| record::read(bytes)).transpose()?)
    }

    /// Ends an override: what the file says is desired again.
    pub async fn revert(&self, key: &Key, options: &WriteOptions) -> Result<Written, WriteError> {
        let _gate = self.gate.read().await;
        let lock = self.lock(key).await;
        let current = self.stored(key).ok_or_else(|| WriteError::NotFound(key.clone()))?;
        check_match(options, current.generation)?;
        if current.overridden.is_none() {
            let why =
                if matches!(current.owner, Owner::Api) { "has no file" } else { "is what its file says" };
            return Err(WriteError::Refused(format!("{key} {why}: there is nothing to revert")));
        }
        let base = self.base(&current).await?.filter(Desired::has_spec);
        let base = base.ok_or_else(|| {
            WriteError::Gone(format!("what the file of {key} said is not kept; touch the file"))
        })?;
        let is_same = base.generation == current.generation;
        let mut next = (*current).clone();
        (next.text, next.format, next.chilled) = (base.text, base.format, base.chilled);
        (next.fingerprint, next.overridden, next.completed) = (base.fingerprint, None, None);
        next.run.number += 1;
        let next = Box::new(next);
        let change = if is_same { Change::Touch(next) } else { Change::Put(next) };
        let planned = if options.origin.actor == ITSELF {
            // Nobody is there to be told: what cannot be built is shown as such.
            vec![Planned::unbuilt(change)]
        } else {
            self.build_all(vec![(change, Build::Yes(None))], options).await?
        };
        let pending = self.commit(planned, options).await?;
        drop(lock);
        Ok(pending.finish(options).await)
    }

    /// Ends overrides when their time is over, until it is dropped.
    pub async fn end_overrides(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            let now = record::now();
            let over = self
                .shared
                .table()
                .watch(|slot| slot.desired.as_ref()?.overridden.as_ref()?.expires_at.filter(|at| *at <= now));
            for (key, _) in over {
                let note = Some("its time was over".to_owned());
                let origin = Origin { actor: ITSELF.into(), verb: "REVERT".into(), note };
                let options = WriteOptions { origin, ..WriteOptions::default() };
                match self.revert(&key, &options).await {
                    Ok(_) => say!(info, &key, "what the API said over its file is over"),
                    Err(error) => {
                        say!(warn, &key, %error, "an override stays beyond its time");
                        tokio::time::sleep(SLOW_TICK).await;
                    }
                }
            }
        }
    }

    /// The streams that differ from their files.
    pub async fn drift(&self, page: &Page) -> Result<(Vec<Drift>, More), StoreError> {
        let (all, more) = {
            let table = self.shared.table();
            let all = table.slots.values().filter_map(|slot| slot.desired.clone());
            let drifted = all.filter(|desired| desired.overridden.is_some());
            page.of(drifted, |desired| (desired.revision, desired.key()))
        };
        let mut drifted = Vec::new();
        for desired in all {
            let (Owner::File { path, .. }, Some(over)) = (&desired.owner, &desired.overridden) else {
                continue;
            };
            let (file, over) = (path.clone(), over.clone());
            let text = self.base(&desired).await?.map(|base| base.text);
            drifted.push(Drift { desired, file, over, text });
        }
        Ok((drifted, more))
    }
}

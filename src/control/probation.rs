//! Probation: a new generation has to run as it should for a while, or the last healthy one is put back.

use crate::{
    log::say,
    reconcile::Shared,
    record::{self, Desired, Key, Kind, Outcome, Probation},
    runtime::{Counters, Running},
    service::Service,
    status::{Phase, Status},
    store::committer::{Change, ITSELF, Origin},
    table::{Slot, ask},
    write::WriteOptions,
};
use std::time::Duration;

/// So many messages say something about a share of errors.
const ENOUGH: u64 = 10;
/// Of a hundred messages, those that may fail in any case.
const TOLERATED: u64 = 50;

/// What is seen of a generation on probation.
#[derive(Default)]
struct Trial<'a> {
    /// What it has to stand.
    within: Duration,
    share_before: u64,
    /// How long it runs; `None` when it does not.
    uptime: Option<Duration>,
    /// How long nothing could be built.
    unbuilt: Option<(Duration, &'a str)>,
    /// Why a run of it ended or did not start.
    failed: Option<&'a str>,
    /// A connection that is not there.
    down: Option<String>,
    /// It came to its end.
    completed: bool,
    counters: Counters,
}

/// Of a hundred messages, those that had errors or were rejected, rounded up; none while there are too few to tell.
fn share(counters: Counters) -> u64 {
    let Counters { received, errors, rejected, .. } = counters;
    if received < ENOUGH { 0 } else { errors.saturating_add(rejected).saturating_mul(100).div_ceil(received) }
}

/// How a probation ends, once that can be said.
fn verdict(trial: &Trial<'_>) -> Option<Outcome> {
    let failed = |reason: String| Some(Outcome::Failed(reason));
    let share = share(trial.counters);
    if let Some(reason) = trial.failed {
        return failed(reason.to_owned());
    }
    if share > TOLERATED.max(trial.share_before) {
        let (received, before) = (trial.counters.received, trial.share_before);
        return failed(format!(
            "of its first {received} messages {share} % had errors or were rejected, before it {before} %"
        ));
    }
    if trial.completed {
        return Some(Outcome::Passed);
    }
    match (trial.uptime, trial.unbuilt, &trial.down) {
        (Some(uptime), _, Some(down)) if uptime >= trial.within => failed(down.clone()),
        (Some(uptime), _, None) if uptime >= trial.within => Some(Outcome::Passed),
        (None, Some((long, reason)), _) if long >= trial.within => failed(reason.to_owned()),
        _ => None,
    }
}

impl Slot {
    /// How the probation of what is desired ends, once that can be said.
    fn trial(&self) -> Option<(u64, Outcome)> {
        let desired = self.desired.as_ref()?;
        let probation = desired.on_probation()?;
        let generation = desired.generation;
        let live = self.live.as_ref().filter(|live| live.run.0 == generation);
        let links = ask(live.map(|live| &live.running), Running::links);
        let down = links.iter().find(|link| !link.connected && !link.over).map(|link| match &link.error {
            Some(error) => format!("{} is not connected: {error}", link.path),
            None => format!("{} is not connected", link.path),
        });
        let failed = self.failed.as_ref().filter(|failed| failed.run.0 == generation);
        let unbuilt = self.invalid.as_ref().filter(|invalid| invalid.run.0 == generation && live.is_none());
        let since = || Duration::from_millis(record::now().saturating_sub(self.since));
        let outcome = verdict(&Trial {
            within: Duration::from_millis(probation.within),
            share_before: probation.share_before,
            uptime: live.map(|live| live.started.elapsed()),
            unbuilt: unbuilt.map(|invalid| (since(), invalid.reason.as_str())),
            failed: failed.and(self.last_error.as_ref()).map(|error| error.message.as_str()),
            down,
            completed: desired.is_completed(),
            counters: ask(live.map(|live| &live.running), Running::counters),
        });
        Some((generation, outcome?))
    }

    /// The generation to go back to should the next one fail: what is desired if it passed its probation or runs, or
    /// ran, as it should; else the one noted before; else what is on probation and has shown nothing bad so far.
    fn healthy(&self, key: &Key) -> Option<u64> {
        let desired = self.desired.as_ref()?;
        if desired.in_quarantine().is_some() {
            return desired.healthy;
        }
        if desired.probation.as_ref().is_some_and(|one| one.outcome == Some(Outcome::Passed)) {
            return Some(desired.generation);
        }
        let Status { phase, reason, .. } = self.view(key, false).status;
        let live = self.live.as_ref().filter(|live| live.run.0 == desired.generation);
        let share = || share(ask(live.map(|live| &live.running), Running::counters));
        let runs = self.failures == 0 && live.is_some();
        let (is_healthy, is_promising) = match phase {
            Phase::Running => (runs && share() <= TOLERATED, false),
            Phase::RolledBack => (runs, false),
            Phase::OnProbation => (false, runs && reason.is_none() && share() <= TOLERATED),
            Phase::Paused => (self.failures == 0 && self.last.is_some(), false),
            Phase::Completed => (true, false),
            _ => (false, false),
        };
        let this = |good: bool| good.then_some(desired.generation);
        this(is_healthy).or(desired.healthy).or(this(is_promising))
    }
}

impl Shared {
    /// Ends the probations that can be judged.
    pub(crate) async fn judge_trials(&self) {
        let trials = self.table().watch(Slot::trial);
        if trials.is_empty() {
            return;
        }
        for (key, (generation, outcome)) in trials {
            let origin = match &outcome {
                Outcome::Passed => None,
                Outcome::Failed(reason) => {
                    say!(warn, &key, generation, reason, "failed its probation");
                    let note = Some(format!("generation {generation} failed its probation: {reason}"));
                    Some(Origin { actor: ITSELF.into(), verb: "ROLLBACK".into(), note })
                }
            };
            let is_revision = origin.is_some();
            let change = Change::Judge { key: key.clone(), generation, outcome };
            match self.commits.commit(vec![change], origin).await {
                Ok(committed) => {
                    if is_revision {
                        self.tell_changes(&committed);
                    }
                    let mut table = self.table();
                    table.take(committed);
                    if let Some(slot) = table.slots.get_mut(&key) {
                        self.tell_phase(&key, slot);
                    }
                }
                Err(error) => {
                    say!(warn, &key, %error, "its probation goes on, for its end cannot be stored");
                }
            }
        }
        self.work.notify_one();
    }
}

impl Service {
    /// Notes in a new generation which one before it was healthy, and puts it on probation if that is asked for.
    pub(crate) fn put_on_probation(&self, next: &mut Desired, options: &WriteOptions) {
        (next.healthy, next.probation, next.rolled_back) = (None, None, None);
        let (key, mut share_before) = (next.key(), 0);
        if let Some(slot) = self.shared.table().slots.get(&key)
            && slot.desired.is_some()
        {
            next.healthy = slot.healthy(&key);
            share_before = share(ask(slot.live.as_ref().map(|live| &live.running), Running::counters));
        }
        let within = options.probation.unwrap_or(self.shared.options.probation);
        if key.kind == Kind::Stream && !within.is_zero() && next.has_spec() {
            let (within, other) = (record::millis(within), record::Other::new());
            next.probation = Some(Probation { within, share_before, outcome: None, other });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_from_what_is_seen() {
        let within = Duration::from_mins(1);
        let up = |seconds| Trial { within, uptime: Some(Duration::from_secs(seconds)), ..Trial::default() };
        let counted = |received, errors, rejected| Counters { received, errors, rejected, sent: 0 };
        let down = || Some("output is not connected".to_owned());
        let failed = |reason: &str| Some(Outcome::Failed(reason.into()));
        let shares = |before| {
            format!("of its first 10 messages 60 % had errors or were rejected, before it {before} %")
        };
        let table = [
            (up(59), None),
            (up(60), Some(Outcome::Passed)),
            (Trial { within, ..Trial::default() }, None),
            (Trial { completed: true, ..up(1) }, Some(Outcome::Passed)),
            (Trial { failed: Some("it broke"), ..up(1) }, failed("it broke")),
            (Trial { down: down(), ..up(59) }, None),
            (Trial { down: down(), ..up(60) }, failed("output is not connected")),
            (Trial { counters: counted(9, 9, 0), ..up(1) }, None),
            (Trial { counters: counted(10, 5, 0), ..up(1) }, None),
            (Trial { counters: counted(1000, 500, 0), ..up(1) }, None),
            (
                Trial { counters: counted(1000, 501, 0), ..up(1) },
                failed("of its first 1000 messages 51 % had errors or were rejected, before it 0 %"),
            ),
            (Trial { counters: counted(10, 4, 2), ..up(1) }, failed(&shares(0))),
            (Trial { counters: counted(10, 4, 2), share_before: 59, ..up(1) }, failed(&shares(59))),
            (Trial { counters: counted(10, 4, 2), share_before: 60, ..up(1) }, None),
            (Trial { within, unbuilt: Some((within, "no x")), ..Trial::default() }, failed("no x")),
            (Trial { within, unbuilt: Some((Duration::ZERO, "no x")), ..Trial::default() }, None),
        ];
        for (row, (trial, expected)) in table.iter().enumerate() {
            assert_eq!(verdict(trial), *expected, "row {row}");
        }
    }
}

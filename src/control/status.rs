//! Where a stream is: a pure function of what is seen of it.

use crate::{
    record::{Desired, Key, Outcome, RolledBack},
    runtime::{Counters, Link},
    store::folder::Condition,
};
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// Where a stream or resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum Phase {
    /// Not looked at yet.
    #[default]
    Pending,
    /// Being built or started.
    Starting,
    /// Running.
    Running,
    /// Running, but an input or output is not connected, or it failed its probation and there is none to go back to.
    Degraded,
    /// Failed; starts again after a wait.
    BackingOff,
    /// Stopped on request, its position kept.
    Paused,
    /// Being stopped.
    Stopping,
    /// Its input ended.
    Completed,
    /// Failed for good.
    Failed,
    /// It cannot be built.
    Invalid,
    /// Running, but it does not send what its config promises.
    Stalled,
    /// Kept from running: the process died of it.
    Quarantined,
    /// Running, but it has to prove itself.
    OnProbation,
    /// Running in place of a generation that failed its probation.
    RolledBack,
}

/// The last failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastError {
    /// When, in milliseconds since 1970.
    pub time: u64,
    /// Of which component, if that is known.
    pub path: Option<String>,
    /// What was said.
    pub message: String,
    /// How often in a row.
    pub count: u32,
}

/// Where a key is.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Status {
    /// The phase.
    pub phase: Phase,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Why, when it is not healthy.
    pub reason: Option<String>,
    /// What happens next, when it does not simply run.
    pub message: Option<&'static str>,
    /// The generation it should be.
    pub desired_generation: u64,
    /// The generation that runs.
    pub running_generation: Option<u64>,
    /// Starts after failures of this run.
    pub restarts: u32,
    /// When it starts again, in milliseconds since 1970.
    pub next_retry: Option<u64>,
    /// The last failure.
    pub last_error: Option<LastError>,
    /// Whether it runs: the output has not closed.
    pub active: bool,
    /// How long it runs or ran, in milliseconds.
    pub uptime: u64,
    /// What is counted of the run.
    pub counters: Counters,
    /// What a person should know about it.
    pub conditions: Vec<Condition>,
}

/// A key with its record and where it is.
#[derive(Debug, Clone)]
pub struct View {
    /// Its key.
    pub key: Key,
    /// What it should be; `None` while it is being removed.
    pub desired: Option<Arc<Desired>>,
    /// Where it is.
    pub status: Status,
    /// Its connections; empty when it does not run.
    pub links: Vec<Link>,
}

/// All that is seen of one key, and all that its status depends on.
#[derive(Default)]
pub(crate) struct Observed<'a> {
    /// What it should be.
    pub(crate) desired: Option<&'a Desired>,
    /// What the reconciler did about it last, and when.
    pub(crate) stage: (Phase, u64),
    /// The generation that runs.
    pub(crate) running: Option<u64>,
    /// Whether that has ended and was not looked at yet.
    pub(crate) over: bool,
    /// Its connections.
    pub(crate) links: &'a [Link],
    /// Why the run that is wanted cannot be built.
    pub(crate) unbuilt: Option<&'a str>,
    /// The last failure of a run.
    pub(crate) failure: Option<&'a LastError>,
    /// What went wrong last in what runs.
    pub(crate) fault: Option<&'a LastError>,
    /// Starts after failures.
    pub(crate) restarts: u32,
    /// When it starts again after a failure.
    pub(crate) next_retry: Option<u64>,
    /// How long it runs or ran, in milliseconds.
    pub(crate) uptime: u64,
    /// The promised time in which it sent nothing.
    pub(crate) silent: Option<Duration>,
    /// Since when what it read does not go through.
    pub(crate) stuck: Option<u64>,
    /// What is counted.
    pub(crate) counters: Counters,
}

impl Observed<'_> {
    /// The first connection that is down. One that was never tried, or has come to its end, is not.
    fn down(&self) -> Option<&Link> {
        self.links.iter().find(|link| !link.connected && !link.over && link.since > 0)
    }

    /// Why what is desired failed its probation, if it did and stays.
    fn flunked(&self) -> Option<&str> {
        match self.desired?.probation.as_ref()?.outcome.as_ref()? {
            Outcome::Failed(reason) => Some(reason),
            Outcome::Passed => None,
        }
    }

    fn phase(&self) -> (Phase, u64) {
        let (stage, since) = self.stage;
        if self.desired.is_some_and(|desired| !desired.has_spec()) {
            return (Phase::Invalid, since);
        }
        if stage != Phase::Running {
            return (stage, since);
        }
        match self.down() {
            _ if self.desired.is_some_and(|desired| desired.on_probation().is_some()) => {
                (Phase::OnProbation, since)
            }
            _ if self.silent.is_some() => (Phase::Stalled, since),
            Some(link) => (Phase::Degraded, link.since.max(since)),
            None if self.flunked().is_some() && self.running == self.desired.map(|one| one.generation) => {
                (Phase::Degraded, since)
            }
            None if self.desired.is_some_and(|desired| desired.rolled_back.is_some()) => {
                (Phase::RolledBack, since)
            }
            None => (stage, since),
        }
    }

    fn trouble(&self, phase: Phase) -> Option<String> {
        if let Some(unbuilt) = self.unbuilt {
            let desired = self.desired.map_or(0, |desired| desired.generation);
            return Some(match self.running {
                Some(_) => {
                    format!("generation {desired} cannot be built, the one before runs on: {unbuilt}")
                }
                None => unbuilt.to_owned(),
            });
        }
        match phase {
            Phase::Quarantined => {
                self.desired.and_then(Desired::in_quarantine).map(|quarantined| quarantined.reason.clone())
            }
            Phase::BackingOff | Phase::Failed => self.failure.map(|failure| failure.message.clone()),
            Phase::Stalled => self.silent.map(|silent| {
                let down = self.down().map(|link| format!(", and {} is not connected", link.path));
                format!("it sent nothing for {} s{}", silent.as_secs_f64(), down.unwrap_or_default())
            }),
            Phase::RolledBack => self.desired.and_then(|desired| desired.rolled_back.as_ref()).map(
                |RolledBack { from, to, reason, .. }| {
                    format!("generation {from} failed its probation and {to} was put back: {reason}")
                },
            ),
            Phase::Degraded | Phase::OnProbation => self.down().map_or_else(
                || self.flunked().map(stays),
                |link| {
                    let error = link.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
                    Some(format!("{} is not connected{error}", link.path))
                },
            ),
            _ => None,
        }
    }

    fn reason(&self, phase: Phase) -> Option<String> {
        let rejected = self.desired.and_then(|desired| Some((desired, desired.rejected.as_ref()?)));
        let rejected = rejected.map(|(desired, rejected)| {
            let goes_on = if desired.has_spec() { "; what it said before still counts" } else { "" };
            format!("its file is refused: {}{goes_on}", rejected.error)
        });
        match (self.trouble(phase), rejected) {
            (Some(trouble), Some(rejected)) => Some(format!("{trouble}; {rejected}")),
            (trouble, rejected) => trouble.or(rejected),
        }
    }

    fn last_error(&self, phase: Phase) -> Option<LastError> {
        let of_link =
            self.down().filter(|_| matches!(phase, Phase::Degraded | Phase::OnProbation)).map(|link| {
                LastError {
                    time: link.since,
                    path: Some(link.path.clone()),
                    message: link.error.clone().unwrap_or_else(|| "the connection was lost".into()),
                    count: link.failures,
                }
            });
        let latest = || self.failure.into_iter().chain(self.fault).max_by_key(|error| error.time);
        of_link.or_else(|| latest().cloned())
    }

    fn conditions(&self) -> Vec<Condition> {
        let Some(desired) = self.desired else { return Vec::new() };
        let mut all = Vec::new();
        if let Some(over) = &desired.overridden {
            let why = over.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let message = format!("{} changed it over the API, its file says otherwise{why}", over.actor);
            all.push(Condition { kind: "Drifted", since: over.at, message });
        }
        if let Some(reason) = self.flunked() {
            all.push(Condition { kind: "ProbationFailed", since: self.stage.1, message: stays(reason) });
        }
        if let Some(rejected) = &desired.rejected {
            let (since, message) = (rejected.at, rejected.error.clone());
            all.push(Condition { kind: "FileRefused", since, message });
        }
        if let Some(since) = self.stuck {
            let message =
                "messages that were read wait for their delivery for ten minutes, and none was sent".into();
            all.push(Condition { kind: "NoProgress", since, message });
        }
        all
    }
}

/// What is said of a generation that failed its probation and has none to give way to.
fn stays(reason: &str) -> String {
    format!("it failed its probation, and no generation before it ran as it should: {reason}")
}

/// What happens next in a phase in which something has to.
fn next(phase: Phase, is_down: bool, has_spec: bool) -> Option<&'static str> {
    match phase {
        Phase::Degraded if is_down => Some("it goes on trying to connect"),
        Phase::Degraded => Some("it runs on; a new spec is another try"),
        Phase::BackingOff => Some("it starts again by itself"),
        Phase::OnProbation => Some("it counts as healthy when its probation is over"),
        Phase::RolledBack => Some("it runs as it did before; a new spec is another try"),
        Phase::Stalled => Some("it runs on; look at what it reads from, and at where it sends to"),
        Phase::Quarantined => Some("resume or a new spec lets it run"),
        Phase::Paused => Some("resume lets it run on from where it stood"),
        Phase::Completed => Some("PUT or restart runs it again"),
        Phase::Failed => Some("restart or a new spec runs it again"),
        Phase::Invalid if has_spec => {
            Some("it starts with a spec that can be built, or when the resource that it lacks is there")
        }
        Phase::Invalid => Some("it starts when its file is mended"),
        _ => None,
    }
}

/// The status of one key.
pub(crate) fn judge(seen: &Observed<'_>) -> Status {
    let (phase, since) = seen.phase();
    Status {
        phase,
        since,
        reason: seen.reason(phase),
        message: next(phase, seen.down().is_some(), seen.desired.is_some_and(Desired::has_spec)),
        desired_generation: seen.desired.map_or(0, |desired| desired.generation),
        running_generation: seen.running,
        restarts: seen.restarts,
        next_retry: seen.next_retry.filter(|_| phase == Phase::BackingOff),
        last_error: seen.last_error(phase),
        active: seen.running.is_some() && !seen.over,
        uptime: seen.uptime,
        counters: seen.counters,
        conditions: seen.conditions(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Override, Probation, Rejected};

    fn link(path: &str, error: Option<&str>) -> Link {
        let (path, error, label) = (path.to_owned(), error.map(str::to_owned), String::new());
        Link { path, label, connected: false, error, since: 7, failures: 2, over: false }
    }

    #[test]
    fn a_status_follows_from_what_is_seen() {
        let spec = Desired { fingerprint: "f".into(), generation: 2, ..Desired::default() };
        let rejected = Some(Rejected { error: "(1,1) no".into(), ..Rejected::default() });
        let never = Desired { rejected: rejected.clone(), ..Desired::default() };
        let refused = Desired { rejected, ..spec.clone() };
        let outcome = Some(Outcome::Failed("no".into()));
        let flunked =
            Desired { probation: Some(Probation { outcome, ..Probation::default() }), ..spec.clone() };
        let failure = LastError { time: 1, path: None, message: "it broke".into(), count: 3 };
        let (up, untried, ended) = (
            Link { connected: true, ..link("input", None) },
            Link { since: 0, ..link("input", None) },
            Link { over: true, ..link("input", Some("type was closed")) },
        );
        let (lost, down) = ([up.clone(), link("output", None)], [link("output", Some("no route"))]);
        let fine = [up, untried, ended];
        let seen = |stage| Observed { desired: Some(&spec), stage: (stage, 5), ..Observed::default() };
        let runs = |stage, generation| Observed { running: Some(generation), ..seen(stage) };
        // What is seen, the phase and since when, the reason, whether it is active.
        let table = [
            (Observed::default(), (Phase::Pending, 0), None, false),
            (seen(Phase::Starting), (Phase::Starting, 5), None, false),
            (runs(Phase::Running, 2), (Phase::Running, 5), None, true),
            (Observed { over: true, ..runs(Phase::Running, 2) }, (Phase::Running, 5), None, false),
            (Observed { links: &fine, ..runs(Phase::Running, 2) }, (Phase::Running, 5), None, true),
            (
                Observed { links: &lost, ..runs(Phase::Running, 2) },
                (Phase::Degraded, 7),
                Some("output is not connected"),
                true,
            ),
            (
                Observed { links: &down, ..runs(Phase::Running, 2) },
                (Phase::Degraded, 7),
                Some("output is not connected: no route"),
                true,
            ),
            (Observed { links: &down, ..runs(Phase::Stopping, 2) }, (Phase::Stopping, 5), None, true),
            (
                Observed { failure: Some(&failure), ..runs(Phase::Running, 2) },
                (Phase::Running, 5),
                None,
                true,
            ),
            (
                Observed { failure: Some(&failure), next_retry: Some(9), ..seen(Phase::BackingOff) },
                (Phase::BackingOff, 5),
                Some("it broke"),
                false,
            ),
            (
                Observed { unbuilt: Some("no x"), ..seen(Phase::Invalid) },
                (Phase::Invalid, 5),
                Some("no x"),
                false,
            ),
            (
                Observed { unbuilt: Some("no x"), ..runs(Phase::Running, 1) },
                (Phase::Running, 5),
                Some("generation 2 cannot be built, the one before runs on: no x"),
                true,
            ),
            (
                Observed { desired: Some(&never), ..seen(Phase::Pending) },
                (Phase::Invalid, 5),
                Some("its file is refused: (1,1) no"),
                false,
            ),
            (
                Observed { desired: Some(&refused), ..runs(Phase::Running, 2) },
                (Phase::Running, 5),
                Some("its file is refused: (1,1) no; what it said before still counts"),
                true,
            ),
            (
                Observed { desired: Some(&flunked), ..runs(Phase::Running, 2) },
                (Phase::Degraded, 5),
                Some("it failed its probation, and no generation before it ran as it should: no"),
                true,
            ),
            (
                Observed { desired: Some(&flunked), ..runs(Phase::Running, 1) },
                (Phase::Running, 5),
                None,
                true,
            ),
            (seen(Phase::Paused), (Phase::Paused, 5), None, false),
            (seen(Phase::Completed), (Phase::Completed, 5), None, false),
        ];
        for (row, (seen, place, reason, active)) in table.iter().enumerate() {
            let got = judge(seen);
            let got = ((got.phase, got.since), got.reason.as_deref(), got.active);
            assert_eq!(got, (*place, *reason, *active), "row {row}");
        }
    }

    #[test]
    fn the_last_error_is_the_connections_while_one_is_down_and_retries_are_only_told_while_waiting() {
        let failure = LastError { time: 1, path: None, message: "it broke".into(), count: 3 };
        let down = [link("output", Some("no route"))];
        let seen = Observed {
            stage: (Phase::Running, 5),
            running: Some(1),
            failure: Some(&failure),
            next_retry: Some(9),
            ..Observed::default()
        };
        let got = judge(&seen);
        assert_eq!((got.last_error, got.next_retry), (Some(failure.clone()), None));
        let fault = LastError { time: 2, path: Some("output".into()), message: "no".into(), count: 9 };
        let seen = Observed { fault: Some(&fault), ..seen };
        assert_eq!(judge(&seen).last_error, Some(fault.clone()));
        let got = judge(&Observed { links: &down, ..seen }).last_error.unwrap();
        assert_eq!((got.time, got.path.as_deref(), got.count), (7, Some("output"), 2));
    }

    #[test]
    fn what_the_api_changed_of_a_files_stream_is_drift() {
        let over =
            Override { actor: "ann".into(), at: 3, reason: Some("a test".into()), ..Override::default() };
        let desired = Desired { fingerprint: "f".into(), overridden: Some(over), ..Desired::default() };
        let got = judge(&Observed { desired: Some(&desired), ..Observed::default() }).conditions;
        let message = "ann changed it over the API, its file says otherwise: a test".to_owned();
        assert_eq!(got, [Condition { kind: "Drifted", since: 3, message }]);
    }
}

//! What has to be done: a pure function of what is desired and what is.

use crate::record::{Desired, Key, Wanted};
use std::{cmp::Ordering, collections::BTreeMap};

/// A spec's generation and the number of its run.
pub type Run = (u64, u64);

/// What one key should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The generation and run.
    pub run: Run,
    /// Whether it should run.
    pub wanted: Wanted,
    /// Whether that run has already ended by itself.
    pub completed: bool,
    /// Whether that run must not start.
    pub quarantined: bool,
}

impl Want {
    /// What a record asks for; `None` for a record that only remembers a deletion or a bad file.
    pub fn of(desired: &Desired) -> Option<Self> {
        (desired.is_present() && desired.has_spec()).then(|| Self {
            run: (desired.generation, desired.run.number),
            wanted: desired.run.wanted,
            completed: desired.is_completed(),
            quarantined: desired.in_quarantine().is_some(),
        })
    }
}

/// What one key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Have {
    /// What runs.
    pub running: Option<Run>,
    /// The run that failed last, and whether its wait is over.
    pub failed: Option<(Run, bool)>,
    /// The run that could not be built, and whether something changed since that may help.
    pub invalid: Option<(Run, bool)>,
    /// Whether what runs uses a resource that is gone.
    pub lacking: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Build and start.
    Start,
    /// Build, stop the old, start the new.
    Replace,
    /// Stop.
    Stop,
    /// Start again after a failure.
    Restart,
    /// Nothing.
    None,
}

/// What to do about one key.
pub fn decide(want: Option<&Want>, have: &Have) -> Action {
    let stop = if have.running.is_some() { Action::Stop } else { Action::None };
    let Some(want) = want else { return stop };
    if want.wanted == Wanted::Paused
        || want.completed
        || want.quarantined
        || (have.lacking && have.running.is_some())
    {
        return stop;
    }
    if have.running == Some(want.run) {
        return Action::None;
    }
    if have.invalid.is_some_and(|(run, may_help)| run == want.run && !may_help) {
        return Action::None;
    }
    if have.running.is_some() {
        return Action::Replace;
    }
    match have.failed {
        Some((run, due)) if run == want.run => {
            if due {
                Action::Restart
            } else {
                Action::None
            }
        }
        _ => Action::Start,
    }
}

/// What to do about all keys, resources first; keys with nothing to do are left out.
pub fn diff(desired: &BTreeMap<Key, Want>, running: &BTreeMap<Key, Have>) -> Vec<(Key, Action)> {
    let mut actions = Vec::new();
    let (mut wants, mut haves) = (desired.iter().peekable(), running.iter().peekable());
    loop {
        let order = match (wants.peek(), haves.peek()) {
            (None, None) => return actions,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((want, _)), Some((have, _))) => want.cmp(have),
        };
        let want = if order == Ordering::Greater { None } else { wants.next() };
        let have = if order == Ordering::Less { None } else { haves.next() };
        let Some(key) = want.map(|(key, _)| key).or(have.map(|(key, _)| key)) else { return actions };
        let action = decide(want.map(|(_, want)| want), have.map_or(&Have::default(), |(_, have)| have));
        if action != Action::None {
            actions.push((key.clone(), action));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Run = (1, 1);
    const NEW: Run = (2, 1);

    fn want(wanted: Wanted, completed: bool) -> Want {
        Want { run: NEW, wanted, completed, quarantined: false }
    }

    fn all_haves() -> Vec<Have> {
        let mut all = Vec::new();
        for running in [None, Some(OLD), Some(NEW)] {
            for failed in [None, Some((OLD, true)), Some((OLD, false)), Some((NEW, true)), Some((NEW, false))]
            {
                for invalid in [None, Some((OLD, false)), Some((NEW, true)), Some((NEW, false))] {
                    all.push(Have { running, failed, invalid, lacking: false });
                }
            }
        }
        all
    }

    #[test]
    fn what_is_gone_paused_or_completed_is_stopped_if_it_runs_and_never_started() {
        let wants = [
            None,
            Some(want(Wanted::Paused, false)),
            Some(want(Wanted::Paused, true)),
            Some(want(Wanted::Running, true)),
        ];
        for have in all_haves() {
            for want in &wants {
                let expected = if have.running.is_some() { Action::Stop } else { Action::None };
                assert_eq!(decide(want.as_ref(), &have), expected, "{want:?} {have:?}");
            }
        }
    }

    #[test]
    fn what_lacks_a_resource_is_stopped_and_then_tried_like_anything_else() {
        for have in all_haves() {
            let lacking = Have { lacking: true, ..have };
            let want = want(Wanted::Running, false);
            let expected = if have.running.is_some() { Action::Stop } else { decide(Some(&want), &have) };
            assert_eq!(decide(Some(&want), &lacking), expected, "{have:?}");
        }
    }

    #[test]
    fn what_runs_as_wanted_is_never_touched() {
        for have in all_haves().into_iter().filter(|have| have.running == Some(NEW)) {
            assert_eq!(decide(Some(&want(Wanted::Running, false)), &have), Action::None, "{have:?}");
        }
    }

    #[test]
    fn what_could_not_be_built_waits_until_something_may_help_and_the_old_runs_on() {
        let unbuildable = all_haves().into_iter().filter(|have| have.invalid == Some((NEW, false)));
        for have in unbuildable {
            assert_eq!(decide(Some(&want(Wanted::Running, false)), &have), Action::None, "{have:?}");
        }
    }

    #[test]
    fn an_old_run_is_replaced() {
        for have in all_haves() {
            if have.running == Some(OLD) && have.invalid != Some((NEW, false)) {
                assert_eq!(decide(Some(&want(Wanted::Running, false)), &have), Action::Replace, "{have:?}");
            }
        }
    }

    #[test]
    fn a_failed_run_restarts_when_due_and_another_generation_starts_at_once() {
        for have in all_haves() {
            if have.running.is_some() || have.invalid == Some((NEW, false)) {
                continue;
            }
            let expected = match have.failed {
                Some((NEW, true)) => Action::Restart,
                Some((NEW, false)) => Action::None,
                _ => Action::Start,
            };
            assert_eq!(decide(Some(&want(Wanted::Running, false)), &have), expected, "{have:?}");
        }
    }

    #[test]
    fn a_whole_set_names_each_key_once_resources_first() {
        use crate::record::Kind;
        let wanted = want(Wanted::Running, false);
        let desired: BTreeMap<_, _> = [
            (Key::stream("kept"), wanted),
            (Key::stream("new"), wanted),
            (Key::stream("changed"), wanted),
            (Key::new(Kind::Cache, "c"), wanted),
        ]
        .into();
        let runs = |run| Have { running: Some(run), ..Have::default() };
        let running: BTreeMap<_, _> = [
            (Key::stream("kept"), runs(NEW)),
            (Key::stream("changed"), runs(OLD)),
            (Key::stream("gone"), runs(OLD)),
        ]
        .into();
        let expected = [
            (Key::new(Kind::Cache, "c"), Action::Start),
            (Key::stream("changed"), Action::Replace),
            (Key::stream("gone"), Action::Stop),
            (Key::stream("new"), Action::Start),
        ];
        assert_eq!(diff(&desired, &running), expected);
    }
}

//! Progress: whether a stream sends what its config promises, and whether what it reads goes through at all.

use crate::{
    log::say,
    reconcile::Shared,
    record::{self, Key},
    runtime::{Ended, Expect, Running},
    status::Phase,
    table::{Slot, ask},
};
use std::time::Duration;
use tokio::time::Instant;

/// What waits this long makes no progress, unless something else was sent meanwhile.
const STUCK: Duration = Duration::from_mins(10);
/// What waits this long is watched.
const WATCHED: Duration = Duration::from_mins(1);

/// What is watched of a run.
pub(crate) struct Progress {
    /// The run.
    token: u64,
    sent: u64,
    /// When the last message was seen to be sent.
    since: Instant,
    /// The promise that is broken.
    pub(crate) silent: Option<Duration>,
    /// Since when nothing goes through, in milliseconds since 1970.
    pub(crate) stuck: Option<u64>,
}

impl Progress {
    /// Takes in how many messages were sent so far.
    fn note(&mut self, sent: u64) {
        if sent != self.sent {
            (self.sent, self.since) = (sent, Instant::now());
        }
    }

    fn judge(&mut self, expect: Option<Expect>, oldest: Option<Duration>) {
        let quiet = self.since.elapsed();
        self.silent = expect.map(|expect| expect.output_every).filter(|promised| quiet >= *promised);
        let is_stuck = oldest.is_some_and(|oldest| oldest >= STUCK) && quiet >= STUCK.saturating_sub(WATCHED);
        self.stuck = is_stuck.then(|| self.stuck.unwrap_or_else(record::now));
    }
}

impl Shared {
    /// Looks whether a run keeps its promise, and with `all` also at one that made none; whether it is to start again.
    pub(crate) fn look_at_progress(&self, key: &Key, slot: &mut Slot, all: bool) -> bool {
        let live = slot.live.as_ref().filter(|_| slot.phase == Phase::Running && slot.ended.is_none());
        let Some(live) = live else {
            slot.progress = None;
            return false;
        };
        let expect = live.expect;
        if expect.is_none() && !all {
            return false;
        }
        let oldest = ask(Some(&live.running), Running::oldest);
        if expect.is_none() && oldest.is_none_or(|oldest| oldest < WATCHED) {
            slot.progress = None;
            return false;
        }
        let sent = ask(Some(&live.running), Running::counters).sent;
        let token = live.token;
        // What a run promised is due from its start; what it only reads, from when that was seen.
        let since = if expect.is_some() { live.started } else { Instant::now() };
        let mut progress = slot
            .progress
            .take()
            .filter(|progress| progress.token == token)
            .unwrap_or_else(|| Box::new(Progress { token, sent: 0, since, silent: None, stuck: None }));
        let was_stuck = progress.stuck.is_some();
        progress.note(sent);
        progress.judge(expect, oldest);
        let (silent, stuck) = (progress.silent, progress.stuck.is_some());
        slot.progress = Some(progress);
        if stuck && !was_stuck {
            say!(warn, key, "what it reads does not go through");
        }
        if silent.is_some() == (slot.told == Phase::Stalled) {
            return false;
        }
        self.tell_phase(key, slot);
        let (Some(_), Some(expect)) = (silent, expect) else { return false };
        if expect.restart {
            let reason = slot.view(key, false).status.reason.unwrap_or_default();
            slot.ended = Some(Ended::Failed(format!("{reason}, which its config does not allow")));
        }
        expect.restart
    }
}

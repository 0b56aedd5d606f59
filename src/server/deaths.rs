//! Deaths of the process: whoever was at work is a suspect, and who is one more often than all others is quarantined.

use serde::{Deserialize, Serialize};
use signal_hook::{consts::SIGABRT, flag, low_level::pipe};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
};
use weir_control::{record, service::Service, store::StoreError};
use weir_engine::marks::{Found, Marks};

/// Deaths further apart have nothing to do with each other, in milliseconds.
const TOGETHER: u64 = 10 * 60 * 1000;
/// Aborts that quarantine the stream that was at work in most of them.
const ABORTS: usize = 2;
/// The same where the process may have been killed by anybody.
const KILLS: usize = 3;
/// Deaths that are remembered.
const KEPT: usize = 20;

/// One death.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Death {
    /// When the next process found it, in milliseconds since 1970.
    time: u64,
    /// Whether the process ended itself.
    aborted: bool,
    suspects: Vec<Suspect>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Suspect {
    stream: String,
    generation: u64,
    path: String,
}

impl From<Found> for Suspect {
    fn from(Found { stream, generation, path }: Found) -> Self {
        Self { stream, generation, path }
    }
}

/// Watches over a process that keeps its state in a folder.
pub(crate) struct Watch {
    folder: PathBuf,
    /// Where threads leave their marks.
    pub(crate) marks: Arc<Marks>,
    deaths: Vec<Death>,
}

/// The suspects, one a stream.
fn suspects(found: Vec<Found>) -> Vec<Suspect> {
    let mut all: Vec<Suspect> = found.into_iter().map(Suspect::from).collect();
    all.sort_by(|a, b| (&a.stream, a.generation).cmp(&(&b.stream, b.generation)));
    all.dedup_by(|a, b| (&a.stream, a.generation) == (&b.stream, b.generation));
    all
}

/// Who is to be kept from running after the last of these deaths, and why: of those that were at work then, the one
/// that was at work in more of them than any other.
fn culprit(deaths: &[Death], now: u64) -> Option<(&Suspect, String)> {
    let same = |a: &Suspect, b: &Suspect| (&a.stream, a.generation) == (&b.stream, b.generation);
    let recent = || deaths.iter().filter(|death| now.saturating_sub(death.time) <= TOGETHER);
    let seen = |suspect: &Suspect| {
        let of_it = recent().filter(|death| death.suspects.iter().any(|one| same(one, suspect)));
        of_it.fold((0, 0), |(all, aborted), death| (all + 1, aborted + usize::from(death.aborted)))
    };
    let suspects = &deaths.last()?.suspects;
    let suspect = suspects.iter().max_by_key(|suspect| seen(suspect).0)?;
    let (all, aborted) = seen(suspect);
    let others = suspects.iter().filter(|other| !same(other, suspect));
    let is_alone = others.into_iter().all(|other| seen(other).0 < all);
    (is_alone && (aborted >= ABORTS || all >= KILLS)).then(|| {
        let path = &suspect.path;
        let reason = format!(
            "the process died {all} times within ten minutes while this stream was at work, at last in {path}"
        );
        (suspect, reason)
    })
}

impl Watch {
    /// Looks back at how the process before ended, and begins to watch this one.
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let (marks, byte, stopping) = (folder.join("marks"), folder.join("aborted"), folder.join("stopping"));
        let mut deaths: Vec<Death> = fs::read(folder.join("deaths"))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let aborted = fs::metadata(&byte).is_ok_and(|file| file.len() > 0);
        // Whoever is killed while it stops was not quick enough for somebody.
        let was_told = stopping.exists() && !aborted;
        if let (Ok(found), false) = (Marks::read(&marks), was_told) {
            let death = Death { time: record::now(), aborted, suspects: suspects(found) };
            let at_work: Vec<String> =
                death.suspects.iter().map(|one| format!("stream '{}' in {}", one.stream, one.path)).collect();
            let at_work = if at_work.is_empty() { "no stream".into() } else { at_work.join(", ") };
            tracing::warn!(aborted, "The process before this one died; at work was {at_work}");
            deaths.push(death);
            deaths.drain(..deaths.len().saturating_sub(KEPT));
        }
        match fs::remove_file(&stopping) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let watch = Self { marks: Marks::create(&marks)?, folder: folder.to_owned(), deaths };
        watch.remember()?;
        let file = fs::OpenOptions::new().create(true).append(true).open(&byte)?;
        file.set_len(0)?;
        // The byte that is written there is all that an abort leaves behind.
        pipe::register(SIGABRT, file)?;
        // One that comes from outside has to end the process all the same.
        flag::register_conditional_default(SIGABRT, Arc::new(AtomicBool::new(true)))?;
        Ok(watch)
    }

    fn remember(&self) -> io::Result<()> {
        fs::write(self.folder.join("deaths"), serde_json::to_vec(&self.deaths)?)
    }

    /// Keeps the culprit from running, if there is one.
    pub(crate) async fn judge(&mut self, service: &Service) -> Result<(), StoreError> {
        let Some((suspect, reason)) = culprit(&self.deaths, record::now()) else { return Ok(()) };
        let suspect = suspect.clone();
        service.quarantine(&suspect.stream, suspect.generation, reason).await?;
        // Once it is freed it begins with a clean sheet.
        let is_it = |one: &Suspect| (&one.stream, one.generation) == (&suspect.stream, suspect.generation);
        self.deaths.retain(|death| !death.suspects.iter().any(is_it));
        self.remember().unwrap_or_else(|error| tracing::warn!("Deaths cannot be remembered: {error}"));
        Ok(())
    }

    /// The process was told to end: from now on only an end by itself is a death.
    pub(crate) fn stopping(&self) {
        if let Err(error) = fs::write(self.folder.join("stopping"), "") {
            tracing::debug!("A kill from now on will be taken for a death: {error}");
        }
    }

    /// The process ends as it should.
    pub(crate) fn end(self) {
        if let Err(error) = fs::remove_file(self.folder.join("marks")) {
            tracing::warn!("The next start will take this end for a death: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_at_work_in_two_aborts_or_three_deaths_and_in_more_than_others_is_the_culprit() {
        let suspect =
            |stream: &str, generation| Suspect { stream: stream.into(), generation, path: "input".into() };
        let death = |time, aborted, suspects: Vec<Suspect>| Death { time, aborted, suspects };
        let (a, b) = (suspect("a", 1), suspect("b", 1));
        let (abort, kill) =
            (|time| death(time, true, vec![a.clone()]), |time| death(time, false, vec![a.clone()]));
        let now = TOGETHER + 10;
        let table = [
            (vec![], false),
            (vec![abort(20)], false),
            (vec![abort(20), abort(30)], true),
            (vec![abort(5), abort(30)], false),
            (vec![kill(20), kill(30)], false),
            (vec![kill(20), abort(30)], false),
            (vec![kill(20), abort(30), kill(40)], true),
            (vec![abort(20), death(25, true, vec![b.clone()]), abort(30)], true),
            (vec![abort(20), death(30, true, vec![a.clone(), b.clone()])], true),
            (
                vec![
                    death(20, true, vec![a.clone(), b.clone()]),
                    death(30, true, vec![a.clone(), b.clone()]),
                ],
                false,
            ),
            (vec![death(20, true, vec![b.clone()]), death(30, true, vec![a.clone(), b.clone()])], true),
            (vec![abort(20), abort(30), death(40, true, vec![])], false),
            (vec![abort(20), death(30, true, vec![suspect("a", 2)])], false),
        ];
        for (row, (deaths, expected)) in table.iter().enumerate() {
            assert_eq!(culprit(deaths, now).is_some(), *expected, "row {row}");
        }
        // Several threads of one stream are one suspect.
        let found = |path: &str| Found { stream: "a".into(), generation: 1, path: path.into() };
        assert_eq!(suspects(vec![found("input"), found("output")]), [a]);
    }
}

//! The flight record: what happened to each stream lately, in two files that outlive the process.

use crate::api::event;
use serde_json::Value;
use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use weir_control::events::{Event, Events, Read};

/// Events that are written at once.
const TOGETHER: usize = 1000;
/// What comes within this is written together.
const PAUSE: Duration = Duration::from_millis(20);
/// Bytes of a file, after which another is begun and the one before it goes.
const LENGTH: u64 = 8 << 20;
/// Entries that are shown of a stream.
const SHOWN: usize = 100;

/// Where the record is kept.
#[derive(Clone)]
pub(crate) struct Flight {
    new: PathBuf,
    old: PathBuf,
}

impl Flight {
    /// A record in a state folder.
    pub(crate) fn new(state: &Path) -> Self {
        Self { new: state.join("flight.jsonl"), old: state.join("flight.old.jsonl") }
    }

    /// Writes what happens until there is no more.
    pub(crate) async fn keep(self, events: Arc<Events>) {
        let mut at = 0;
        loop {
            match events.after(at, TOGETHER) {
                Read::Next(next) => {
                    at = next.last().map_or(at, |last| last.id);
                    let to = self.clone();
                    let written = tokio::task::spawn_blocking(move || to.write(&next)).await;
                    if let Ok(Err(error)) = written {
                        tracing::debug!("The flight record lacks something: {error}");
                    }
                }
                Read::Nothing => {
                    events.wait(at, Duration::from_hours(1)).await;
                    tokio::time::sleep(PAUSE).await;
                }
                Read::Missed => at = events.before_oldest(),
                Read::Over => return,
            }
        }
    }

    fn write(&self, events: &[Event]) -> io::Result<()> {
        if fs::metadata(&self.new).is_ok_and(|file| file.len() > LENGTH) {
            fs::rename(&self.new, &self.old)?;
        }
        let lines = events.iter().fold(String::new(), |lines, one| lines + &event(one).to_string() + "\n");
        OpenOptions::new().create(true).append(true).open(&self.new)?.write_all(lines.as_bytes())
    }

    /// The last entries of a stream, oldest first; blocks.
    pub(crate) fn of(&self, stream: &str) -> Vec<Value> {
        let mark = format!("\"stream\":{}", Value::from(stream));
        let mut found = Vec::new();
        for file in [&self.old, &self.new] {
            let text = fs::read_to_string(file).unwrap_or_default();
            let of_it = text.lines().filter(|line| line.contains(&mark));
            // A line that was cut by a crash is left out.
            found.extend(of_it.filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        }
        found.retain(|entry| entry["stream"] == stream);
        found.drain(..found.len().saturating_sub(SHOWN));
        found
    }
}

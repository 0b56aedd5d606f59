//! The flight record: what happened to each stream lately, in two files that outlive the process.

use crate::api::event;
use serde::Deserialize;
use serde_json::Value;
use std::{
    borrow::Cow,
    collections::HashMap,
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
/// Bytes of the file that is written to, after which the last entries of each stream are put by.
const LENGTH: u64 = 8 << 20;
/// The most bytes of those that were put by.
const PUT_BY: usize = 16 << 20;
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
            self.put_by()?;
        }
        // Each line begins with its end of line: one that a crash cut does not spoil the next.
        let lines = events.iter().fold(String::new(), |lines, one| lines + "\n" + &event(one).to_string());
        OpenOptions::new().create(true).append(true).open(&self.new)?.write_all(lines.as_bytes())
    }

    /// Puts the last entries of each stream by, so that one that is seldom heard of is not crowded out by others.
    fn put_by(&self) -> io::Result<()> {
        let text = read(&self.old) + &read(&self.new);
        let part = self.old.with_extension("part");
        let mut file = fs::File::create(&part)?;
        file.write_all(latest(&text, PUT_BY).as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, &self.old)?;
        fs::remove_file(&self.new)
    }

    /// The last entries of a stream, oldest first; blocks.
    pub(crate) fn of(&self, stream: &str) -> Vec<Value> {
        let mark = format!("\"stream\":{}", Value::from(stream));
        let mut found = Vec::new();
        for file in [&self.old, &self.new] {
            let text = read(file);
            let of_it = text.lines().filter(|line| line.contains(&mark));
            // A line that was cut by a crash is left out.
            found.extend(of_it.filter_map(|line| serde_json::from_str::<Value>(line).ok()));
        }
        found.retain(|entry| entry["stream"] == stream);
        // A crash while entries were put by leaves some twice.
        found.sort_by_key(|entry| entry["id"].as_u64());
        found.dedup_by_key(|entry| entry["id"].as_u64());
        found.drain(..found.len().saturating_sub(SHOWN));
        found
    }
}

/// A file's text; of one that a crash cut in the middle of a character, all but that.
fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// Whose a line is, and what it tells.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    stream: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
}

/// The last lines of each stream and resource, as many of each as fit into so many bytes, at most those that are shown.
/// Where room is short, those that are gone go first, and then the oldest.
fn latest(text: &str, bytes: usize) -> String {
    let lines: Vec<(&str, Line<'_>)> =
        text.lines().filter_map(|line| Some((line, serde_json::from_str(line).ok()?))).collect();
    let mut gone = HashMap::new();
    for (_, Line { stream, resource, kind }) in &lines {
        // One that was deleted still stops.
        if let Some(kind @ ("changed" | "deleted")) = kind.as_deref() {
            gone.insert((stream, resource), kind == "deleted");
        }
    }
    let (mut each, mut with_gone) = (SHOWN, true);
    loop {
        let mut seen: HashMap<_, usize> = HashMap::new();
        let (mut kept, mut length) = (Vec::new(), 0);
        for (line, Line { stream, resource, .. }) in lines.iter().rev() {
            let whose = (stream, resource);
            let is_left_out = !with_gone && gone.get(&whose) == Some(&true);
            let count = seen.entry(whose).or_default();
            if *count == each || is_left_out || (each == 1 && length + line.len() >= bytes) {
                continue;
            }
            *count += 1;
            length += line.len() + 1;
            kept.push(*line);
        }
        if length <= bytes || each == 1 {
            return kept.iter().rev().fold(String::with_capacity(length), |text, line| text + line + "\n");
        }
        if !std::mem::replace(&mut with_gone, false) {
            each /= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_seldom_heard_of_is_not_crowded_out() {
        let line = |id: usize, stream: &str| format!("{{\"id\":{id},\"stream\":\"{stream}\"}}\n");
        let loud: String = (1..=500).map(|id| line(id, "loud")).collect();
        let text = format!("{}{loud}cut", line(0, "quiet"));
        let kept = latest(&text, PUT_BY);
        assert_eq!(kept.lines().count(), SHOWN + 1);
        assert!(kept.starts_with(&line(0, "quiet")) && kept.ends_with(&line(500, "loud")));
        let gone = "{\"id\":501,\"stream\":\"gone\",\"type\":\"deleted\"}\n\
                    {\"id\":502,\"stream\":\"gone\",\"type\":\"phase\"}\n";
        assert!(latest(&format!("{text}\n{gone}"), PUT_BY).ends_with(gone));
        assert!(!latest(&format!("{text}\n{gone}"), kept.len()).contains("gone"));
        let many: String = (0..1000).map(|id| line(id, &format!("s{id}"))).collect();
        let some = latest(&many, many.len() / 2);
        assert!(some.len() > many.len() / 3 && some.ends_with(&line(999, "s999")), "{}", some.len());
        let less = latest(&text, kept.len() / 3);
        assert!(less.starts_with(&line(0, "quiet")) && less.ends_with(&line(500, "loud")));
        assert!(less.len() <= kept.len() / 3, "{}", less.len());
    }
}

//! A line that one component repeats is logged ten times a minute, then counted.

use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};
use tokio::time::Instant;
use tracing::Level;

/// How often a line is logged within a window.
const LINES: u32 = 10;
/// How long a window is.
const WINDOW: Duration = Duration::from_mins(1);
/// Lines that are remembered; more are logged as they come.
const KNOWN: usize = 4096;

/// A line: its level and its fields.
type Line = (Level, Map<String, Value>);

/// What was logged of late.
#[derive(Debug, Default)]
pub(super) struct Limiter {
    hasher: RandomState,
    known: HashMap<u64, Known>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    count: u32,
    /// The first line that was left out, with how many were.
    left_out: Option<(Line, u64)>,
}

impl Known {
    /// What was left out, as one line that says so.
    fn sum(&mut self) -> Option<Line> {
        let ((level, mut fields), count) = self.left_out.take()?;
        fields.insert("left_out".into(), count.into());
        Some((level, fields))
    }
}

impl Limiter {
    /// The lines to write for one event: itself, unless it was repeated too often, and what may now be said of those
    /// that were left out.
    pub(super) fn admit(&mut self, level: Level, fields: Map<String, Value>, now: Instant) -> Vec<Line> {
        let mut lines = self.sweep(now);
        // What a `log` processor says is data of its stream.
        if !fields.contains_key("path") || fields.contains_key("custom_source") {
            lines.push((level, fields));
            return lines;
        }
        let words =
            ["stream", "path", "label", "message"].map(|name| fields.get(name).and_then(Value::as_str));
        let key = self.hasher.hash_one(words);
        if self.known.len() >= KNOWN && !self.known.contains_key(&key) {
            lines.push((level, fields));
            return lines;
        }
        let known = self.known.entry(key).or_insert(Known { since: now, count: 0, left_out: None });
        known.count += 1;
        if known.count <= LINES {
            lines.push((level, fields));
        } else {
            known.left_out.get_or_insert(((level, fields), 0)).1 += 1;
        }
        lines
    }

    /// Forgets lines whose window is over.
    fn sweep(&mut self, now: Instant) -> Vec<Line> {
        let swept = *self.swept.get_or_insert(now);
        if now - swept < WINDOW {
            return Vec::new();
        }
        self.swept = Some(now);
        let mut lines = Vec::new();
        self.known.retain(|_, known| {
            let over = now - known.since >= WINDOW;
            if over {
                lines.extend(known.sum());
            }
            !over
        });
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(path: &str, text: &str) -> Map<String, Value> {
        let fields = [("path", path), ("message", text)].into_iter().filter(|(_, value)| !value.is_empty());
        fields.map(|(name, value)| (name.to_owned(), value.into())).collect()
    }

    #[test]
    fn a_repeated_line_is_logged_ten_times_and_then_counted() {
        let (mut limiter, begin) = (Limiter::default(), Instant::now());
        let mut logged = |after: u64, path: &str, text: &str| {
            limiter.admit(Level::ERROR, fields(path, text), begin + Duration::from_secs(after))
        };
        let count = (0..100).map(|_| logged(0, "root.input", "no connection").len()).sum::<usize>();
        assert_eq!(count, 10);
        assert_eq!(logged(1, "root.output", "no connection").len(), 1, "another component");
        assert_eq!(logged(1, "root.input", "another text").len(), 1);
        assert_eq!((0..100).map(|_| logged(1, "", "of the server").len()).sum::<usize>(), 100);
        let later = logged(61, "root.input", "no connection");
        assert_eq!(later.len(), 2);
        assert_eq!(later[0].1["left_out"], 90);
        assert_eq!(later[1].1.get("left_out"), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut limiter, now) = (Limiter::default(), Instant::now());
        for number in 0..2 * KNOWN {
            assert_eq!(limiter.admit(Level::WARN, fields("root", &number.to_string()), now).len(), 1);
        }
        assert_eq!(limiter.known.len(), KNOWN);
    }
}

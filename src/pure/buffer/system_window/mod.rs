//! `system_window`: batches of the messages of one window of time.

mod waiting;

use self::waiting::{Batch, Waiting, Window};
use crate::{log::Log, scratch::with_scratch};
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::sync::Notify;
use weir_bloblang::{Kind, Mapped, Message, Num, Timestamp, Value};
use weir_core::{
    buffer::Buffer,
    build_error::BuildError,
    duration,
    error::Error,
    expression::Mapping,
    field::Field,
    frame::Frame,
    input::Next,
    registry::BufferSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: BufferSpec = BufferSpec {
    name: "system_window",
    summary: "Makes a batch of the messages that belong to the same window of time.",
    description: "A window goes out when the clock has passed its end and `allowed_lateness`; its messages have the metadata \
                  `window_end_timestamp`. With `slide`, windows overlap and a message may be part of several. A message \
                  for a window that has gone out is dropped. Messages are acknowledged when their windows are delivered.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::mapping(
            "timestamp_mapping",
            "The time of a message: a number of seconds, an RFC 3339 text or a timestamp.",
        )
        .default("root = now()"),
        Field::duration("size", "How long a window is."),
        Field::duration("slide", "How long after a window the next begins; shorter than `size`.")
            .default("''"),
        Field::duration(
            "offset",
            "Moves all windows, which otherwise begin at full multiples of their size.",
        )
        .default("''"),
        Field::duration("allowed_lateness", "How long a window waits for late messages.").default("''"),
    ]),
    examples: &[Example { title: "A batch a minute", config: "size: 1m\nallowed_lateness: 5s" }],
    build: |node, context| {
        let config: Config = node.read()?;
        let windows = config.windows()?;
        Ok(Box::new(SystemWindow {
            windows,
            timestamp: config.timestamp_mapping,
            state: Mutex::default(),
            changed: Notify::new(),
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    timestamp_mapping: Mapping,
    size: String,
    slide: String,
    offset: String,
    allowed_lateness: String,
}

impl Config {
    fn windows(&self) -> Result<Windows, BuildError> {
        let parse = |name: &str, text: &str| {
            let failed =
                |error| BuildError::new(format!("failed to parse field '{name}' as duration: {error}"));
            if text.is_empty() && name != "size" {
                Ok(Duration::ZERO)
            } else {
                duration::parse(text).map_err(failed)
            }
        };
        let size = parse("size", &self.size)?;
        let slide = parse("slide", &self.slide)?;
        let offset = parse("offset", &self.offset)?;
        let lateness = parse("allowed_lateness", &self.allowed_lateness)?;
        let lower = |what: &str, value: Duration, than: &str, limit: Duration| {
            let (value, limit) = (duration::format(value), duration::format(limit));
            BuildError::new(format!("invalid {what} '{value}' must be lower than the {than} '{limit}'"))
        };
        if slide >= size {
            return Err(lower("window slide", slide, "size", size));
        }
        if offset >= size {
            return Err(lower("offset", offset, "size", size));
        }
        if !slide.is_zero() && offset >= slide {
            return Err(lower("offset", offset, "slide", slide));
        }
        if lateness >= size {
            return Err(lower("allowed_lateness", lateness, "size", size));
        }
        let nanos = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX >> 1);
        Ok(Windows {
            size: nanos(size),
            step: nanos(if slide.is_zero() { size } else { slide }),
            offset: nanos(offset),
            lateness: nanos(lateness),
        })
    }
}

/// Where windows lie, in nanoseconds since 1970. A window holds the times after its begin up to its end.
struct Windows {
    size: i128,
    /// From one end to the next.
    step: i128,
    offset: i128,
    lateness: i128,
}

/// Windows are counted from the year 1, as the reference does.
const YEAR_ONE: i128 = -62_135_596_800 * 1_000_000_000;

impl Windows {
    /// The first end that is not before a time.
    fn end_from(&self, time: i128) -> i128 {
        let origin = YEAR_ONE + self.offset;
        origin + -((origin - time).div_euclid(self.step)) * self.step
    }

    /// The end of the last window that has gone out, were everything on time.
    fn last_gone(&self, now: i128) -> i128 {
        self.end_from(now - self.lateness) - self.step
    }
}

struct SystemWindow {
    windows: Windows,
    timestamp: Mapping,
    state: Mutex<State>,
    changed: Notify,
    log: Log,
}

#[derive(Default)]
struct State {
    pending: Vec<Waiting>,
    /// The time of the oldest pending message.
    oldest: Option<i128>,
    /// The end of the newest window that has gone out.
    gone: Option<i128>,
    finished: bool,
}

fn now() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

impl SystemWindow {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time of a message.
    fn time_of(&self, batch: &[Message], index: usize) -> Result<i128, String> {
        let mapped = with_scratch(|scratch| self.timestamp.map(batch, index, scratch));
        let made = match mapped.map_err(|error| format!("timestamp mapping failed: {error}"))? {
            Mapped::Message(made) => made,
            Mapped::Dropped => return Err("timestamp mapping failed: the message was deleted".into()),
        };
        let found = match made.value() {
            Ok(value) => nanos(value),
            Err(_) => nanos(&Value::string(weir_bloblang::Text::new(made.content()))),
        };
        found.ok_or_else(|| "unable to parse result of timestamp mapping as timestamp".to_owned())
    }

    /// The times of the messages of a batch.
    fn times(&self, batch: &[Message]) -> Result<Vec<i128>, Error> {
        let times: Result<_, _> = (0..batch.len()).map(|index| self.time_of(batch, index)).collect();
        times.map_err(|text: String| {
            self.log.error(format_args!("Timestamp mapping failed for message: {text}"));
            Error::Failed(text)
        })
    }

    fn take(&self, frame: Frame) {
        let times = frame.batches().map(|(_, batch)| self.times(batch)).collect();
        let mut state = self.lock();
        // With nothing pending nobody waits for windows to end: the clock alone says which have.
        if state.pending.is_empty() {
            let gone = self.windows.last_gone(now());
            state.gone = Some(state.gone.map_or(gone, |known| known.max(gone)));
        }
        if let Some(waiting) = Waiting::new(frame, times, state.gone.unwrap_or(i128::MIN)) {
            state.oldest = state.oldest.into_iter().chain(waiting.oldest()).min();
            state.pending.push(waiting);
        }
    }

    /// The next window if its time has come, or how long to wait for it; none: for something to change.
    fn due(&self, state: &mut State) -> Result<Option<Frame>, Option<Duration>> {
        let Some(oldest) = state.oldest else { return Err(None) };
        let windows = &self.windows;
        let mut end = windows.end_from(oldest);
        if let Some(gone) = state.gone {
            end = end.max(gone + windows.step);
        }
        let wait = end + windows.lateness - now();
        if wait > 0 {
            // Looked at again now and then: the clock may be set.
            let wait = u64::try_from(wait).map_or(Duration::MAX, Duration::from_nanos);
            return Err(Some(wait.min(Duration::from_secs(30))));
        }
        state.gone = Some(end);
        let window = Window { begin: end - windows.size, end };
        let count = state.pending.iter().map(|waiting| waiting.count(window)).sum();
        let mut batch = Batch::new(count, Value::string(rfc3339(end).as_str()));
        state.oldest = None;
        // What waits no longer is freed at once: the batch needs its room.
        for mut waiting in mem::take(&mut state.pending) {
            waiting.give(window, window.begin + windows.step, &mut batch);
            if let Some(oldest) = waiting.oldest() {
                state.oldest = Some(state.oldest.map_or(oldest, |known| known.min(oldest)));
                state.pending.push(waiting);
            }
        }
        Ok(batch.into_frame())
    }
}

fn rfc3339(time: i128) -> String {
    let (seconds, nanos) = (time.div_euclid(1_000_000_000), time.rem_euclid(1_000_000_000));
    let stamp = i64::try_from(seconds).ok().zip(i64::try_from(nanos).ok());
    let stamp = stamp.and_then(|(seconds, nanos)| Timestamp::from_unix(seconds, nanos));
    stamp.map(|stamp| Value::Timestamp(Arc::new(stamp)).to_text().as_str().into_owned()).unwrap_or_default()
}

/// Nanoseconds of a value that is a point in time.
#[expect(clippy::cast_possible_truncation, reason = "a point in time fits")]
fn nanos(value: &Value) -> Option<i128> {
    if let Value::Timestamp(stamp) = value {
        return Some(stamp.unix_nanos());
    }
    match value.kind() {
        Kind::Number => Some(match value.as_number()? {
            Num::Int(seconds) => i128::from(seconds) * 1_000_000_000,
            Num::Uint(seconds) => i128::from(seconds) * 1_000_000_000,
            Num::Float(seconds) if seconds.is_finite() => (seconds * 1e9) as i128,
            Num::Float(_) => return None,
        }),
        _ => Timestamp::parse_rfc3339(&value.as_str()?).map(|stamp| stamp.unix_nanos()),
    }
}

#[async_trait]
impl Buffer for SystemWindow {
    async fn push(&self, frame: Frame) {
        self.take(frame);
        self.changed.notify_one();
    }

    async fn finish(&self) {
        let pending = {
            let mut state = self.lock();
            (state.finished, state.oldest) = (true, None);
            mem::take(&mut state.pending)
        };
        let error = Error::failed("message rejected as window did not complete");
        pending.into_iter().for_each(|waiting| waiting.fail(&error));
        self.changed.notify_one();
    }

    async fn pop(&self) -> Next {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let due = {
                let mut state = self.lock();
                if state.finished && state.pending.is_empty() {
                    return Next::End;
                }
                self.due(&mut state)
            };
            let wait = match due {
                Ok(Some(frame)) => return Next::Frame(frame),
                Ok(None) => continue,
                Err(wait) => wait,
            };
            tokio::select! {
                () = changed => {}
                () = async { match wait { Some(wait) => tokio::time::sleep(wait).await, None => std::future::pending().await } } => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    #[test]
    fn windows_end_at_multiples_of_their_size() {
        let windows = Windows { size: 10 * SECOND, step: 10 * SECOND, offset: 0, lateness: 2 * SECOND };
        assert_eq!(windows.end_from(1), 10 * SECOND);
        assert_eq!(windows.end_from(10 * SECOND), 10 * SECOND);
        assert_eq!(windows.end_from(10 * SECOND + 1), 20 * SECOND);
        assert_eq!(windows.last_gone(11 * SECOND), 0);
        assert_eq!(windows.last_gone(12 * SECOND + 1), 10 * SECOND);
        let moved = Windows { offset: 3 * SECOND, ..windows };
        assert_eq!(moved.end_from(SECOND), 3 * SECOND);
        assert_eq!(rfc3339(10 * SECOND), "1970-01-01T00:00:10Z");
    }

    #[test]
    fn times_have_three_forms() {
        assert_eq!(nanos(&Value::Int(2)), Some(2 * SECOND));
        assert_eq!(nanos(&Value::Float(0.5)), Some(SECOND / 2));
        assert_eq!(nanos(&Value::from("1970-01-01T00:00:03Z")), Some(3 * SECOND));
        assert_eq!(nanos(&Value::from("soon")), None);
    }
}

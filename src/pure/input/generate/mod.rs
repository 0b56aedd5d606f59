//! `generate`: messages made by a mapping, at an interval or as fast as they are taken.

mod cron;

use async_trait::async_trait;
use cron::Schedule;
use jiff::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};
use weir_bloblang::{Mapped, Message, Scratch};
use weir_core::{
    build_error::BuildError,
    error::Error,
    expression::Mapping,
    field::Field,
    frame::{MAX_BATCHES, MAX_BYTES},
    input::{InputComponent, Reader, Reading},
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "generate",
    summary: "Makes messages with a Bloblang mapping.",
    description: "The mapping sees an empty message. What it deletes is not counted. If it fails, it is tried again.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::mapping("mapping", "Makes the messages."),
        Field::string(
            "interval",
            "Time between batches: a duration such as `1s`, or a schedule in the notation of cron such as \
             `0 9 * * mon-fri`, `@hourly` or `@every 90s`, in UTC unless `TZ=Europe/London ` stands before it. \
             Empty: as fast as messages are taken. The first batch of a duration comes at once.",
        )
        .default("1s"),
        Field::int("count", "End after so many messages; 0: never.").default("0"),
        Field::int("batch_size", "Messages of each batch.").default("1"),
        Field::bool("auto_replay_nacks", "Whether messages that were not delivered are sent again; otherwise they \
                                          are lost.")
        .default("true"),
    ]),
    examples: &[Example { title: "Ten numbers", config: "mapping: root.n = counter()\ncount: 10\ninterval: ''" }],
    build: |node, _| Ok(InputComponent::Reader(Box::new(Generate::new(&node.read()?)?))),
};

#[derive(Deserialize)]
struct Config {
    mapping: String,
    interval: String,
    count: i64,
    batch_size: i64,
    auto_replay_nacks: bool,
}

struct Generate {
    mapping: Mapping,
    scratch: Scratch,
    pace: Pace,
    /// Messages still to be made; `None`: no limit.
    remaining: Option<u64>,
    batch_size: u64,
    replays: bool,
    /// Found after some batches were made; told by the next read.
    failed: Option<Error>,
}

enum Pace {
    Unlimited,
    /// The clock starts with the first read.
    Interval(Duration, Option<Interval>),
    Schedule {
        schedule: Schedule,
        last: Timestamp,
        due: Option<Instant>,
    },
}

impl Pace {
    fn parse(text: &str) -> Result<Self, BuildError> {
        if text.is_empty() {
            return Ok(Self::Unlimited);
        }
        match weir_core::duration::parse_signed(text) {
            Ok((negative, interval)) if negative || interval.is_zero() => Ok(Self::Unlimited),
            Ok((_, interval)) => Ok(Self::Interval(interval, None)),
            Err(no_duration) => match Schedule::parse(text) {
                Ok(schedule) => Ok(Self::Schedule { schedule, last: Timestamp::now(), due: None }),
                Err(no_schedule) => Err(BuildError::new(format!(
                    "failed to parse interval as duration string: {no_duration}, or as cron expression: {no_schedule}"
                ))),
            },
        }
    }

    /// Waits until the next batch is due. Cancel-safe.
    async fn wait(&mut self) {
        match self {
            Self::Unlimited => {}
            Self::Interval(period, clock) => {
                let clock = clock.get_or_insert_with(|| {
                    let mut clock = interval(*period);
                    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
                    clock
                });
                clock.tick().await;
            }
            Self::Schedule { schedule, last, due } => {
                if due.is_none() {
                    let Some(next) = schedule.next(*last) else { return std::future::pending().await };
                    let wait = Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default();
                    (*last, *due) = (next, Some(Instant::now() + wait));
                }
                if let Some(at) = *due {
                    sleep_until(at).await;
                }
                *due = None;
            }
        }
    }
}

impl Generate {
    fn new(config: &Config) -> Result<Self, BuildError> {
        let pace = Pace::parse(&config.interval)?;
        let mapping = Mapping::parse_placed(&config.mapping)?;
        Ok(Self {
            mapping,
            scratch: Scratch::default(),
            pace,
            remaining: u64::try_from(config.count).ok().filter(|count| *count > 0),
            batch_size: u64::try_from(config.batch_size).unwrap_or(0).max(1),
            replays: config.auto_replay_nacks,
            failed: None,
        })
    }

    /// Makes one batch; an empty one if the mapping deleted all of it.
    fn batch(&mut self) -> Result<Vec<Message>, Error> {
        let size = self.remaining.map_or(self.batch_size, |remaining| remaining.min(self.batch_size));
        let mut batch = Vec::with_capacity(usize::try_from(size).unwrap_or(1).min(1024));
        for _ in 0..size {
            match self.mapping.map(&batch, 0, &mut self.scratch) {
                Ok(Mapped::Message(message)) => batch.push(message),
                Ok(Mapped::Dropped) => {}
                Err(fault) => return Err(Error::Failed(fault.to_string())),
            }
        }
        if let Some(remaining) = &mut self.remaining {
            *remaining -= batch.len() as u64;
        }
        Ok(batch)
    }
}

#[async_trait]
impl Reader for Generate {
    async fn connect(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.remaining == Some(0) {
            return Err(Error::EndOfInput);
        }
        self.pace.wait().await;
        let mut wanted = if matches!(self.pace, Pace::Unlimited) { MAX_BATCHES } else { 1 };
        let mut made = 0;
        while made < wanted && self.remaining != Some(0) {
            made += 1;
            match self.batch() {
                Ok(batch) => {
                    // The first message tells how many fill a frame.
                    if reading.is_empty()
                        && let Some(first) = batch.first()
                    {
                        let size = first.len().max(1).saturating_mul(batch.len());
                        wanted = wanted.min((MAX_BYTES / size).max(1));
                    }
                    reading.messages.extend(batch);
                    reading.end_batch();
                }
                Err(error) if reading.is_empty() => return Err(error),
                Err(error) => {
                    self.failed = Some(error);
                    break;
                }
            }
        }
        if reading.is_empty() {
            // Everything was deleted: let others run before more is tried.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn replays(&self) -> bool {
        self.replays
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(mapping: &str, interval: &str, count: i64, batch_size: i64) -> Generate {
        let config = Config {
            mapping: mapping.into(),
            interval: interval.into(),
            count,
            batch_size,
            auto_replay_nacks: true,
        };
        Generate::new(&config).unwrap()
    }

    /// Sizes of the readings in batches, then all contents.
    async fn all(mut generate: Generate) -> (Vec<usize>, Vec<String>) {
        let (mut sizes, mut contents) = (Vec::new(), Vec::new());
        loop {
            let mut reading = Reading::default();
            match generate.read(&mut reading).await {
                Ok(()) => {
                    sizes.push(reading.ends.len());
                    contents.extend(
                        reading
                            .messages
                            .iter()
                            .map(|message| String::from_utf8_lossy(message.content()).into_owned()),
                    );
                }
                Err(error) => {
                    assert_eq!(error, Error::EndOfInput);
                    return (sizes, contents);
                }
            }
        }
    }

    #[tokio::test]
    async fn fills_frames_without_an_interval() {
        let (sizes, contents) = all(generate("root = \"x\"", "", 1000, 2)).await;
        assert_eq!(sizes, [256, 244]);
        assert_eq!(contents.len(), 1000);
        let (sizes, _) = all(generate("root = \"x\".repeat(100000)", "", 12, 1)).await;
        assert_eq!(sizes, [10, 2]);
    }

    #[tokio::test]
    async fn what_is_deleted_is_not_counted() {
        let mapping = "root = if counter() % 2 == 0 { deleted() } else { \"x\" }";
        let (_, contents) = all(generate(mapping, "0s", 3, 1)).await;
        assert_eq!(contents, ["x", "x", "x"]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_batch_of_an_interval_comes_at_once() {
        let began = Instant::now();
        let (sizes, contents) = all(generate("root = batch_size()", "10s", 4, 3)).await;
        assert_eq!(sizes, [1, 1]);
        assert_eq!(contents, ["0", "1", "2", "0"]);
        assert_eq!(began.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_tried_again() {
        let mut generate = generate("root = if counter() == 2 { throw(\"no\") } else { 1 }", "", 2, 1);
        let mut reading = Reading::default();
        generate.read(&mut reading).await.unwrap();
        assert_eq!(reading.ends.len(), 1);
        let error = generate.read(&mut Reading::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "failed assignment (line 1): no");
        generate.read(&mut reading).await.unwrap();
        assert_eq!(reading.ends.len(), 2);
    }
}

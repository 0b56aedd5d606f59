//! `subprocess`: runs a program and reads what it prints.

use crate::{
    framing::{Frames, Framing},
    subprocess,
};
use async_trait::async_trait;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    process::{Child, ChildStdout},
    time::{Instant, sleep_until},
};
use weir_bloblang::Message;
use weir_core::{
    error::Error,
    field::Field,
    frame::MAX_BATCHES,
    input::{InputComponent, Reader, Reading},
    log::Log,
    registry::InputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: InputSpec = InputSpec {
    name: "subprocess",
    summary: "Runs a program, and makes a message of each line that it prints.",
    description: "What it writes to its standard error is logged. The input ends with the program, unless \
                  `restart_on_exit` runs it again. A line that is not shorter than `max_buffer` ends the program. What \
                  was printed and not delivered when this process ends is lost.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::string("name", "The program."),
        Field::string("args", "Its arguments.").list().default("[]"),
        Field::string("codec", "How messages are told apart.").default("lines").options(&["lines"]),
        Field::bool("restart_on_exit", "Run the program again whenever it ends.").default("false"),
        Field::int("max_buffer", "The longest message, in bytes.").default("65536").advanced(),
    ]),
    examples: &[Example {
        title: "A log",
        config: "{ name: tail, args: [ -F, app.log ], restart_on_exit: true }",
    }],
    build: |node, context| {
        let config: Config = node.read()?;
        Ok(InputComponent::Reader(Box::new(Subprocess {
            config,
            running: None,
            started: None,
            log: Arc::new(Log::new(context)),
        })))
    },
};

#[derive(Deserialize)]
struct Config {
    name: String,
    args: Vec<String>,
    #[expect(dead_code, reason = "there is only one")]
    codec: String,
    restart_on_exit: bool,
    max_buffer: i64,
}

/// A program that ends at once is not started more often than this.
const PAUSE: Duration = Duration::from_millis(200);

struct Subprocess {
    config: Config,
    running: Option<(Child, Frames<ChildStdout>)>,
    started: Option<Instant>,
    log: Arc<Log>,
}

impl Subprocess {
    fn ended(&self) -> Error {
        if self.config.restart_on_exit { Error::NotConnected } else { Error::EndOfInput }
    }
}

#[async_trait]
impl Reader for Subprocess {
    async fn connect(&mut self) -> Result<(), Error> {
        if self.running.is_some() {
            return Ok(());
        }
        if let Some(started) = self.started {
            sleep_until(started + PAUSE).await;
        }
        let mut child = subprocess::start(&self.config.name, &self.config.args).map_err(Error::Failed)?;
        self.started = Some(Instant::now());
        drop(child.stdin.take());
        if let Some(errors) = child.stderr.take() {
            subprocess::log_lines(errors, Arc::clone(&self.log), tracing::Level::ERROR);
        }
        let output = child.stdout.take().ok_or(Error::Closed)?;
        let longest = usize::try_from(self.config.max_buffer).unwrap_or(0);
        self.running = Some((child, Frames::new(output, Framing::Lines, longest)));
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some((_, frames)) = &mut self.running else { return Err(self.ended()) };
        let mut next = frames.next().await;
        while let Ok(Some(line)) = next {
            reading.push(Message::new(line));
            next = match frames.ready() {
                Ok(None) => return Ok(()),
                _ if reading.ends.len() >= MAX_BATCHES => return Ok(()),
                ready => ready,
            };
        }
        let Some((mut child, _)) = self.running.take() else { return Err(self.ended()) };
        let failed = match next {
            Err(error) => {
                child.start_kill().ok();
                Some(format!("Failed to read subprocess output: {error}"))
            }
            Ok(_) => match tokio::time::timeout(PAUSE, child.wait()).await {
                Ok(Ok(status)) if !status.success() => {
                    Some(format!("Subprocess exited with error: {status}"))
                }
                _ => None,
            },
        };
        if let Some(reason) = failed {
            self.log.error(reason);
        }
        if reading.is_empty() { Err(self.ended()) } else { Ok(()) }
    }

    async fn close(&mut self) {
        // A program whose output nobody reads any more has nothing left to do.
        self.running = None;
    }
}

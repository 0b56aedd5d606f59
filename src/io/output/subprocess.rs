//! `subprocess`: runs a program and writes messages to its standard input.

use crate::{
    framing::Framing,
    subprocess::{end, log_lines, start},
};
use async_trait::async_trait;
use serde::Deserialize;
use std::sync::Arc;
use tokio::{io::AsyncWriteExt, process::Child, sync::Mutex};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    error::Error,
    field::Field,
    log::Log,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "subprocess",
    summary: "Runs a program and writes each message to it as a line.",
    description: "What the program prints is logged, and it is started again when it ends. A message counts as \
                  delivered when the pipe has taken it: what the program had not read when it ended is lost.",
    status: Status::Beta,
    body: Body::Fields(&[
        Field::string("name", "The program."),
        Field::string("args", "Its arguments.").list().default("[]"),
        Field::string("codec", "How messages are told apart.").default("lines").options(&["lines"]),
    ]),
    examples: &[Example { title: "A pager", config: "{ name: ./notify.sh, args: [ --quiet ] }" }],
    build: |node, context| {
        let config = node.read()?;
        let writer = Box::new(Subprocess {
            config,
            running: Mutex::default(),
            hard_stop: context.environment().hard_stop.clone(),
            log: Arc::new(Log::new(context)),
        });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

#[derive(Deserialize)]
struct Config {
    name: String,
    args: Vec<String>,
    #[expect(dead_code, reason = "there is only one")]
    codec: String,
}

struct Subprocess {
    config: Config,
    running: Mutex<Option<Child>>,
    hard_stop: CancellationToken,
    log: Arc<Log>,
}

#[async_trait]
impl Writer for Subprocess {
    async fn connect(&self) -> Result<(), Error> {
        let mut running = self.running.lock().await;
        let mut child = start(&self.config.name, &self.config.args).map_err(Error::Failed)?;
        if let Some(printed) = child.stdout.take() {
            log_lines(printed, Arc::clone(&self.log), tracing::Level::INFO);
        }
        if let Some(errors) = child.stderr.take() {
            log_lines(errors, Arc::clone(&self.log), tracing::Level::ERROR);
        }
        *running = Some(child);
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let mut running = self.running.lock().await;
        let Some(input) = running.as_mut().and_then(|child| child.stdin.as_mut()) else {
            return Err(Error::NotConnected.into());
        };
        let mut bytes = Vec::new();
        for message in batch {
            Framing::Lines.write(message.content(), &mut bytes).map_err(Error::from)?;
        }
        let written = tokio::select! {
            written = async { input.write_all(&bytes).await.and(input.flush().await) } => written,
            () = self.hard_stop.cancelled() => return Err(Error::Closed.into()),
        };
        if let Err(error) = written {
            self.log.error(format_args!("Subprocess ended: {error}"));
            *running = None;
            return Err(Error::NotConnected.into());
        }
        Ok(())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    async fn close(&self) {
        if let Some(child) = self.running.lock().await.take() {
            end(child).await;
        }
    }
}

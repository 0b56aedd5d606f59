//! `command`: runs a program for each message.

use crate::subprocess::start;
use async_trait::async_trait;
use serde::Deserialize;
use std::{io, os::unix::process::ExitStatusExt, process::ExitStatus, sync::Arc};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use weir_bloblang::{Message, Value};
use weir_core::{
    component::Component,
    error::Error,
    expression::{Interpolated, Mapping},
    field::Field,
    log::Log,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    scratch::with_scratch,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "command",
    summary: "Runs a program for each message, and replaces the message with what it prints.",
    description: "The message is the program's standard input. The metadata `exit_code` tells how it ended, and \
                  `command_stderr` what it wrote to its standard error. A message whose program fails is flagged and \
                  stays. Starting a program costs milliseconds: for many messages see `subprocess`.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("name", "The program.").interpolated(),
        Field::mapping("args_mapping", "A mapping that gives the list of its arguments.").optional(),
    ]),
    examples: &[Example { title: "Sort", config: "{ name: sort, args_mapping: '[ \"-r\" ]' }" }],
    build: |node, context| {
        let Config { name, args_mapping } = node.read()?;
        Ok(Box::new(Command {
            name,
            arguments: args_mapping,
            component: Arc::clone(context.component()),
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    name: Interpolated,
    args_mapping: Option<Mapping>,
}

/// The most that a program may print.
const LARGEST: u64 = 256 << 20;

struct Command {
    name: Interpolated,
    arguments: Option<Mapping>,
    component: Arc<Component>,
    hard_stop: CancellationToken,
    log: Log,
}

/// How a program ended, and what it printed.
struct Done {
    status: ExitStatus,
    printed: Vec<u8>,
    errors: Vec<u8>,
}

async fn all(source: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(LARGEST + 1).read_to_end(&mut bytes).await?;
    }
    if bytes.len() as u64 > LARGEST {
        return Err(io::Error::other(format!("it printed more than {LARGEST} bytes")));
    }
    Ok(bytes)
}

async fn run(name: &str, arguments: &[String], content: &[u8]) -> Result<Done, String> {
    let mut child = start(name, arguments)?;
    let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let write = async {
        if let Some(mut input) = input {
            // A program need not read what it is given.
            input.write_all(content).await.ok();
        }
        Ok(())
    };
    let (printed, errors, ()) =
        tokio::try_join!(all(output), all(errors), write).map_err(|error: io::Error| error.to_string())?;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    Ok(Done { status, printed, errors })
}

/// As the reference says it.
fn described(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal: {signal}"),
        (None, None) => status.to_string(),
    }
}

impl Command {
    fn arguments(&self, batch: &[Message], index: usize) -> Result<Vec<String>, String> {
        let Some(mapping) = &self.arguments else { return Ok(Vec::new()) };
        let value = with_scratch(|scratch| mapping.query(batch, index, scratch))
            .map_err(|error| format!("args mapping error: {error}"))?;
        match value.to_array() {
            Some(items) => Ok(items.iter().map(|item| item.to_text().to_string()).collect()),
            None => Err(format!("args mapping result error: expected array value, got {}", value.kind())),
        }
    }

    async fn work(&self, batch: &mut [Message], index: usize) {
        let prepared = self
            .name
            .resolve_string(batch, index)
            .map_err(|error| format!("name interpolation error: {error}"))
            .and_then(|name| Ok((name, self.arguments(batch, index)?)));
        let Some(message) = batch.get_mut(index) else { return };
        let failed = match prepared {
            Err(text) => text,
            Ok((name, arguments)) => match run(&name, &arguments, message.content()).await {
                Err(text) => {
                    message.metadata_mut().set("exit_code", Value::Int(-1));
                    format!("execution error: {text}: ")
                }
                Ok(Done { status, printed, errors }) => {
                    let code = status.code().unwrap_or(-1);
                    message.metadata_mut().set("exit_code", Value::Int(i64::from(code)));
                    let errors = String::from_utf8_lossy(&errors);
                    if status.success() {
                        message.set_content(printed);
                        if !errors.is_empty() {
                            message.metadata_mut().set("command_stderr", Value::from(&*errors));
                        }
                        return;
                    }
                    format!("execution error: {}: {errors}", described(status))
                }
            },
        };
        self.log.error(format_args!("Command failed: {failed}"));
        self.component.fail(message, failed);
    }
}

#[async_trait]
impl Processor for Command {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        for index in 0..batch.len() {
            tokio::select! {
                () = self.work(&mut batch, index) => {}
                () = self.hard_stop.cancelled() => return Err(Error::Closed),
            }
        }
        Ok(one(batch))
    }
}

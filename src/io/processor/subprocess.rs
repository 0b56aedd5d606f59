//! `subprocess`: a program that answers each message, and lives on.

use crate::{
    framing::{Frames, Framing, NAMES},
    subprocess::{end, start},
};
use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    build_error::BuildError,
    component::Component,
    error::Error,
    field::Field,
    log::Log,
    processor::{Batches, Processor, one},
    registry::ProcessorSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ProcessorSpec = ProcessorSpec {
    name: "subprocess",
    summary: "Gives each message to a program that lives on, and replaces it with the program's answer.",
    description: "The program must answer each message with one, in order, and not hold answers back. With lines, a \
                  message of several lines is asked line after line. A message to which the program writes an error, \
                  ends, or gives no answer within five minutes, is flagged and stays; the program is started again \
                  with the next message.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("name", "The program."),
        Field::string("args", "Its arguments.").list().default("[]"),
        Field::int("max_buffer", "The longest answer, in bytes.").default("65536").advanced(),
        Field::string("codec_send", "How messages to the program are told apart.")
            .default("lines")
            .options(NAMES)
            .advanced(),
        Field::string("codec_recv", "How its answers are told apart.")
            .default("lines")
            .options(NAMES)
            .advanced(),
    ]),
    examples: &[Example { title: "A filter", config: "{ name: sed, args: [ -u, 's/a/b/' ] }" }],
    build: |node, context| {
        let config: Config = node.read()?;
        Ok(Box::new(Subprocess {
            send: Framing::parse(&config.codec_send)
                .map_err(|text| BuildError::new(text).at("codec_send"))?,
            receive: Framing::parse(&config.codec_recv)
                .map_err(|text| BuildError::new(text).at("codec_recv"))?,
            longest: usize::try_from(config.max_buffer).unwrap_or(0),
            name: config.name,
            arguments: config.args,
            running: Mutex::default(),
            component: Arc::clone(context.component()),
            hard_stop: context.environment().hard_stop.clone(),
            log: Log::new(context),
        }))
    },
};

#[derive(Deserialize)]
struct Config {
    name: String,
    args: Vec<String>,
    max_buffer: i64,
    codec_send: String,
    codec_recv: String,
}

/// How long the program may take to answer.
const PATIENCE: Duration = Duration::from_mins(5);
/// How long more of an error is waited for.
const ERROR_TAIL: Duration = Duration::from_secs(1);

struct Subprocess {
    name: String,
    arguments: Vec<String>,
    send: Framing,
    receive: Framing,
    longest: usize,
    running: Mutex<Option<Running>>,
    component: Arc<Component>,
    hard_stop: CancellationToken,
    log: Log,
}

struct Running {
    child: Child,
    input: ChildStdin,
    answers: Frames<ChildStdout>,
    errors: Frames<ChildStderr>,
    /// It has closed its standard error.
    silent: bool,
}

/// Why there is no answer.
enum Failed {
    /// It said so, and goes on.
    Said(String),
    /// It is of no more use.
    Over(String),
}

impl Running {
    async fn ask(&mut self, request: &[u8]) -> Result<Bytes, Failed> {
        let closed = || Failed::Over(Error::Closed.to_string());
        let writing = async {
            self.input.write_all(request).await?;
            self.input.flush().await
        };
        // A program that answers before it has read all would wait for us to read: answers are read meanwhile.
        let (input, reading) = (writing, self.answers.next());
        tokio::pin!(input, reading);
        let mut written = false;
        let deadline = Instant::now() + PATIENCE;
        let mut said = Vec::new();
        let answer = loop {
            tokio::select! {
                done = &mut input, if !written => match done {
                    Ok(()) => written = true,
                    Err(_) => return Err(closed()),
                },
                answer = &mut reading => break answer,
                error = self.errors.next(), if !self.silent => match error {
                    Ok(Some(line)) => {
                        said.extend_from_slice(&line);
                        break timeout(ERROR_TAIL, &mut reading).await.unwrap_or(Ok(Some(Bytes::new())));
                    }
                    _ => self.silent = true,
                },
                () = tokio::time::sleep_until(deadline) => {
                    return Err(Failed::Over("the subprocess has not answered within five minutes".into()));
                }
            }
        };
        let answer = match answer {
            Ok(Some(answer)) => answer,
            _ if said.is_empty() => return Err(closed()),
            _ => return Err(Failed::Over(String::from_utf8_lossy(&said).into_owned())),
        };
        if said.is_empty() {
            return Ok(answer);
        }
        while let Ok(Some(line)) = self.errors.ready() {
            said.extend_from_slice(&line);
        }
        Err(Failed::Said(String::from_utf8_lossy(&said).into_owned()))
    }
}

impl Subprocess {
    fn start(&self) -> Result<Running, String> {
        let mut child = start(&self.name, &self.arguments)?;
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(input), Some(output), Some(errors)) = (input, output, errors) else {
            return Err(Error::Closed.to_string());
        };
        self.log.info("Subprocess started");
        Ok(Running {
            child,
            input,
            answers: Frames::new(output, self.receive, self.longest),
            errors: Frames::new(errors, Framing::Lines, self.longest),
            silent: false,
        })
    }

    /// The answer to a content.
    async fn answer(&self, running: &mut Running, content: &[u8]) -> Result<Bytes, Failed> {
        let mut request = Vec::with_capacity(content.len() + 16);
        let framed = |failed: std::io::Error| Failed::Said(failed.to_string());
        if self.send != Framing::Lines || !content.contains(&b'\n') {
            self.send.write(content, &mut request).map_err(framed)?;
            return running.ask(&request).await;
        }
        let mut answers = Vec::new();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            request.clear();
            self.send.write(line, &mut request).map_err(framed)?;
            let answer = running.ask(&request).await?;
            if index > 0 {
                answers.push(b'\n');
            }
            answers.extend_from_slice(&answer);
        }
        Ok(answers.into())
    }

    async fn work(&self, message: &mut Message) {
        let mut running = self.running.lock().await;
        let failed = match running.take().map_or_else(|| self.start(), Ok) {
            Ok(mut program) => match self.answer(&mut program, message.content()).await {
                Ok(answer) => {
                    message.set_content(answer);
                    *running = Some(program);
                    return;
                }
                Err(Failed::Said(text)) => {
                    *running = Some(program);
                    text
                }
                Err(Failed::Over(text)) => {
                    self.log.warn("Subprocess exited");
                    program.child.start_kill().ok();
                    text
                }
            },
            Err(text) => text,
        };
        self.log.error(format_args!("Failed to send message to subprocess: {failed}"));
        self.component.fail(message, failed);
    }
}

#[async_trait]
impl Processor for Subprocess {
    async fn process(&self, mut batch: Vec<Message>) -> Result<Batches, Error> {
        for message in &mut batch {
            tokio::select! {
                () = self.work(message) => {}
                () = self.hard_stop.cancelled() => return Err(Error::Closed),
            }
        }
        Ok(one(batch))
    }

    async fn close(&self) {
        let deadline = Instant::now() + ERROR_TAIL;
        if let Ok(mut running) = timeout_at(deadline, self.running.lock()).await
            && let Some(Running { child, input, .. }) = running.take()
        {
            drop(input);
            end(child).await;
        }
    }
}

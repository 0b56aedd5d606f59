//! `stdout`: writes messages to the standard output of the process.

use crate::codec::Codec;
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::spawn_blocking;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    error::Error,
    field::Field,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: OutputSpec = OutputSpec {
    name: "stdout",
    summary: "Writes messages to the standard output of the process.",
    description: "",
    status: Status::Stable,
    body: Body::Fields(&[Field::string(
        "codec",
        "`lines` ends each message with a line break, `delim:x` with `x`, `append` and `all-bytes` with nothing.",
    )
    .default("lines")
        .suggestions(&["all-bytes", "append", "lines", "delim:x"])]),
    examples: &[Example { title: "Lines", config: "codec: lines" }],
    build: |node, _| {
        let Config { codec } = node.read()?;
        let codec = Codec::parse(&codec).map_err(BuildError::new)?;
        let writer = Box::new(Stdout { codec, buffer: Arc::default() });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

#[derive(Deserialize)]
struct Config {
    codec: String,
}

struct Stdout {
    codec: Codec,
    /// Reused from one write to the next.
    buffer: Arc<Mutex<Vec<u8>>>,
}

#[async_trait]
impl Writer for Stdout {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    fn takes_content(&self) -> bool {
        true
    }

    async fn write(&self, messages: &[Message]) -> Result<(), WriteError> {
        let mut bytes = std::mem::take(&mut *self.buffer.lock().unwrap_or_else(PoisonError::into_inner));
        bytes.clear();
        messages.iter().for_each(|message| self.codec.write(message, &mut bytes));
        let buffer = Arc::clone(&self.buffer);
        // A pipe that nobody reads makes writers wait.
        let written = spawn_blocking(move || {
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(&bytes)?;
            stdout.flush()?;
            *buffer.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
            Ok::<_, std::io::Error>(())
        })
        .await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::from(error).into()),
            Err(_) => Err(Error::Closed.into()),
        }
    }
}

//! Other programs that are run, and what they say.

use crate::framing::{Frames, Framing};
use std::{io, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::AsyncRead,
    process::{Child, Command},
    time::timeout,
};
use weir_core::log::Log;

/// The longest line of a log.
const LONGEST: usize = 64 << 10;
/// How long a program may take to end once it is told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// Starts a program with pipes. It is killed when the child is dropped.
pub(crate) fn start(name: &str, arguments: &[String]) -> Result<Child, String> {
    Command::new(name)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if !name.contains('/') => {
                format!("exec: {name:?}: executable file not found in $PATH")
            }
            _ => format!("fork/exec {name}: {}", weir_core::error::Error::from(error)),
        })
}

/// Logs what a program says, until it ends.
pub(crate) fn log_lines(
    source: impl AsyncRead + Unpin + Send + 'static,
    log: Arc<Log>,
    level: tracing::Level,
) {
    tokio::spawn(async move {
        let mut lines = Frames::new(source, Framing::Lines, LONGEST);
        loop {
            match lines.next().await {
                Ok(Some(line)) => log.at(level, String::from_utf8_lossy(&line)),
                // What is too long for a line goes on with what is read next.
                Err(error) if error.kind() == io::ErrorKind::Other => lines.skip(),
                Ok(None) | Err(_) => return,
            }
        }
    });
}

/// Closes a program's input and waits until it ends, or kills it.
pub(crate) async fn end(mut child: Child) {
    drop(child.stdin.take());
    if timeout(FAREWELL, child.wait()).await.is_err() {
        child.start_kill().ok();
        drop(timeout(FAREWELL, child.wait()).await);
    }
}

//! A run of the program in a case's folder: its output kept, its end in any case.

use crate::harness;
use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LOOK_AGAIN: Duration = Duration::from_millis(3);

/// A child process and what it has printed so far.
pub(crate) struct Program {
    child: Child,
    out: File,
    err: File,
}

impl Program {
    /// Starts it; its standard input is empty unless there is text for it.
    pub(crate) fn start(command: &mut Command, stdin: Option<&str>) -> io::Result<Self> {
        let (out, err) = (tempfile::tempfile()?, tempfile::tempfile()?);
        command.stdin(if stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(out.try_clone()?).stderr(err.try_clone()?);
        let mut child = command.spawn()?;
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), stdin.map(str::to_owned)) {
            // A program that does not read is ended by its deadline, which ends this thread too.
            thread::spawn(move || drop(pipe.write_all(text.as_bytes())));
        }
        Ok(Self { child, out, err })
    }

    /// Its exit status, negative for a signal; `None` while it runs.
    pub(crate) fn ended(&mut self) -> io::Result<Option<i64>> {
        let status = self.child.try_wait()?;
        Ok(status.map(|status| match (status.code(), status.signal()) {
            (Some(code), _) => i64::from(code),
            (None, signal) => -i64::from(signal.unwrap_or(0)),
        }))
    }

    /// Waits for its end; `None` when it runs on.
    pub(crate) fn ended_within(&mut self, limit: Duration) -> io::Result<Option<i64>> {
        let end = Instant::now() + limit;
        loop {
            let status = self.ended()?;
            if status.is_some() || Instant::now() > end {
                return Ok(status);
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// Asks it to end, and makes it end when it does not.
    pub(crate) fn stop(&mut self) -> io::Result<i64> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        harness::signal(self.child.id(), "TERM");
        if let Some(status) = self.ended_within(Duration::from_secs(10))? {
            return Ok(status);
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(-9)
    }

    pub(crate) fn stdout(&mut self) -> io::Result<Vec<u8>> {
        whole(&mut self.out)
    }

    pub(crate) fn stderr(&mut self) -> io::Result<Vec<u8>> {
        whole(&mut self.err)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn whole(file: &mut File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

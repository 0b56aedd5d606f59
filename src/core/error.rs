//! Why a component could not do what it was asked: each kind drives a behaviour of the engine.

use std::{fmt, time::Duration};

/// A component's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection is lost: the engine connects again and repeats what it asked.
    NotConnected,
    /// The input has nothing more to give, ever.
    EndOfInput,
    /// The component was told to stop.
    Closed,
    /// A deadline passed.
    Timeout,
    /// Try again, but not before this has passed.
    BackOff(Duration, String),
    /// Refused or failed; the text says why.
    Failed(String),
}

impl Error {
    /// A failure that only has a text.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConnected => f.write_str("not connected to target source or sink"),
            Self::EndOfInput => f.write_str("end of input"),
            Self::Closed => f.write_str("type was closed"),
            Self::Timeout => f.write_str("action timed out"),
            Self::BackOff(_, text) | Self::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(go_io_text(&error))
    }
}

/// The reference's words for the errors of the operating system that users see most.
fn go_io_text(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        std::io::ErrorKind::ConnectionRefused => "connection refused".into(),
        _ => error.to_string(),
    }
}

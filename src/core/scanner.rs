//! Scanners: how a stream of bytes is cut into messages.

use crate::error::Error;
use bytes::Bytes;
use weir_bloblang::Message;

/// Makes a [`Scan`] for each source.
pub trait Scanner: Send + Sync {
    /// Starts on a new source; `name` is its path or file name.
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error>;
}

/// One source being cut. It is fed and never waits, so that any source can drive it.
pub trait Scan: Send {
    /// Takes the next piece and appends the messages that are complete with it; slices of the piece, no copies,
    /// where the format allows. An error ends the source.
    fn feed(&mut self, piece: Bytes, out: &mut Vec<Message>) -> Result<(), Error>;

    /// The source has ended: appends what is left.
    fn finish(&mut self, out: &mut Vec<Message>) -> Result<(), Error>;

    /// Bytes of the source fed so far that belong to no message given yet, if a new scan may start right after
    /// the last message; `None`: start over and skip as many messages as were delivered.
    fn pending(&self) -> Option<u64> {
        None
    }
}

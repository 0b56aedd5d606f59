//! JSON values in a stream of bytes.

use crate::extent::{Extent, blanks};
use bytes::{Buf, Bytes, BytesMut};
use weir_core::error::Error;

/// A value must fit the memory: one of more bytes ends its source.
const MAX_BYTES: usize = 256 << 20;

/// Bytes of which values are taken.
#[derive(Default)]
pub(super) struct Values {
    buffer: BytesMut,
    extent: Extent,
}

impl Values {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The first byte that is no blank.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let blanks = blanks(&self.buffer);
        if blanks > 0 {
            self.buffer.advance(blanks);
        }
        self.buffer.first().copied()
    }

    /// Passes over the byte that was peeked at.
    pub(super) fn skip(&mut self) {
        if !self.buffer.is_empty() {
            self.buffer.advance(1);
        }
    }

    /// The next value; none while it is incomplete.
    pub(super) fn next(&mut self, stops: &[u8], ended: bool) -> Result<Option<Bytes>, Error> {
        if self.peek().is_none() {
            return Ok(None);
        }
        let end = match self.extent.end(&self.buffer, stops) {
            None if ended => self.buffer.len(),
            None if self.buffer.len() > MAX_BYTES => {
                return Err(Error::Failed(format!("a JSON value of more than {MAX_BYTES} bytes")));
            }
            None => return Ok(None),
            Some(end) => end,
        };
        self.extent = Extent::default();
        Ok(Some(self.buffer.split_to(end).freeze()))
    }

    /// How many bytes belong to no value yet.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }
}

//! Messages on a stream of bytes: lines, length-prefixed, netstrings.

use bytes::{Buf, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each ends with a line break.
    Lines,
    /// Each begins with its length, four bytes, the highest first.
    LengthPrefixed,
    /// Each begins with its length in digits and a colon, and ends with a comma.
    Netstring,
}

/// The names of the framings, as options of a field.
pub(crate) const NAMES: &[&str] = &["lines", "length_prefixed_uint32_be", "netstring"];

impl Framing {
    /// Finds a framing by its name.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "lines" => Ok(Self::Lines),
            "length_prefixed_uint32_be" => Ok(Self::LengthPrefixed),
            "netstring" => Ok(Self::Netstring),
            _ => Err(format!("codec was not recognised: {text}")),
        }
    }

    /// Writes a message.
    pub(crate) fn write(self, content: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Lines => {
                out.extend_from_slice(content);
                out.push(b'\n');
            }
            Self::LengthPrefixed => {
                let length = u32::try_from(content.len()).map_err(io::Error::other)?;
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(content);
            }
            Self::Netstring => {
                out.extend_from_slice(format!("{}:", content.len()).as_bytes());
                out.extend_from_slice(content);
                out.push(b',');
            }
        }
        Ok(())
    }

    /// Takes the first message out of the buffer, if all of it is there.
    fn take(self, buffer: &mut BytesMut, longest: usize) -> io::Result<Option<Bytes>> {
        let too_long = || io::Error::other("token too long");
        let framed = match self {
            Self::Lines => memchr::memchr(b'\n', buffer).map(|length| (0, length, 1)),
            Self::LengthPrefixed => buffer
                .first_chunk::<4>()
                .map(|prefix| (4, usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX), 0)),
            Self::Netstring => match memchr::memchr(b':', buffer) {
                Some(digits) => {
                    let length = buffer.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok());
                    let length = length.and_then(|length| length.parse::<usize>().ok());
                    let length = length.ok_or_else(|| io::Error::other("a netstring has no length"))?;
                    Some((digits + 1, length, 1))
                }
                None => None,
            },
        };
        let Some((before, length, after)) = framed else {
            return if buffer.len() >= longest { Err(too_long()) } else { Ok(None) };
        };
        if length >= longest {
            return Err(too_long());
        }
        if buffer.len() < before + length + after {
            return Ok(None);
        }
        buffer.advance(before);
        let mut content = buffer.split_to(length).freeze();
        if self == Self::Netstring && buffer.first() != Some(&b',') {
            return Err(io::Error::other("a netstring does not end with a comma"));
        }
        buffer.advance(after);
        if self == Self::Lines && content.ends_with(b"\r") {
            content.truncate(content.len() - 1);
        }
        Ok(Some(content))
    }
}

/// Reads messages.
pub(crate) struct Frames<R> {
    source: R,
    framing: Framing,
    longest: usize,
    buffer: BytesMut,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Of a source; a message of `longest` bytes and more is an error.
    pub(crate) fn new(source: R, framing: Framing, longest: usize) -> Self {
        Self { source, framing, longest, buffer: BytesMut::new(), ended: false }
    }

    /// Forgets what was read of a message that is too long.
    pub(crate) fn skip(&mut self) {
        self.buffer.clear();
    }

    /// A message that was read already.
    pub(crate) fn ready(&mut self) -> io::Result<Option<Bytes>> {
        self.framing.take(&mut self.buffer, self.longest)
    }

    /// The next message; `None` at the end. Cancel-safe.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(message) = self.ready()? {
                return Ok(Some(message));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.buffer);
                return Ok((self.framing == Framing::Lines && !rest.is_empty()).then(|| rest.freeze()));
            }
            self.buffer.reserve(4096);
            self.ended = self.source.read_buf(&mut self.buffer).await? == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(framing: Framing, bytes: &[u8]) -> (Vec<String>, bool) {
        let mut frames = Frames::new(bytes, framing, 8);
        let mut out = Vec::new();
        loop {
            match frames.next().await {
                Ok(Some(message)) => out.push(String::from_utf8_lossy(&message).into_owned()),
                Ok(None) => return (out, true),
                Err(_) => return (out, false),
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_is_read() {
        for framing in [Framing::Lines, Framing::LengthPrefixed, Framing::Netstring] {
            let mut bytes = Vec::new();
            for content in ["one", "", "three"] {
                framing.write(content.as_bytes(), &mut bytes).unwrap();
            }
            let read = read(framing, &bytes).await;
            assert_eq!(read, (vec!["one".into(), String::new(), "three".into()], true), "{framing:?}");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_or_broken_is_an_error() {
        assert_eq!(read(Framing::Lines, b"a\r\nb").await, (vec!["a".into(), "b".into()], true));
        assert_eq!(read(Framing::Lines, b"a\n123456789\n").await, (vec!["a".into()], false));
        assert_eq!(read(Framing::LengthPrefixed, &[255, 255, 255, 255]).await, (vec![], false));
        assert_eq!(read(Framing::Netstring, b"1:ab").await, (vec![], false));
        assert_eq!(read(Framing::Netstring, b"123456789").await, (vec![], false));
    }
}

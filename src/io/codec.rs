//! How outputs that append to a stream of bytes put messages into it.

use weir_bloblang::Message;

/// What goes between messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Codec {
    /// Each message is the whole content: it replaces what was there.
    AllBytes,
    /// Nothing.
    Append,
    /// A delimiter after each message that does not end with it already.
    Delimited(Vec<u8>),
}

impl Codec {
    /// Reads `lines`, `append`, `all-bytes` or `delim:x`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        match text {
            "lines" => Ok(Self::Delimited(b"\n".to_vec())),
            "append" => Ok(Self::Append),
            "all-bytes" => Ok(Self::AllBytes),
            _ => match text.strip_prefix("delim:") {
                Some("") => Err("custom delimiter codec requires a non-empty delimiter".into()),
                Some(delimiter) => Ok(Self::Delimited(delimiter.as_bytes().to_vec())),
                None => Err(format!("codec was not recognised: {text}")),
            },
        }
    }

    /// Whether each message replaces what was there.
    pub(crate) fn replaces(&self) -> bool {
        *self == Self::AllBytes
    }

    /// Appends a message and what follows it.
    pub(crate) fn write(&self, message: &Message, out: &mut Vec<u8>) {
        let start = out.len();
        message.write_to(out);
        if let Self::Delimited(delimiter) = self
            && !out.get(start..).is_some_and(|written| written.ends_with(delimiter))
        {
            out.extend_from_slice(delimiter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(codec: &str, contents: &[&'static str]) -> String {
        let (codec, mut out) = (Codec::parse(codec).unwrap(), Vec::new());
        contents.iter().for_each(|content| codec.write(&Message::new(*content), &mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_delimiter_is_added_only_where_it_is_missing() {
        assert_eq!(written("lines", &["a", "b\n", ""]), "a\nb\n\n");
        assert_eq!(written("delim:--", &["a--", "b"]), "a--b--");
        assert_eq!(written("append", &["a", "b"]), "ab");
    }

    #[test]
    fn an_empty_delimiter_is_refused() {
        assert_eq!(
            Codec::parse("delim:"),
            Err("custom delimiter codec requires a non-empty delimiter".into())
        );
    }
}

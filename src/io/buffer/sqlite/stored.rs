//! Batches as they lie in the database: per message content, metadata as JSON, and the failure if it has one.

use std::sync::Arc;
use weir_bloblang::{Message, MessageError, Object, Text, Value, parse_object};

/// Says how the rest is to be read.
const VERSION: u8 = 1;

fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    // Batches of 4 GiB do not fit SQLite either.
    out.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend(bytes);
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *from = rest;
    Some(bytes)
}

/// The metadata as JSON; empty if there is none.
fn metadata(message: &Message) -> Vec<u8> {
    let json = |shown: fn(&Value) -> Value| {
        let mut object = Object::new();
        for (key, value) in message.metadata().iter() {
            object.insert(key.clone(), shown(value));
        }
        let mut out = Vec::new();
        Value::from(object).write_json(&mut out).map(|()| out)
    };
    if message.metadata().is_empty() {
        return Vec::new();
    }
    // A number that JSON lacks is better a text than a reason to lose the rest.
    json(Value::clone).or_else(|_| json(|value| Value::from(value.to_text()))).unwrap_or_default()
}

/// A batch as bytes.
pub(super) fn encode(batch: &[Message]) -> Vec<u8> {
    let mut out = vec![VERSION];
    for message in batch {
        put(&mut out, message.content());
        put(&mut out, &metadata(message));
        match message.error() {
            None => out.push(0),
            Some(error) => {
                out.push(1);
                let MessageError { text, name, label, path } = &**error;
                [text, name, label, path].into_iter().for_each(|part| put(&mut out, part.as_bytes()));
            }
        }
    }
    out
}

/// The batch of some bytes; none if they are not what [`encode`] makes.
pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Message>> {
    let mut rest = bytes.strip_prefix(&[VERSION])?;
    let mut batch = Vec::new();
    while !rest.is_empty() {
        let mut message = Message::new(take(&mut rest)?.to_vec());
        let metadata = take(&mut rest)?;
        if !metadata.is_empty() {
            let object = parse_object(std::str::from_utf8(metadata).ok()?).ok()?;
            for (key, value) in object.iter() {
                message.metadata_mut().set(Text::new(&key), value);
            }
        }
        let (failed, after) = rest.split_first()?;
        rest = after;
        if *failed == 1 {
            let mut part = || Some(String::from_utf8_lossy(take(&mut rest)?).into_owned());
            let (text, name, label, path) = (part()?, part()?, part()?, part()?);
            message.set_error(Some(Arc::new(MessageError { text, name, label, path })));
        }
        batch.push(message);
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_back() {
        let mut full = Message::new("content");
        full.metadata_mut().set("text", Value::from("x"));
        full.metadata_mut().set("number", Value::parse_json("1.50").unwrap());
        let error = MessageError { text: "no".into(), path: "pipeline".into(), ..MessageError::default() };
        full.set_error(Some(Arc::new(error)));
        let batch = [Message::new(""), full];
        let bytes = encode(&batch);
        let back = decode(&bytes).unwrap();
        assert_eq!(encode(&back), bytes);
        assert_eq!(
            (back[0].len(), &**back[1].content(), back[1].error()),
            (0, &b"content"[..], batch[1].error())
        );
        assert_eq!(back[1].metadata().get("number").map(Value::to_json).as_deref(), Some("1.50"));
        for cut in 1..bytes.len() {
            assert!(decode(&bytes[..cut]).is_none_or(|batch| batch.len() < 2), "{cut}");
        }
    }
}

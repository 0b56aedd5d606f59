//! Messages that wait: their bytes side by side in one piece of memory, a few bytes of book-keeping each.

use bytes::Bytes;
use weir_bloblang::{Message, Metadata, Numbers};

/// Content up to so many bytes is copied. What is larger stays where it is, for copies of a message share it.
const SMALL: usize = 256;
/// Bytes that one piece may have.
const PIECE: usize = 1 << 30;

/// Messages of one frame, packed. What comes out is what went in; only what was parsed is parsed again.
#[derive(Default)]
pub struct Packed {
    content: Bytes,
    parts: Box<[Part]>,
    /// Metadata, and the first message that has it.
    metadata: Vec<(u32, Metadata)>,
    /// What cannot be packed, by index.
    whole: Vec<(u32, Message)>,
}

/// A message.
struct Part {
    /// Where its content ends, which begins where the one before ends.
    end: u32,
    tag: u32,
    /// What numbers in its content are; none for a message that is kept whole.
    numbers: Option<Numbers>,
}

impl Packed {
    /// Packs messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        let (mut content, mut parts) = (Vec::new(), Vec::new());
        let mut packed = Self::default();
        for (index, message) in (0..).zip(messages) {
            let plain = message.error().is_none() && message.context().is_none() && content.len() < PIECE;
            let numbers = if plain { message.pack(SMALL, &mut content) } else { None };
            parts.push(Part { end: u32::try_from(content.len()).unwrap_or(0), tag: message.tag, numbers });
            if numbers.is_none() {
                packed.whole.push((index, message));
            } else if packed.metadata.last().is_none_or(|(_, last)| !last.is_same(message.metadata())) {
                packed.metadata.push((index, message.metadata().clone()));
            }
        }
        packed.metadata.shrink_to_fit();
        packed.whole.shrink_to_fit();
        Self { content: Bytes::from(content.into_boxed_slice()), parts: parts.into(), ..packed }
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The message at `index`; it shares the piece of memory.
    pub fn get(&self, index: usize) -> Option<Message> {
        let part = self.parts.get(index)?;
        let number = u32::try_from(index).ok()?;
        let Some(numbers) = part.numbers else {
            let at = self.whole.binary_search_by_key(&number, |(index, _)| *index).ok()?;
            return self.whole.get(at).map(|(_, message)| message.clone());
        };
        let before = index.checked_sub(1).and_then(|before| self.parts.get(before));
        let start = before.map_or(0, |before| before.end as usize);
        let shared = self.metadata.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        let (_, metadata) = self.metadata.get(shared)?;
        let content = self.content.slice(start..part.end as usize);
        Some(Message::unpacked(content, numbers, metadata.clone(), part.tag))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use weir_bloblang::{MessageError, Value};

    #[test]
    fn what_comes_out_is_what_went_in() {
        let mut first = Message::new("first");
        first.metadata_mut().set("key", Value::Int(1));
        let mut same = Message::from_value(Value::from(vec![Value::Int(1)]));
        *same.metadata_mut() = first.metadata().clone();
        let mut failed = Message::new("failed");
        failed.set_error(Some(Arc::new(MessageError::default())));
        let large = Message::new("large".repeat(100));
        let odd = Message::from_value(Value::from(vec![Value::bytes("odd")]));
        let mut messages = vec![first, same, failed, Message::new(""), large, odd, Message::new("last")];
        (5..).zip(&mut messages).for_each(|(tag, message)| message.tag = tag);
        let packed = Packed::new(messages.clone());
        assert_eq!((packed.len(), packed.whole.len(), packed.metadata.len()), (7, 3, 2));
        for (index, message) in messages.iter().enumerate() {
            let back = packed.get(index).unwrap();
            assert_eq!(back.content(), message.content());
            assert_eq!(back.tag, message.tag);
            assert_eq!(back.error(), message.error());
            assert!(back.metadata().is_same(message.metadata()));
        }
        assert_eq!(packed.get(4).unwrap().content().as_ptr(), messages[4].content().as_ptr());
        assert!(packed.get(7).is_none());
    }
}

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
    /// Where the content of each message ends, which begins where the one before ends.
    ends: Box<[u32]>,
    /// The tag of each message; one, where all have the same.
    tags: Box<[u32]>,
    /// What numbers in the content are, none for a message that is kept whole, and the first message of which that is so.
    numbers: Vec<(u32, Option<Numbers>)>,
    /// Metadata, and the first message that has it.
    metadata: Vec<(u32, Metadata)>,
    /// What cannot be packed, by index.
    whole: Vec<(u32, Message)>,
}

impl Packed {
    /// Packs messages.
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        let (mut content, mut ends, mut tags) = (Vec::new(), Vec::new(), Vec::new());
        let mut packed = Self::default();
        for (index, message) in (0..).zip(messages) {
            let plain = message.error().is_none() && message.context().is_none() && content.len() < PIECE;
            let numbers = if plain { message.pack(SMALL, &mut content) } else { None };
            ends.push(u32::try_from(content.len()).unwrap_or(0));
            tags.push(message.tag);
            if packed.numbers.last().is_none_or(|(_, last)| *last != numbers) {
                packed.numbers.push((index, numbers));
            }
            if numbers.is_none() {
                packed.whole.push((index, message));
            } else if packed.metadata.last().is_none_or(|(_, last)| !last.is_same(message.metadata())) {
                packed.metadata.push((index, message.metadata().clone()));
            }
        }
        if tags.iter().all(|tag| tags.first() == Some(tag)) {
            tags.truncate(1);
        }
        packed.numbers.shrink_to_fit();
        packed.metadata.shrink_to_fit();
        packed.whole.shrink_to_fit();
        Self {
            content: Bytes::from(content.into_boxed_slice()),
            ends: ends.into(),
            tags: tags.into(),
            ..packed
        }
    }

    /// The number of messages.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The message at `index`; it shares the piece of memory.
    pub fn get(&self, index: usize) -> Option<Message> {
        let end = *self.ends.get(index)?;
        let number = u32::try_from(index).ok()?;
        let Some(numbers) = *at(&self.numbers, number)? else {
            let place = self.whole.binary_search_by_key(&number, |(index, _)| *index).ok()?;
            return self.whole.get(place).map(|(_, message)| message.clone());
        };
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        let content = self.content.slice(start as usize..end as usize);
        let tag = *self.tags.get(index).or(self.tags.first())?;
        Some(Message::unpacked(content, numbers, at(&self.metadata, number)?.clone(), tag))
    }
}

/// What holds for a message, of what holds from some message on.
fn at<T>(runs: &[(u32, T)], message: u32) -> Option<&T> {
    let run = runs.partition_point(|(first, _)| *first <= message).checked_sub(1)?;
    runs.get(run).map(|(_, held)| held)
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

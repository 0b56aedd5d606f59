//! Messages with the same id made one.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};
use weir_bloblang::{Kind, Message, Segment, Value, split_dot_path};

/// What becomes of a field that two messages have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Merge {
    /// Both values in an array.
    Array,
    /// The new value.
    Replace,
    /// The old value.
    Keep,
}

pub(super) struct Joiner {
    id_path: Vec<Segment>,
    id: Box<str>,
    merge: Merge,
    /// Only what the last input has is given, as it comes.
    only_last: bool,
    /// The pass, and how many there are: each joins its share of the ids.
    pass: (u64, u64),
    known: HashMap<Box<[u8]>, usize>,
    /// In the order in which their ids were first seen.
    messages: Vec<Message>,
}

impl Joiner {
    pub(super) fn new(id_path: &str, merge: Merge, only_last: bool, passes: u64) -> Self {
        Self {
            id: id_path.into(),
            id_path: split_dot_path(id_path),
            merge,
            only_last,
            pass: (0, passes),
            known: HashMap::new(),
            messages: Vec::new(),
        }
    }

    /// Joins a message; gives what is to go out now.
    pub(super) fn add(&mut self, message: &Message, last: bool) -> Option<Message> {
        let value = message.value().ok().filter(|value| value.kind() == Kind::Object)?;
        let id = value.get_path(&self.id_path).filter(|id| id.kind() == Kind::String)?;
        let id = id.as_bytes().filter(|id| !id.is_empty())?;
        if self.pass.1 > 1 && share(&id, self.pass.1) != self.pass.0 {
            return None;
        }
        let joined = if let Some(at) = self.known.get(&*id) {
            let joined = self.messages.get_mut(*at)?;
            let mut incoming = value.clone();
            if let Some(members) = incoming.object_mut() {
                // As the reference does: only an id at the top is left out.
                members.remove(&*self.id);
            }
            if let Ok(target) = joined.value_mut() {
                merge(target, &incoming, self.merge);
            }
            for (key, value) in message.metadata().iter() {
                joined.metadata_mut().set(key.clone(), value.clone());
            }
            joined
        } else {
            let mut first = Message::from_value(value.clone().into_owned());
            *first.metadata_mut() = message.metadata().clone();
            self.known.insert(id.into(), self.messages.len());
            self.messages.push(first);
            self.messages.last()?
        };
        (self.only_last && last).then(|| joined.clone())
    }

    /// Whether all passes are finished.
    pub(super) fn is_over(&self) -> bool {
        self.pass.0 == self.pass.1
    }

    /// What is to go out once all inputs have ended; the next pass begins.
    pub(super) fn finish(&mut self) -> Vec<Message> {
        self.pass.0 += 1;
        self.known = HashMap::new();
        let messages = std::mem::take(&mut self.messages);
        if self.only_last { Vec::new() } else { messages }
    }
}

/// In which of so many passes an id is joined.
fn share(id: &[u8], passes: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish() % passes
}

/// Merges objects member by member; anything else that both have is merged as asked.
fn merge(target: &mut Value, incoming: &Value, how: Merge) {
    let both_objects = target.kind() == Kind::Object && incoming.kind() == Kind::Object;
    if let (true, Some(members), Some(more)) = (both_objects, target.object_mut(), incoming.to_object()) {
        for (key, value) in more.iter() {
            match members.get_mut(&key) {
                Some(old) => merge(old, &value, how),
                None => members.insert(&*key, value),
            }
        }
        return;
    }
    match how {
        Merge::Keep => {}
        Merge::Replace => *target = incoming.clone(),
        Merge::Array => {
            let values = |value: &Value| match value.to_array() {
                Some(items) if value.kind() == Kind::Array => items.to_vec(),
                _ => vec![value.clone()],
            };
            let mut all = values(target);
            all.extend(values(incoming));
            *target = Value::from(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(merge: Merge, messages: &[&'static str]) -> Vec<String> {
        let mut joiner = Joiner::new("id", merge, false, 1);
        for message in messages {
            assert!(joiner.add(&Message::new(*message), true).is_none());
        }
        joiner
            .finish()
            .iter()
            .map(|message| String::from_utf8_lossy(message.content()).into_owned())
            .collect()
    }

    #[test]
    fn collisions() {
        let messages = [
            r#"{"id":"a","x":[1],"o":{"p":1}}"#,
            r#"{"id":"a","x":2,"o":{"p":3,"q":4}}"#,
            "{\"id\":7}",
            "no",
        ];
        assert_eq!(joined(Merge::Array, &messages), [r#"{"id":"a","o":{"p":[1,3],"q":4},"x":[1,2]}"#]);
        assert_eq!(joined(Merge::Keep, &messages), [r#"{"id":"a","o":{"p":1,"q":4},"x":[1]}"#]);
        assert_eq!(joined(Merge::Replace, &messages), [r#"{"id":"a","o":{"p":3,"q":4},"x":2}"#]);
    }
    #[test]
    fn each_pass_joins_its_share_of_the_ids() {
        let mut joiner = Joiner::new("id", Merge::Array, false, 3);
        let mut shares = Vec::new();
        while !joiner.is_over() {
            for id in 0..30 {
                joiner.add(&Message::new(format!("{{\"id\":\"{id}\"}}")), true);
            }
            shares.push(joiner.finish().len());
        }
        assert_eq!((shares.len(), shares.iter().sum::<usize>()), (3, 30));
        assert!(shares.iter().all(|share| *share < 30), "{shares:?}");
    }
}

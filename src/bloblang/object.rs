//! Objects: members sorted by key, those untouched since parsing held as nodes of their document.

use std::borrow::Cow;
use std::sync::Arc;

use crate::json::{Doc, JsonError, Style, Unwritable, Writer, prefix, sort_members, write_string};
use crate::text::Text;
use crate::value::{Allowance, Room, Value};

/// An object. Keys are unique and iterate in byte order.
#[derive(Clone, Debug, Default)]
pub struct Object {
    /// The document local keys and slots refer to.
    doc: Option<Arc<Doc>>,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    slot: Slot,
}

#[derive(Clone, Debug)]
enum Key {
    /// A key node of the object's document.
    Local(u32),
    Text(Text),
}

#[derive(Clone, Debug)]
enum Slot {
    /// A value node of the object's document.
    Local(u32),
    Value(Value),
}

impl Object {
    /// An empty object.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty object with room for this many members.
    pub fn with_capacity(members: usize) -> Self {
        Self { doc: None, entries: Vec::with_capacity(members) }
    }

    /// One level of a document's object; its children stay nodes.
    pub(crate) fn open(doc: &Arc<Doc>, index: u32) -> Self {
        let mut order = Vec::with_capacity(doc.count(index) as usize);
        sort_members(doc, index, &mut order);
        let mut entries = Vec::with_capacity(order.len() + 1);
        entries
            .extend(order.iter().map(|(_, key)| Entry { key: Key::Local(*key), slot: Slot::Local(key + 1) }));
        Self { doc: Some(Arc::clone(doc)), entries }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    #[inline]
    fn key_bytes<'a>(&'a self, entry: &'a Entry) -> Cow<'a, [u8]> {
        match (&entry.key, &self.doc) {
            (Key::Text(text), _) => Cow::Borrowed(text.as_bytes()),
            (Key::Local(index), Some(doc)) => doc.string(doc.node(*index)),
            (Key::Local(_), None) => Cow::Borrowed(b""),
        }
    }

    /// First bytes of a key, which order as the keys do.
    #[inline]
    fn key_prefix(&self, entry: &Entry) -> u64 {
        match (&entry.key, &self.doc) {
            (Key::Text(text), _) => text.prefix(),
            (Key::Local(index), Some(doc)) if doc.flags.utf8 && !doc.node(*index).is_escaped() => {
                doc.prefix(doc.node(*index))
            }
            _ => prefix(&self.key_bytes(entry)),
        }
    }

    /// Where `key`, whose first bytes are `first`, is, or where it belongs.
    #[inline]
    fn find(&self, key: &[u8], first: u64) -> Result<usize, usize> {
        let order = |entry: &Entry| {
            self.key_prefix(entry).cmp(&first).then_with(|| (*self.key_bytes(entry)).cmp(key))
        };
        if self.entries.len() > 16 {
            return self.entries.binary_search_by(order);
        }
        // From the end: members are mostly added in order.
        for (at, entry) in self.entries.iter().enumerate().rev() {
            match order(entry) {
                std::cmp::Ordering::Less => return Err(at + 1),
                std::cmp::Ordering::Equal => return Ok(at),
                std::cmp::Ordering::Greater => {}
            }
        }
        Err(0)
    }

    #[inline]
    fn position(&self, key: &[u8]) -> Option<usize> {
        self.find(key, prefix(key)).ok()
    }

    #[inline]
    fn value_of(&self, slot: &Slot) -> Value {
        match (slot, &self.doc) {
            (Slot::Value(value), _) => value.clone(),
            (Slot::Local(index), Some(doc)) => Value::node(doc, *index),
            (Slot::Local(_), None) => Value::Null,
        }
    }

    /// Keeps a value of our own document as a bare node, which counts no reference.
    #[inline]
    fn slot_for(&mut self, value: Value) -> Slot {
        if let Value::Node(doc, index) = &value {
            match &self.doc {
                Some(own) if Arc::ptr_eq(own, doc) => return Slot::Local(*index),
                None => {
                    self.doc = Some(Arc::clone(doc));
                    return Slot::Local(*index);
                }
                Some(_) => {}
            }
        }
        Slot::Value(value)
    }

    /// The member `key`.
    #[inline]
    pub fn get(&self, key: impl AsRef<[u8]>) -> Option<Value> {
        let at = self.position(key.as_ref())?;
        self.entries.get(at).map(|entry| self.value_of(&entry.slot))
    }

    /// Whether there is a member `key`.
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.position(key.as_ref()).is_some()
    }

    /// The member `key`, to change it.
    pub fn get_mut(&mut self, key: impl AsRef<[u8]>) -> Option<&mut Value> {
        let at = self.position(key.as_ref())?;
        self.slot_mut(at)
    }

    fn slot_mut(&mut self, at: usize) -> Option<&mut Value> {
        let entry = self.entries.get_mut(at)?;
        if let Slot::Local(index) = entry.slot {
            entry.slot = Slot::Value(self.doc.as_ref().map_or(Value::Null, |doc| Value::node(doc, index)));
        }
        match &mut entry.slot {
            Slot::Value(value) => Some(value),
            Slot::Local(_) => None,
        }
    }

    /// Sets the member `key`.
    pub fn insert(&mut self, key: impl Into<Text>, value: Value) {
        let key = key.into();
        match self.find(key.as_bytes(), key.prefix()) {
            Ok(at) => {
                let slot = self.slot_for(value);
                if let Some(entry) = self.entries.get_mut(at) {
                    entry.slot = slot;
                }
            }
            Err(at) => {
                let slot = self.slot_for(value);
                self.entries.insert(at, Entry { key: Key::Text(key), slot });
            }
        }
    }

    /// The member `key`, put there by `make` if it is missing.
    pub fn get_or_insert_with(&mut self, key: &Text, make: impl FnOnce() -> Value) -> Option<&mut Value> {
        let at = match self.find(key.as_bytes(), key.prefix()) {
            Ok(at) => at,
            Err(at) => {
                let slot = Slot::Value(make());
                self.entries.insert(at, Entry { key: Key::Text(key.clone()), slot });
                at
            }
        };
        self.slot_mut(at)
    }

    /// Takes the member `key` out.
    pub fn remove(&mut self, key: impl AsRef<[u8]>) -> Option<Value> {
        let at = self.position(key.as_ref())?;
        let entry = self.entries.remove(at);
        Some(self.value_of(&entry.slot))
    }

    /// Members in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Cow<'_, [u8]>, Value)> + '_ {
        self.entries.iter().map(|entry| (self.key_bytes(entry), self.value_of(&entry.slot)))
    }

    /// Keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = Cow<'_, [u8]>> + '_ {
        self.entries.iter().map(|entry| self.key_bytes(entry))
    }

    /// Values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value> + '_ {
        self.entries.iter().map(|entry| self.value_of(&entry.slot))
    }

    /// Takes all members out.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }

    /// Takes all members out, and gives their values.
    pub(crate) fn take_values(&mut self) -> Vec<Value> {
        let slots = std::mem::take(&mut self.entries).into_iter().map(|entry| entry.slot);
        slots.filter_map(|slot| if let Slot::Value(value) = slot { Some(value) } else { None }).collect()
    }

    /// Takes off how many bytes it is as text.
    pub(crate) fn weigh_into(&self, left: &mut Allowance) -> Result<(), Unwritable> {
        left.take(2)?;
        for entry in &self.entries {
            let key = match &entry.key {
                Key::Text(text) => text.len(),
                Key::Local(index) => self.doc.as_ref().map_or(0, |doc| doc.text_len(*index)),
            };
            left.take(key + 4)?;
            match &entry.slot {
                Slot::Value(value) => value.weigh_into(left)?,
                Slot::Local(index) => left.take(self.doc.as_ref().map_or(0, |doc| doc.text_len(*index)))?,
            }
        }
        Ok(())
    }

    /// Applies `change` to every value, dropping the members for which it is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&[u8], &Value) -> bool) {
        let entries = std::mem::take(&mut self.entries);
        for entry in entries {
            let value = self.value_of(&entry.slot);
            if keep(&self.key_bytes(&entry), &value) {
                self.entries.push(entry);
            }
        }
    }

    pub(crate) fn write(&self, style: Style, out: &mut Vec<u8>, room: Room) -> Result<(), Unwritable> {
        let Some(doc) = &self.doc else { return self.write_owned(style, out, room) };
        let mut writer = Writer::new(doc, style, out);
        let mut separator = b'{';
        for entry in &self.entries {
            writer.out.push(separator);
            separator = b',';
            match (&entry.key, &entry.slot) {
                // Untouched since parsing: key and value stand together.
                (Key::Local(key), Slot::Local(index)) if *index == key + 1 => {
                    writer.whole_member(*key);
                    continue;
                }
                (Key::Local(key), _) => writer.key(*key),
                (Key::Text(key), _) => {
                    write_string(key.as_bytes(), style, writer.out);
                    writer.out.push(b':');
                }
            }
            match &entry.slot {
                Slot::Local(index) => writer.value(*index),
                Slot::Value(value) => value.write(style, writer.out, room)?,
            }
            room.check(writer.out)?;
        }
        if self.entries.is_empty() {
            writer.out.push(b'{');
        }
        writer.out.push(b'}');
        Ok(())
    }

    /// As above, for objects that refer to no document.
    fn write_owned(&self, style: Style, out: &mut Vec<u8>, room: Room) -> Result<(), Unwritable> {
        out.push(b'{');
        for (n, entry) in self.entries.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            write_string(&self.key_bytes(entry), style, out);
            out.push(b':');
            self.value_of(&entry.slot).write(style, out, room)?;
            room.check(out)?;
        }
        out.push(b'}');
        Ok(())
    }
}

impl<K: Into<Text>> FromIterator<(K, Value)> for Object {
    fn from_iter<I: IntoIterator<Item = (K, Value)>>(members: I) -> Self {
        let mut object = Self::new();
        for (key, value) in members {
            object.insert(key, value);
        }
        object
    }
}

/// First bytes of a key, as documents compare them.
pub(crate) fn key_prefix(key: &[u8]) -> u64 {
    prefix(key)
}

/// A JSON text as an object, for tests and tables.
pub fn parse_object(text: &str) -> Result<Arc<Object>, JsonError> {
    let doc = Doc::parse(bytes::Bytes::copy_from_slice(text.as_bytes()))?;
    Value::node(&doc, 0).to_object().ok_or_else(|| JsonError::Syntax("not an object".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_stay_sorted_whoever_added_them() {
        let mut object = (*parse_object(r#"{"d":1,"b":[2],"b":[3]}"#).unwrap()).clone();
        object.insert("c", Value::from("x"));
        object.insert("b", Value::Null);
        assert_eq!(object.remove("d").map(|v| v.to_json()), Some("1".to_owned()));
        object.insert("a", Value::Int(1));
        let mut out = Vec::new();
        object.write(Style::Plain, &mut out, Room::after(&[])).unwrap();
        assert_eq!(out, br#"{"a":1,"b":null,"c":"x"}"#);
        assert_eq!(object.keys().count(), 3);
        assert!(object.get("d").is_none());
    }

    #[test]
    fn slots_are_small() {
        assert_eq!(size_of::<Slot>(), 24);
        assert!(size_of::<Entry>() <= 56);
    }
}

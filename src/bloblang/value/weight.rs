//! How much a value is once written. Values share their parts, so a small one may stand for a text without end.

use super::Value;
use crate::json::{MAX_DEPTH, MAX_TEXT, Unwritable};
use crate::stack::deep;

/// What is left of the bytes and the levels that a value may have.
pub(crate) struct Allowance {
    bytes: usize,
    levels: usize,
}

impl Allowance {
    /// Takes bytes off.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Unwritable> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or(Unwritable::TooLarge)?;
        Ok(())
    }

    /// Goes through the parts of a container.
    fn below(&mut self, walk: impl FnOnce(&mut Self) -> Result<(), Unwritable>) -> Result<(), Unwritable> {
        self.levels = self.levels.checked_sub(1).ok_or(Unwritable::TooDeep)?;
        deep(|| walk(self))?;
        self.levels += 1;
        Ok(())
    }
}

impl Value {
    /// About how many bytes it is as text; an error for one that is larger or deeper than a document may be.
    #[inline]
    pub(crate) fn weigh(&self) -> Result<usize, Unwritable> {
        match self {
            Self::Array(_) | Self::Object(_) => {
                let mut left = Allowance { bytes: MAX_TEXT, levels: MAX_DEPTH };
                self.weigh_into(&mut left)?;
                Ok(MAX_TEXT - left.bytes)
            }
            // What was parsed or built as one piece has its bounds.
            _ => Ok(self.own_weight()),
        }
    }

    pub(crate) fn weigh_into(&self, left: &mut Allowance) -> Result<(), Unwritable> {
        match self {
            Self::Array(items) => {
                left.take(items.len() + 2)?;
                left.below(|left| items.iter().try_for_each(|item| item.weigh_into(left)))
            }
            Self::Object(object) => left.below(|left| object.weigh_into(left)),
            other => left.take(other.own_weight()),
        }
    }

    #[inline]
    fn own_weight(&self) -> usize {
        match self {
            Self::String(text) => text.len() + 2,
            Self::Bytes(bytes) => bytes.len(),
            Self::Number(text) => text.len(),
            Self::Node(doc, index) => doc.text_len(*index),
            _ => 4,
        }
    }

    /// Memory that only this value holds, parts that are values themselves apart; roughly, in bytes.
    #[inline]
    pub(crate) fn footprint(&self) -> usize {
        match self {
            Self::String(text) => text.footprint(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Array(items) if std::sync::Arc::strong_count(items) == 1 => 40 + 24 * items.len(),
            Self::Object(object) if std::sync::Arc::strong_count(object) == 1 => 40 + 64 * object.len(),
            Self::Node(doc, _) if std::sync::Arc::strong_count(doc) == 1 => {
                doc.bytes.len() + 8 * doc.nodes.len()
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_parts_count_each_time() {
        let document = Value::parse_json(&br#"{"a":[1,"xyz"],"b":null}"#[..]).unwrap();
        assert_eq!(document.weigh(), Ok(24));
        let twice = Value::from(vec![document.clone(), document.member(b"a").unwrap()]);
        assert_eq!(twice.weigh(), Ok(4 + 24 + 9));
        let doubled = (0..60).fold(Value::Null, |inner, _| Value::from(vec![inner.clone(), inner]));
        assert_eq!(doubled.weigh(), Err(Unwritable::TooLarge));
        assert_eq!(doubled.write_json(&mut Vec::new()), Err(Unwritable::TooLarge));
        let nested = (0..=MAX_DEPTH).fold(Value::Null, |inner, _| Value::from(vec![inner]));
        assert_eq!(nested.weigh(), Err(Unwritable::TooDeep));
        assert_eq!(nested.write_json(&mut Vec::new()), Err(Unwritable::TooDeep));
    }
}

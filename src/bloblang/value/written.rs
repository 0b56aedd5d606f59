//! Whether a value may wait as its text: written as JSON and parsed again, it must be the very same.

use super::Value;
use crate::json::Numbers;
use crate::stack::deep;

/// What was seen of a value.
struct Seen {
    /// Bytes and parts that may still come.
    left: usize,
    /// A number that is a number already.
    typed: bool,
    /// A number that is still text.
    text: bool,
}

impl Value {
    /// How numbers in its text must be read for the value to come back as it is, types included; `None` if that cannot
    /// be, or if it has more bytes and parts than `limit`.
    pub(crate) fn reads_back(&self, limit: usize) -> Option<Numbers> {
        let mut seen = Seen { left: limit, typed: false, text: false };
        if !self.look(&mut seen) {
            return None;
        }
        match seen {
            Seen { typed: true, text: true, .. } => None,
            Seen { typed: true, .. } => Some(Numbers::Typed),
            Seen { .. } => Some(Numbers::Text),
        }
    }

    /// False for what JSON has no form of its own for.
    fn look(&self, seen: &mut Seen) -> bool {
        let size = match self {
            Self::String(text) => text.len(),
            Self::Node(doc, index) => doc.text_len(*index),
            _ => 0,
        };
        let Some(left) = seen.left.checked_sub(size + 1) else { return false };
        seen.left = left;
        match self {
            Self::Node(doc, index) if doc.has_numbers(*index) => {
                seen.typed |= doc.numbers == Numbers::Typed;
                seen.text |= doc.numbers == Numbers::Text;
                doc.numbers != Numbers::Float
            }
            Self::Null | Self::Bool(_) | Self::Node(..) => true,
            Self::Int(_) => {
                seen.typed = true;
                true
            }
            // A whole one is written as an integer is.
            Self::Float(n) => {
                seen.typed = true;
                n.is_finite() && n.fract() != 0.0
            }
            Self::String(text) => std::str::from_utf8(text.as_bytes()).is_ok(),
            Self::Array(items) => items.iter().all(|item| deep(|| item.look(seen))),
            Self::Object(object) => object.iter().all(|(key, value)| {
                seen.left = seen.left.saturating_sub(key.len());
                std::str::from_utf8(&key).is_ok() && deep(|| value.look(seen))
            }),
            Self::Uint(_)
            | Self::Narrow(_)
            | Self::Number(_)
            | Self::Bytes(_)
            | Self::Timestamp(_)
            | Self::Delete
            | Self::Nothing => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::go_type;
    use crate::json::Doc;
    use crate::number::Narrow;
    use crate::object::Object;

    fn object(value: Value) -> Value {
        Value::object([("a", Value::from("x\n\u{7f}")), ("n", value)].into_iter().collect::<Object>())
    }

    #[test]
    fn what_reads_back_is_the_same() {
        let document = Value::parse_json(&br#"{"b":[1, 2.0, 1e3],"a":"\u0041"}"#[..]).unwrap();
        for (value, want) in [
            (Value::Null, Some(Numbers::Text)),
            (Value::Int(i64::MIN), Some(Numbers::Typed)),
            (Value::Float(-1.25e-9), Some(Numbers::Typed)),
            (Value::Float(5e-324), Some(Numbers::Typed)),
            (Value::Float(2.0), None),
            (Value::Float(1e21), None),
            (Value::Float(f64::NAN), None),
            (Value::Uint(1), None),
            (Value::Narrow(Narrow::Word(1)), None),
            (Value::Number("1".into()), None),
            (Value::bytes("x"), None),
            (Value::string(&b"\xff"[..]), None),
            (Value::Delete, None),
            (document.clone(), Some(Numbers::Text)),
            (Value::from(vec![document.member(b"a").unwrap(), Value::Int(1)]), Some(Numbers::Typed)),
            (Value::from(vec![document.clone(), Value::Int(1)]), None),
        ] {
            for value in [value.clone(), Value::from(vec![value.clone()]), object(value)] {
                let reads = value.reads_back(1000);
                assert_eq!(reads, want, "{value:?}");
                let Some(numbers) = reads else { continue };
                let text = value.to_json();
                let back = Value::document(&Doc::parse_with(text.clone().into(), numbers).unwrap());
                assert!(back.equals(&value), "{value:?}");
                assert_eq!(back.to_json(), text);
                let number = |value: &Value| value.item(0).or_else(|| value.member(b"n"));
                if let (Some(one), Some(other)) = (number(&value), number(&back)) {
                    assert_eq!(go_type(&one), go_type(&other));
                }
                assert_eq!(back.reads_back(1000), reads, "and once more");
            }
        }
    }

    #[test]
    fn values_without_end_are_not_walked() {
        let doubled = (0..60).fold(Value::Null, |inner, _| Value::from(vec![inner.clone(), inner]));
        assert_eq!(doubled.reads_back(10_000), None);
        assert_eq!(Value::from("12345").reads_back(5), None);
        assert_eq!(Value::from("12345").reads_back(6), Some(Numbers::Text));
    }
}

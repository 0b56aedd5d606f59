//! Equality and order between values.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{Kind, Value};
use crate::number::Num;
use crate::stack::deep;

/// A value reduced to what comparison tells apart.
enum Reduced<'a> {
    Text(Cow<'a, [u8]>),
    Number(f64),
    Bool(bool),
    Array,
    Object,
    Null,
    Other,
}

impl Value {
    fn reduced(&self) -> Reduced<'_> {
        match self.kind() {
            Kind::String | Kind::Bytes | Kind::Timestamp => {
                Reduced::Text(self.text_bytes().unwrap_or_default())
            }
            Kind::Number => match self.as_number() {
                Some(number) => Reduced::Number(number.to_f64()),
                // A number beyond floats compares as its text.
                None => Reduced::Text(Cow::Owned(self.number_text().unwrap_or_default().as_bytes().to_vec())),
            },
            Kind::Bool => Reduced::Bool(self.as_bool().unwrap_or_default()),
            Kind::Array => Reduced::Array,
            Kind::Object => Reduced::Object,
            Kind::Null => Reduced::Null,
            Kind::Delete | Kind::Nothing | Kind::Unknown => Reduced::Other,
        }
    }

    /// Booleans, and numbers by not being zero (text of numbers only if it is exactly `0`).
    pub fn truth(&self) -> Option<bool> {
        if let Some(text) = self.number_text() {
            return Some(text != "0");
        }
        match self.as_number() {
            Some(Num::Int(n)) => Some(n != 0),
            Some(Num::Uint(n)) => Some(n != 0),
            Some(Num::Float(n)) => Some(n != 0.0),
            None => self.as_bool(),
        }
    }

    /// Deep equality as containers, `contains`, `find` and literal match cases use it: numbers as floats.
    #[expect(clippy::float_cmp, reason = "the language compares exactly")]
    pub fn equals(&self, other: &Value) -> bool {
        match self.reduced() {
            Reduced::Null => other.is_null(),
            Reduced::Text(left) => other.text_bytes().is_some_and(|right| left == right),
            Reduced::Number(left) => other.as_number().is_some_and(|right| left == right.to_f64()),
            Reduced::Bool(left) => other.truth().is_some_and(|right| left == right),
            Reduced::Array => {
                let (Some(left), Some(right)) = (self.to_array(), other.to_array()) else { return false };
                left.len() == right.len() && left.iter().zip(right.iter()).all(|(a, b)| deep(|| a.equals(b)))
            }
            Reduced::Object => {
                let (Some(left), Some(right)) = (self.to_object(), other.to_object()) else { return false };
                // A missing member equals null.
                left.len() == right.len()
                    && left
                        .iter()
                        .all(|(key, value)| deep(|| value.equals(&right.get(&key).unwrap_or_default())))
            }
            Reduced::Other => false,
        }
    }

    /// What `==` finds: as [`Value::equals`], but whole numbers at top level compare exactly.
    pub fn loosely_equals(&self, other: &Value) -> bool {
        match (self.as_number(), other.as_number()) {
            (Some(left), Some(right)) => compare_numbers(left, right) == Some(Ordering::Equal),
            _ => self.equals(other),
        }
    }

    /// What `<` and its kin find; `None` if the two have no order, `Some(None)` if one is not a number at all.
    pub fn order(&self, other: &Value) -> Option<Option<Ordering>> {
        match self.reduced() {
            Reduced::Text(left) => Some(Some((*left).cmp(&*other.text_bytes()?))),
            Reduced::Number(_) => Some(compare_numbers(self.as_number()?, other.as_number()?)),
            _ => None,
        }
    }
}

/// Whole numbers exactly, mixed ones as floats; `None` for NaN.
pub(crate) fn compare_numbers(left: Num, right: Num) -> Option<Ordering> {
    match (left, right) {
        (Num::Float(_), _) | (_, Num::Float(_)) => left.to_f64().partial_cmp(&right.to_f64()),
        (Num::Uint(a), Num::Uint(b)) => Some(a.cmp(&b)),
        _ => Some(left.to_i64().cmp(&right.to_i64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        Value::parse_json(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn equality_is_driven_from_the_left() {
        assert!(!json("1").loosely_equals(&Value::Bool(true)));
        assert!(Value::Bool(true).loosely_equals(&json("2")));
        assert!(json(r#"{"a":null}"#).equals(&json(r#"{"b":null}"#)));
        assert!(!json("9007199254740993").loosely_equals(&json("9007199254740992")));
        assert!(json("[9007199254740993]").loosely_equals(&json("[9007199254740992]")));
        assert!(!Value::Delete.equals(&Value::Delete));
        assert!(json(r#""a""#).equals(&Value::bytes(&b"a"[..])));
    }

    #[test]
    fn order() {
        assert_eq!(json("1.5").order(&json("2")), Some(Some(Ordering::Less)));
        assert_eq!(json("\"b\"").order(&json("\"a\"")), Some(Some(Ordering::Greater)));
        assert_eq!(json("\"b\"").order(&json("1")), None);
        assert_eq!(Value::Float(f64::NAN).order(&json("1")), Some(None));
        assert_eq!(json("null").order(&json("1")), None);
    }
}

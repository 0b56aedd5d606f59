//! Reads nodes into config structs with serde, by the coercions of the reference's YAML library.

use crate::{
    build_error::BuildError,
    node::{Node, Tag},
};
use serde::{
    Deserialize,
    de::{
        DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
        VariantAccess, Visitor, value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use std::cell::RefCell;

/// Asks the reader for the node itself; no config struct has this name.
const WHOLE_NODE: &str = "\0node";

thread_local! {
    /// Hands a node through serde, which knows no nodes; set right before it is taken.
    static HANDED: RefCell<Option<Node>> = const { RefCell::new(None) };
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Take;
        impl Visitor<'_> for Take {
            type Value = Node;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a configuration node")
            }
            fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
                HANDED.take().ok_or_else(|| E::custom("a node can only be read from a node"))
            }
        }
        deserializer.deserialize_newtype_struct(WHOLE_NODE, Take)
    }
}

/// Reads one node.
pub(crate) struct NodeReader<'a> {
    node: &'a Node,
}

impl<'a> NodeReader<'a> {
    pub(crate) fn new(node: &'a Node) -> Self {
        Self { node }
    }

    fn mismatch(&self, wanted: &str) -> BuildError {
        BuildError::new(crate::compat::unmarshal(self.node, wanted))
    }

    fn shape(&self, wanted: &str) -> BuildError {
        self.node.error(format!("expected {wanted} value, got {}", self.node.tag()))
    }

    fn integer(&self) -> Result<i128, BuildError> {
        let Some(scalar) = self.node.as_scalar() else { return Err(self.mismatch("int")) };
        match scalar.tag {
            Tag::Null => Ok(0),
            Tag::Int => integer(&scalar.text).ok_or_else(|| self.mismatch("int")),
            Tag::Float => {
                let float = float(&scalar.text).filter(|float| float.is_finite() && float.abs() < 1e30);
                // Fractions are cut, as the reference does.
                #[allow(clippy::cast_possible_truncation, reason = "the range is checked above")]
                float.map(|float| float.trunc() as i128).ok_or_else(|| self.mismatch("int"))
            }
            _ => Err(self.mismatch("int")),
        }
    }

    fn bounded<T: TryFrom<i128>>(&self) -> Result<T, BuildError> {
        let value = self.integer()?;
        T::try_from(value).map_err(|_| self.node.error(format!("the number {value} is out of range")))
    }

    fn float(&self) -> Result<f64, BuildError> {
        let Some(scalar) = self.node.as_scalar() else { return Err(self.mismatch("float64")) };
        match scalar.tag {
            Tag::Null => Ok(0.0),
            Tag::Int | Tag::Float => float(&scalar.text).ok_or_else(|| self.mismatch("float64")),
            _ => Err(self.mismatch("float64")),
        }
    }
}

/// The value of a scalar of tag `!!int`: decimal, `0x`, `0o`, `0b`, a leading zero for octal, `_` anywhere.
pub fn integer(text: &str) -> Option<i128> {
    let text = text.replace('_', "");
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(&text)),
    };
    let radix = |prefix: [&str; 2], radix| {
        let digits = digits.strip_prefix(prefix[0]).or_else(|| digits.strip_prefix(prefix[1]))?;
        i128::from_str_radix(digits, radix).ok()
    };
    let value = radix(["0x", "0X"], 16)
        .or_else(|| radix(["0o", "0O"], 8))
        .or_else(|| radix(["0b", "0B"], 2))
        .or_else(|| match digits.strip_prefix('0') {
            Some(octal) if !octal.is_empty() => i128::from_str_radix(octal, 8).ok(),
            _ => digits.parse().ok().filter(|_| !digits.starts_with(['+', '-'])),
        })?;
    Some(if negative { -value } else { value })
}

/// The value of a scalar of tag `!!int` or `!!float`.
pub fn float(text: &str) -> Option<f64> {
    let bare = text.strip_prefix(['-', '+']).unwrap_or(text);
    match bare {
        ".inf" | ".Inf" | ".INF" => {
            return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
        }
        ".nan" | ".NaN" | ".NAN" => return Some(f64::NAN),
        _ => {}
    }
    #[allow(clippy::cast_precision_loss, reason = "a float field takes the nearest float")]
    integer(text).map(|integer| integer as f64).or_else(|| text.replace('_', "").parse().ok())
}

/// The value of a scalar of tag `!!bool`, or of a plain scalar that YAML 1.1 calls one.
pub fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

impl<'de> Deserializer<'de> for NodeReader<'_> {
    type Error = BuildError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        let text = self.node.as_scalar().map_or("", |scalar| &*scalar.text);
        match self.node.tag() {
            Tag::Null => visitor.visit_unit(),
            Tag::Bool => self.deserialize_bool(visitor),
            Tag::Int => match integer(text) {
                Some(value) if i64::try_from(value).is_ok() => self.deserialize_i64(visitor),
                Some(value) if u64::try_from(value).is_ok() => self.deserialize_u64(visitor),
                _ => self.deserialize_f64(visitor),
            },
            Tag::Float => self.deserialize_f64(visitor),
            Tag::Seq => self.deserialize_seq(visitor),
            Tag::Map => self.deserialize_map(visitor),
            _ => visitor.visit_str(text).map_err(|error: BuildError| error.on_line(self.node.line())),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_i8(self.bounded()?)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_i16(self.bounded()?)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_i32(self.bounded()?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_i64(self.bounded()?)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_u8(self.bounded()?)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_u16(self.bounded()?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_u32(self.bounded()?)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_u64(self.bounded()?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        visitor.visit_f64(self.float()?)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        let value = match self.node.as_scalar() {
            Some(scalar) if scalar.tag == Tag::Null => Some(false),
            Some(scalar) if scalar.tag == Tag::Bool || scalar.style == crate::node::Style::Plain => {
                boolean(&scalar.text)
            }
            _ => None,
        };
        visitor.visit_bool(value.ok_or_else(|| self.mismatch("bool"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        let Some(scalar) = self.node.as_scalar() else { return Err(self.mismatch("string")) };
        let text = if scalar.tag == Tag::Null { "" } else { &*scalar.text };
        visitor.visit_str(text).map_err(|error: BuildError| error.on_line(self.node.line()))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        if self.node.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        if name == WHOLE_NODE {
            HANDED.set(Some(self.node.clone()));
            return visitor.visit_unit();
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        let Some(items) = self.node.as_list() else { return Err(self.shape("array")) };
        visitor.visit_seq(Items { items: items.iter(), index: 0 })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, BuildError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BuildError> {
        if self.node.as_map().is_none() {
            return Err(self.shape("map"));
        }
        read_map(self.node, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        if self.node.as_map().is_none() {
            return Err(self.shape("object"));
        }
        if cfg!(debug_assertions)
            && let Some(declared) = self.node.declared()
        {
            let mut declared: Vec<_> = declared.iter().map(|field| field.name).collect();
            let mut read = fields.to_vec();
            declared.sort_unstable();
            read.sort_unstable();
            assert_eq!(declared, read, "the spec and the struct {name} name different fields");
        }
        read_map(self.node, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BuildError> {
        let Some(scalar) = self.node.as_scalar() else { return Err(self.mismatch("string")) };
        let line = self.node.line();
        visitor.visit_enum(Variant(&scalar.text)).map_err(|error| error.on_line(line))
    }

    forward_to_deserialize_any! { i128 u128 bytes byte_buf unit unit_struct identifier ignored_any }
}

fn read_map<'de, V: Visitor<'de>>(node: &Node, visitor: V) -> Result<V::Value, BuildError> {
    let merged = node.merged();
    let entries = merged.as_map().unwrap_or_default();
    // Of repeated keys the last counts; serde would refuse them.
    let last = |index: usize| {
        let key = entries[index].0.key_text();
        !entries.iter().skip(index + 1).any(|(name, _)| name.key_text() == key)
    };
    let entries = (0..entries.len()).filter(|&index| last(index)).map(|index| &entries[index]);
    visitor.visit_map(Entries { entries, value: None })
}

struct Items<'a> {
    items: std::slice::Iter<'a, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = BuildError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, BuildError> {
        let Some(node) = self.items.next() else { return Ok(None) };
        let index = self.index;
        self.index += 1;
        seed.deserialize(NodeReader { node }).map(Some).map_err(|error| error.at(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Entries<'a, I> {
    entries: I,
    value: Option<(&'a str, &'a Node)>,
}

impl<'de, 'a, I: Iterator<Item = &'a (Node, Node)>> MapAccess<'de> for Entries<'a, I> {
    type Error = BuildError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, BuildError> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let key = key.key_text();
        self.value = Some((key, value));
        seed.deserialize(StrDeserializer::<BuildError>::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, BuildError> {
        let (key, node) =
            self.value.take().ok_or_else(|| BuildError::new("a value was read before its key"))?;
        seed.deserialize(NodeReader { node }).map_err(|error| error.at(key))
    }
}

struct Variant<'a>(&'a str);

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = BuildError;
    type Variant = Self;

    fn variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<(T::Value, Self), BuildError> {
        Ok((seed.deserialize(StrDeserializer::<BuildError>::new(self.0))?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = BuildError;

    fn unit_variant(self) -> Result<(), BuildError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, _: T) -> Result<T::Value, BuildError> {
        Err(BuildError::invalid_type(Unexpected::Str(self.0), &"a variant with a value"))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, BuildError> {
        Err(BuildError::invalid_type(Unexpected::Str(self.0), &"a tuple"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, BuildError> {
        Err(BuildError::invalid_type(Unexpected::Str(self.0), &"an object"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Config {
        name: String,
        #[serde(default)]
        count: i64,
        child: Option<Node>,
        #[serde(default)]
        list: Vec<Node>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    }

    fn read(text: &str) -> Result<Config, BuildError> {
        crate::yaml::parse(text).unwrap().read()
    }

    #[test]
    fn coerces_as_the_reference_does() {
        for (count, expected) in
            [("2.5", 2), ("0x3", 3), ("0o10", 8), ("010", 8), ("1_0", 10), ("1e1", 10), ("~", 0), ("-7", -7)]
        {
            assert_eq!(read(&format!("name: 1.50\ncount: {count}")).unwrap().count, expected, "{count}");
        }
        let config =
            read("name: no\nchild: { a: 1 }\nlist: [ 1, { b: 2 } ]\nheaders: { A: true, B: null }").unwrap();
        assert_eq!(config.name, "no");
        assert_eq!(config.child.unwrap().get("a").unwrap().as_str(), Some("1"));
        assert_eq!(config.list[1].line(), 3);
        assert_eq!(config.headers["A"], "true");
        assert_eq!(config.headers["B"], "");
    }

    #[test]
    fn errors_name_path_and_line() {
        let error = |text| read(text).unwrap_err().to_string();
        assert_eq!(
            error("name: a\ncount: '4'"),
            "field 'count': yaml: unmarshal errors:\n  line 2: cannot unmarshal !!str `4` into int"
        );
        assert_eq!(
            error("name:\n  - a"),
            "field 'name': yaml: unmarshal errors:\n  line 2: cannot unmarshal !!seq into string"
        );
        assert_eq!(error("count: 1"), "field 'name' is required and was not present in the config");
        assert_eq!(error("name: a\nlist: 1"), "field 'list': line 2: expected array value, got !!int");
        assert_eq!(error("name: a\nheaders: []"), "field 'headers': line 2: expected map value, got !!seq");
    }

    #[test]
    fn merge_keys_and_repeated_keys_are_resolved() {
        let node =
            crate::yaml::parse("base: &b { name: x, count: 1 }\nit:\n  <<: *b\n  count: 2\n  count: 3")
                .unwrap();
        let config: Config = node.get("it").unwrap().read().unwrap();
        assert_eq!((config.name.as_str(), config.count), ("x", 3));
    }
}

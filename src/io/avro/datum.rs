//! Schemas of Avro, and data that were written by them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::Value as Json;
use std::collections::HashMap;
use weir_bloblang::{Object, Text, Value};

/// How data are shown as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Values as they are stored, bytes as text of the same code points, a member of a union as itself.
    Plain,
    /// Logical types as what they stand for, bytes in base64, a member of a union under the name of its type.
    Typed,
}

/// Data deeper than this are refused.
const DEEPEST: usize = 100;

/// What a number stands for.
#[derive(Debug, Clone, Copy)]
enum Logical {
    Itself,
    Date,
    /// Since midnight, in units of so many nanoseconds.
    Time(i64),
    /// Since 1970, in units of so many nanoseconds.
    Timestamp(i64),
}

#[derive(Debug)]
enum Type {
    Null,
    Boolean,
    Number(Logical),
    Float,
    Double,
    /// Bytes, of a fixed length or not; a decimal of so many digits behind the point.
    Bytes {
        length: Option<usize>,
        scale: Option<u32>,
    },
    String,
    Enum(Vec<Text>),
    Array(usize),
    Map(usize),
    Union(Vec<(Text, usize)>),
    Record(Vec<(Text, usize)>),
}

/// A schema: its types, which name each other by index.
#[derive(Debug)]
pub(super) struct Schema {
    types: Vec<Type>,
    root: usize,
    style: Style,
}

impl Schema {
    pub(super) fn parse(text: &[u8], style: Style) -> Result<Self, String> {
        let json: Json = serde_json::from_slice(text).map_err(|error| format!("schema: {error}"))?;
        let mut parser = Parser { types: Vec::new(), named: HashMap::new(), style };
        let root = parser.parse(&json, "")?.1;
        Ok(Self { types: parser.types, root, style })
    }

    /// Reads the next datum.
    pub(super) fn read(&self, input: &mut Input<'_>) -> Result<Value, String> {
        self.value(self.root, input, 0)
    }

    fn value(&self, index: usize, input: &mut Input<'_>, depth: usize) -> Result<Value, String> {
        if depth > DEEPEST {
            return Err("a datum is too deep".into());
        }
        input.count()?;
        let Some(ty) = self.types.get(index) else { return Ok(Value::Null) };
        Ok(match ty {
            Type::Null => Value::Null,
            Type::Boolean => Value::Bool(input.take(1)? != [0]),
            Type::Number(logical) => number(input.long()?, *logical)?,
            Type::Float => {
                let float = f32::from_le_bytes(input.array()?);
                // The shortest text that is this number, rather than what the other width makes of it.
                finite(float.to_string().parse().unwrap_or_default())
            }
            Type::Double => finite(f64::from_le_bytes(input.array()?)),
            Type::Bytes { length, scale } => {
                let bytes = match length {
                    Some(length) => input.take(*length)?,
                    None => input.bytes()?,
                };
                match (self.style, scale) {
                    (Style::Plain, _) => {
                        Value::from(bytes.iter().map(|byte| char::from(*byte)).collect::<String>())
                    }
                    (Style::Typed, None) => Value::from(STANDARD.encode(bytes)),
                    (Style::Typed, Some(scale)) => Value::from(decimal(bytes, *scale)?),
                }
            }
            Type::String => Value::string(Text::new(input.bytes()?)),
            Type::Enum(symbols) => {
                let at = usize::try_from(input.long()?).ok();
                let symbol = at.and_then(|at| symbols.get(at)).ok_or("an enum has no such symbol")?;
                Value::from(symbol.clone())
            }
            Type::Array(items) => {
                let mut all = Vec::new();
                input.blocks(|input| {
                    all.push(self.value(*items, input, depth + 1)?);
                    Ok(())
                })?;
                Value::from(all)
            }
            Type::Map(values) => {
                let mut all = Object::new();
                input.blocks(|input| {
                    let key = Text::new(input.bytes()?);
                    all.insert(key, self.value(*values, input, depth + 1)?);
                    Ok(())
                })?;
                Value::object(all)
            }
            Type::Union(members) => {
                let at = usize::try_from(input.long()?).ok();
                let (name, member) = at.and_then(|at| members.get(at)).ok_or("a union has no such member")?;
                let value = self.value(*member, input, depth + 1)?;
                match self.style {
                    Style::Typed if !matches!(self.types.get(*member), Some(Type::Null)) => {
                        Value::object([(name.clone(), value)].into_iter().collect())
                    }
                    _ => value,
                }
            }
            Type::Record(fields) => {
                let field =
                    |(name, ty): &(Text, usize)| Ok((name.clone(), self.value(*ty, input, depth + 1)?));
                Value::object(fields.iter().map(field).collect::<Result<Object, String>>()?)
            }
        })
    }
}

/// What JSON has no number for is null.
fn finite(float: f64) -> Value {
    if float.is_finite() { Value::Float(float) } else { Value::Null }
}

fn number(number: i64, logical: Logical) -> Result<Value, String> {
    const DAY: i64 = 86_400;
    let instant = |nanoseconds: Option<i128>| {
        let instant = nanoseconds.and_then(|nanoseconds| Timestamp::from_nanosecond(nanoseconds).ok());
        instant.map(|instant| Value::from(instant.to_string())).ok_or("a time is out of range")
    };
    Ok(match logical {
        Logical::Itself => Value::Int(number),
        Logical::Time(unit) => Value::Int(number.checked_mul(unit).ok_or("a time is out of range")?),
        Logical::Date => instant(Some(i128::from(number) * i128::from(DAY) * 1_000_000_000))?,
        Logical::Timestamp(unit) => instant(i128::from(number).checked_mul(i128::from(unit)))?,
    })
}

/// A decimal as a fraction in lowest terms.
fn decimal(bytes: &[u8], scale: u32) -> Result<String, String> {
    let too_long = || "a decimal has more than 38 digits".to_owned();
    if bytes.len() > 16 {
        return Err(too_long());
    }
    let negative = bytes.first().is_some_and(|first| *first > 0x7f);
    let number =
        bytes.iter().fold(if negative { -1_i128 } else { 0 }, |number, byte| number << 8 | i128::from(*byte));
    let below = 10_i128.checked_pow(scale).ok_or_else(too_long)?;
    let (mut a, mut b) = (number.unsigned_abs(), below.unsigned_abs());
    while b > 0 {
        (a, b) = (b, a % b);
    }
    let divisor = i128::try_from(a.max(1)).map_err(|_| too_long())?;
    let (above, below) = (number / divisor, below / divisor);
    Ok(if below == 1 { above.to_string() } else { format!("{above}/{below}") })
}

struct Parser {
    types: Vec<Type>,
    /// By full name.
    named: HashMap<String, usize>,
    style: Style,
}

impl Parser {
    fn add(&mut self, ty: Type) -> usize {
        self.types.push(ty);
        self.types.len() - 1
    }

    /// The name that a union has for a type, and its index.
    fn parse(&mut self, json: &Json, space: &str) -> Result<(String, usize), String> {
        match json {
            Json::String(name) => self.by_name(name, space, json),
            Json::Array(members) => {
                let members = members
                    .iter()
                    .map(|member| self.parse(member, space).map(|(name, index)| (Text::from(name), index)));
                let members = members.collect::<Result<_, String>>()?;
                Ok(("union".into(), self.add(Type::Union(members))))
            }
            Json::Object(_) => match &json["type"] {
                Json::String(name) => self.by_name(name, space, json),
                inner => self.parse(inner, space),
            },
            _ => Err("schema: a type is a name, an object or a list".into()),
        }
    }

    fn by_name(&mut self, name: &str, space: &str, json: &Json) -> Result<(String, usize), String> {
        let logical = json["logicalType"].as_str().filter(|_| self.style == Style::Typed).unwrap_or_default();
        let (number, is_known) = match (name, logical) {
            ("int", "date") => (Logical::Date, true),
            ("int", "time-millis") => (Logical::Time(1_000_000), true),
            ("long", "time-micros") => (Logical::Time(1000), true),
            ("long", "timestamp-millis") => (Logical::Timestamp(1_000_000), true),
            ("long", "timestamp-micros") => (Logical::Timestamp(1000), true),
            _ => (Logical::Itself, logical == "decimal"),
        };
        let scale =
            (logical == "decimal").then(|| u32::try_from(json["scale"].as_u64().unwrap_or(0)).ok()).flatten();
        let ty = match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "int" | "long" => Type::Number(number),
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes { length: None, scale },
            "string" => Type::String,
            "array" => Type::Array(self.parse(&json["items"], space)?.1),
            "map" => Type::Map(self.parse(&json["values"], space)?.1),
            "enum" | "fixed" | "record" | "error" => return self.defined(name, space, json, scale),
            _ => {
                let full = if name.contains('.') { name.to_owned() } else { joined(space, name) };
                let index = self.named.get(&full).or_else(|| self.named.get(name));
                let index = index.ok_or_else(|| format!("schema: unknown type {name}"))?;
                return Ok((full, *index));
            }
        };
        let name = if is_known { format!("{name}.{logical}") } else { name.to_owned() };
        Ok((name, self.add(ty)))
    }

    /// A type that is defined here, with a name of its own.
    fn defined(
        &mut self,
        kind: &str,
        space: &str,
        json: &Json,
        scale: Option<u32>,
    ) -> Result<(String, usize), String> {
        let name = json["name"].as_str().ok_or("schema: a type has no name")?;
        let full = match json["namespace"].as_str() {
            _ if name.contains('.') => name.to_owned(),
            Some(own) => joined(own, name),
            None => joined(space, name),
        };
        let space = full.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        // Known before its fields are, which may be of this type.
        let index = self.add(Type::Null);
        self.named.insert(full.clone(), index);
        let list = |key: &str| json[key].as_array().ok_or_else(|| format!("schema: {full} has no {key}"));
        let ty = match kind {
            "enum" => {
                let symbols =
                    list("symbols")?.iter().map(|symbol| Text::from(symbol.as_str().unwrap_or_default()));
                Type::Enum(symbols.collect())
            }
            "fixed" => {
                let length = json["size"].as_u64().and_then(|size| usize::try_from(size).ok());
                let length = length.ok_or_else(|| format!("schema: {full} has no size"))?;
                Type::Bytes { length: Some(length), scale }
            }
            _ => {
                let fields = list("fields")?.iter().map(|field| {
                    let name = field["name"]
                        .as_str()
                        .ok_or_else(|| format!("schema: a field of {full} has no name"))?;
                    Ok((Text::from(name), self.parse(&field["type"], &space)?.1))
                });
                Type::Record(fields.collect::<Result<_, String>>()?)
            }
        };
        if let Some(place) = self.types.get_mut(index) {
            *place = ty;
        }
        Ok((full, index))
    }
}

fn joined(space: &str, name: &str) -> String {
    if space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

/// Bytes being read, and how many values they may still hold.
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    values: usize,
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8], values: usize) -> Self {
        Self { bytes, values }
    }

    /// Bytes that are left.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    fn count(&mut self) -> Result<(), String> {
        self.values = self.values.checked_sub(1).ok_or("a block has too many values")?;
        Ok(())
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or("a datum ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "a datum ends too early".to_owned())
    }

    /// A number, seven bits a byte, its sign in the lowest.
    pub(super) fn long(&mut self) -> Result<i64, String> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err("a number is too long".into())
    }

    /// A length and so many bytes.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = usize::try_from(self.long()?).map_err(|_| "a length is out of range")?;
        self.take(length)
    }

    /// Reads what comes in blocks, each with its number of items, until an empty one.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), String>) -> Result<(), String> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                // The block's length, for those who pass over it.
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                item(self)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_fractions_in_lowest_terms() {
        let table =
            [(&[0xcf, 0xc7][..], 2, "-2469/20"), (&[0x01, 0xf4], 2, "5"), (&[], 2, "0"), (&[0x7f], 0, "127")];
        for (bytes, scale, wanted) in table {
            assert_eq!(decimal(bytes, scale).unwrap(), wanted);
        }
        assert!(decimal(&[1; 17], 0).is_err());
    }

    #[test]
    fn numbers_are_zigzag() {
        for (bytes, number) in [(&[0][..], 0), (&[1], -1), (&[2], 1), (&[0x80, 0x01], 64)] {
            assert_eq!(Input::new(bytes, 1).long(), Ok(number));
        }
        assert_eq!(
            Input::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], 1).long(),
            Ok(i64::MIN)
        );
        assert!(Input::new(&[0x80; 11], 1).long().is_err());
    }
}

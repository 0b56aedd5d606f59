//! `MessagePack`.

use super::target::raw_bytes;
use crate::error::Fault;
use crate::eval::Cx;
use crate::number::{Narrow, Num};
use crate::object::Object;
use crate::spec::{Args, Spec};
use crate::stack::deep;
use crate::text::Text;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin("format_msgpack", "Writes a value as MessagePack.", &[], format_msgpack),
    Spec::plugin("parse_msgpack", "Parses MessagePack.", &[], parse_msgpack),
];

/// Deepest nesting either way.
const MAX_DEPTH: usize = 1000;

fn format_msgpack(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    cx.walk(&target)?;
    let mut out = Vec::new();
    write(cx, &target, &mut out, 0).map_err(|fault| fault.context("failed to convert to msgpack"))?;
    Ok(Value::bytes(out))
}

fn parse_msgpack(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = raw_bytes(&target)?;
    cx.spend(bytes.len() as u64 / 8)?;
    cx.charge(bytes.len().saturating_mul(32))?;
    let mut reader = Reader { rest: &bytes };
    reader.value(0).map_err(|text| Fault::new(format!("failed to parse msgpack: {text}")))
}

/// Writes a length: in the head itself below `small`, else in the least of 1, 2 and 4 bytes there is a head for.
fn head(out: &mut Vec<u8>, len: usize, (fixed, small): (u8, usize), heads: [u8; 3]) -> Result<(), Fault> {
    let [of8, of16, of32] = heads;
    match (u8::try_from(len), u16::try_from(len), u32::try_from(len)) {
        (Ok(len), ..) if usize::from(len) < small => out.push(fixed | len),
        (Ok(len), ..) if of8 != 0 => out.extend_from_slice(&[of8, len]),
        (_, Ok(len), _) => {
            out.push(of16);
            out.extend_from_slice(&len.to_be_bytes());
        }
        (.., Ok(len)) => {
            out.push(of32);
            out.extend_from_slice(&len.to_be_bytes());
        }
        _ => return Err(Fault::new("value is too large")),
    }
    Ok(())
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Fault> {
    head(out, bytes.len(), (0xa0, 32), [0xd9, 0xda, 0xdb])?;
    out.extend_from_slice(bytes);
    Ok(())
}

fn write(cx: &mut Cx<'_>, value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), Fault> {
    cx.spend(1)?;
    if depth > MAX_DEPTH {
        return Err(Fault::new(format!("nested deeper than {MAX_DEPTH}")));
    }
    match value.kind() {
        Kind::Null | Kind::Delete | Kind::Nothing | Kind::Unknown => out.push(0xc0),
        Kind::Bool => out.push(if value.as_bool() == Some(true) { 0xc3 } else { 0xc2 }),
        Kind::Number => match (value, value.as_number()) {
            (Value::Narrow(Narrow::Float32(number)), _) => {
                out.push(0xca);
                out.extend_from_slice(&number.to_be_bytes());
            }
            (_, Some(Num::Int(number))) => int(out, number),
            (_, Some(Num::Uint(number))) => {
                if let Ok(number) = i64::try_from(number) {
                    int(out, number);
                } else {
                    out.push(0xcf);
                    out.extend_from_slice(&number.to_be_bytes());
                }
            }
            (_, Some(Num::Float(number))) => {
                out.push(0xcb);
                out.extend_from_slice(&number.to_be_bytes());
            }
            (_, None) => string(out, value.number_text().unwrap_or_default().as_bytes())?,
        },
        Kind::String => string(out, &value.as_bytes().unwrap_or_default())?,
        Kind::Timestamp => string(out, &value.text_bytes().unwrap_or_default())?,
        Kind::Bytes => {
            let bytes = value.as_bytes().unwrap_or_default();
            head(out, bytes.len(), (0, 0), [0xc4, 0xc5, 0xc6])?;
            out.extend_from_slice(&bytes);
        }
        Kind::Array => {
            let items = value.to_array().unwrap_or_default();
            head(out, items.len(), (0x90, 16), [0, 0xdc, 0xdd])?;
            for item in items.iter() {
                deep(|| write(cx, item, out, depth + 1))?;
            }
        }
        Kind::Object => {
            let object = value.to_object().unwrap_or_default();
            head(out, object.len(), (0x80, 16), [0, 0xde, 0xdf])?;
            for (key, member) in object.iter() {
                string(out, &key)?;
                deep(|| write(cx, &member, out, depth + 1))?;
            }
        }
    }
    Ok(())
}

/// An integer in as few bytes as hold it.
fn int(out: &mut Vec<u8>, number: i64) {
    let bytes = number.to_be_bytes();
    let (head, width) = match number {
        -32..=0x7f => (None, 1),
        0x80..=0xff => (Some(0xcc), 1),
        0x100..=0xffff => (Some(0xcd), 2),
        0x1_0000..=0xffff_ffff => (Some(0xce), 4),
        -0x80..=-33 => (Some(0xd0), 1),
        -0x8000..=-0x81 => (Some(0xd1), 2),
        -0x8000_0000..=-0x8001 => (Some(0xd2), 4),
        _ => (Some(0xd3), 8),
    };
    out.extend(head);
    out.extend_from_slice(bytes.get(8 - width..).unwrap_or_default());
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], String> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or("unexpected EOF")?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "unexpected EOF".to_owned())
    }

    /// A length, or an unsigned integer, of so many bytes.
    fn unsigned(&mut self, width: usize) -> Result<u64, String> {
        Ok(self.take(width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn len(&mut self, width: usize) -> Result<usize, String> {
        usize::try_from(self.unsigned(width)?).map_err(|_| "length is too large".to_owned())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let [head] = self.array()?;
        Ok(match head {
            0..=0x7f => Value::Int(head.into()),
            0x80..=0x8f => self.map(usize::from(head & 15), depth)?,
            0x90..=0x9f => self.list(usize::from(head & 15), depth)?,
            0xa0..=0xbf => self.text(usize::from(head & 31))?,
            0xc0 => Value::Null,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4..=0xc6 => {
                let len = self.len(1 << (head - 0xc4))?;
                Value::bytes(self.take(len)?.to_vec())
            }
            0xc7..=0xc9 => {
                let len = self.len(1 << (head - 0xc7))?;
                self.extension(len)?
            }
            0xca => Value::Float(f32::from_be_bytes(self.array()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xcc..=0xcf => {
                let number = self.unsigned(1 << (head - 0xcc))?;
                i64::try_from(number).map_or(Value::Uint(number), Value::Int)
            }
            0xd0 => Value::Int(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            0xd4..=0xd8 => self.extension(1 << (head - 0xd4))?,
            0xd9..=0xdb => {
                let len = self.len(1 << (head - 0xd9))?;
                self.text(len)?
            }
            0xdc | 0xdd => {
                let len = self.len(2 << (head - 0xdc))?;
                self.list(len, depth)?
            }
            0xde | 0xdf => {
                let len = self.len(2 << (head - 0xde))?;
                self.map(len, depth)?
            }
            0xe0..=0xff => Value::Int(i8::from_be_bytes([head]).into()),
            0xc1 => return Err("unknown code c1".to_owned()),
        })
    }

    fn text(&mut self, len: usize) -> Result<Value, String> {
        Ok(Value::String(Text::new(self.take(len)?)))
    }

    fn list(&mut self, len: usize, depth: usize) -> Result<Value, String> {
        // The length may lie: room is made only for what the bytes could hold.
        let mut items = Vec::with_capacity(len.min(self.rest.len()));
        for _ in 0..len {
            items.push(deep(|| self.value(depth + 1))?);
        }
        Ok(items.into())
    }

    fn map(&mut self, len: usize, depth: usize) -> Result<Value, String> {
        let mut object = Object::with_capacity(len.min(self.rest.len() / 2));
        for _ in 0..len {
            let key = deep(|| self.value(depth + 1))?;
            object.insert(key.to_text(), deep(|| self.value(depth + 1))?);
        }
        Ok(object.into())
    }

    /// Only times are known.
    fn extension(&mut self, len: usize) -> Result<Value, String> {
        let [kind] = self.array()?;
        let (seconds, nanos) = match (kind, len) {
            (0xff, 4) => (self.unsigned(4)?.cast_signed(), 0),
            (0xff, 8) => {
                let both = self.unsigned(8)?;
                ((both & 0x3_ffff_ffff).cast_signed(), (both >> 34).cast_signed())
            }
            (0xff, 12) => {
                let nanos = self.unsigned(4)?.cast_signed();
                (i64::from_be_bytes(self.array()?), nanos)
            }
            _ => return Err(format!("unknown ext id={}", i8::from_be_bytes([kind]))),
        };
        let time = crate::timestamp::Timestamp::from_unix(seconds, nanos).ok_or("time is out of range")?;
        Ok(time.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = r#"{"a":[-1,-33,-129,-40000,-3000000000,127,128,256,65536,4294967296],"b":1.5,"c":null,"d":[true,false,{}],"e":"é"}"#;
        let value = Value::parse_json(text.as_bytes().to_vec()).unwrap();
        let mut out = Vec::new();
        write(&mut Cx::detached(), &value, &mut out, 0).unwrap();
        assert_eq!(Reader { rest: &out }.value(0).unwrap().to_json(), text);
        for len in 0..out.len() {
            assert!(Reader { rest: out.get(..len).unwrap() }.value(0).is_err());
        }
        assert!(Reader { rest: &[0x91; 5000] }.value(0).is_err());
        assert!(Reader { rest: &[0xdd, 255, 255, 255, 255] }.value(0).is_err());
    }
}

//! Encodings of bytes as text.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{
    GeneralPurpose, GeneralPurposeConfig, STANDARD, URL_SAFE, URL_SAFE_NO_PAD,
};

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("encode", "Encodes bytes as text.", SCHEME, encode).prepared(scheme),
    Spec::method("decode", "Decodes text into bytes.", SCHEME, decode).prepared(scheme),
];

const SCHEME: &[Param] =
    &[Param::string("scheme", "One of base64, base64url, base64rawurl, hex, ascii85 and z85.")];

/// An encoding.
#[derive(Clone, Copy)]
enum Scheme {
    Base64,
    Base64Url,
    Base64RawUrl,
    Hex,
    Ascii85,
    Z85,
}

fn scheme(args: &Args<'_>) -> Result<Prepared, Fault> {
    let name = args.str(0);
    Ok(Arc::new(match &*name {
        "base64" => Scheme::Base64,
        "base64url" => Scheme::Base64Url,
        "base64rawurl" => Scheme::Base64RawUrl,
        "hex" => Scheme::Hex,
        "ascii85" => Scheme::Ascii85,
        "z85" => Scheme::Z85,
        _ => return Err(Fault::new(format!("unrecognized encoding type: {name}"))),
    }))
}

fn prepared(args: &Args<'_>) -> Scheme {
    args.prepared().copied().unwrap_or(Scheme::Base64)
}

fn encode(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 64)?;
    Ok(match prepared(args) {
        Scheme::Base64 => STANDARD.encode(&*text.bytes).into(),
        Scheme::Base64Url => URL_SAFE.encode(&*text.bytes).into(),
        Scheme::Base64RawUrl => URL_SAFE_NO_PAD.encode(&*text.bytes).into(),
        Scheme::Hex => hex(&text.bytes).into(),
        Scheme::Ascii85 => ascii85(&text.bytes).into(),
        Scheme::Z85 => z85(&text.bytes)?.into(),
    })
}

fn decode(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 64)?;
    let decoded = match prepared(args) {
        Scheme::Base64 => decode_base64(&text.bytes, &alphabet::STANDARD, true),
        Scheme::Base64Url => decode_base64(&text.bytes, &alphabet::URL_SAFE, true),
        Scheme::Base64RawUrl => decode_base64(&text.bytes, &alphabet::URL_SAFE, false),
        Scheme::Hex => decode_hex(&text.bytes),
        Scheme::Ascii85 => decode_ascii85(&text.bytes),
        Scheme::Z85 => decode_z85(&text.bytes),
    };
    decoded.map(Value::bytes)
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn decode_hex(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let digit = |byte: u8| {
        let value = char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
        value.ok_or_else(|| Fault::new(format!("encoding/hex: invalid byte: {}", shown(byte))))
    };
    let mut out = Vec::with_capacity(text.len() / 2);
    for pair in text.chunks(2) {
        match pair {
            [high, low] => out.push(digit(*high)? << 4 | digit(*low)?),
            [single] => {
                digit(*single)?;
                return Err(Fault::new("unexpected EOF"));
            }
            _ => {}
        }
    }
    Ok(out)
}

/// A byte as `U+0067 'g'`.
fn shown(byte: u8) -> String {
    let char = char::from(byte);
    if byte.is_ascii_graphic() || byte == b' ' || byte > 0xa0 {
        format!("U+{byte:04X} '{char}'")
    } else {
        format!("U+{byte:04X}")
    }
}

/// Decodes base64, passing over line breaks; the error names the byte that does not belong.
fn decode_base64(text: &[u8], alphabet: &alphabet::Alphabet, padded: bool) -> Result<Vec<u8>, Fault> {
    let mode = if padded { DecodePaddingMode::RequireCanonical } else { DecodePaddingMode::RequireNone };
    let config =
        GeneralPurposeConfig::new().with_decode_padding_mode(mode).with_decode_allow_trailing_bits(true);
    let plain: Vec<u8> = text.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    let decoder = GeneralPurpose::new(alphabet, config);
    // Whole groups come first; only then it counts that the last one is cut.
    let whole = if padded { plain.len() / 4 * 4 } else { plain.len() };
    let result = decoder.decode(plain.get(..whole).unwrap_or_default());
    if whole < plain.len() && result.is_ok() {
        return Err(Fault::new("unexpected EOF"));
    }
    result.map_err(|error| {
        let text = match error {
            base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => {
                format!("illegal base64 data at input byte {at}")
            }
            base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
                "unexpected EOF".to_owned()
            }
        };
        Fault::new(text)
    })
}

/// Five digits of base 85, the most significant first.
fn base85(word: u32) -> [u8; 5] {
    let mut digits = [0; 5];
    let mut rest = word;
    for digit in digits.iter_mut().rev() {
        *digit = (rest % 85) as u8;
        rest /= 85;
    }
    digits
}

fn ascii85(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() / 4 * 5 + 5);
    for chunk in bytes.chunks(4) {
        let mut word = [0; 4];
        for (slot, byte) in word.iter_mut().zip(chunk) {
            *slot = *byte;
        }
        let word = u32::from_be_bytes(word);
        if word == 0 && chunk.len() == 4 {
            out.push('z');
            continue;
        }
        out.extend(base85(word).iter().take(chunk.len() + 1).map(|digit| char::from(digit + b'!')));
    }
    out
}

fn decode_ascii85(text: &[u8]) -> Result<Vec<u8>, Fault> {
    let illegal = |at: usize| Fault::new(format!("illegal ascii85 data at input byte {at}"));
    let mut out = Vec::with_capacity(text.len());
    let (mut word, mut count) = (0u32, 0usize);
    for (at, byte) in text.iter().copied().enumerate() {
        match byte {
            0..=b' ' => continue,
            b'z' if count == 0 => {
                out.extend_from_slice(&[0; 4]);
                continue;
            }
            b'!'..=b'u' => word = word.wrapping_mul(85).wrapping_add(u32::from(byte - b'!')),
            _ => return Err(illegal(at)),
        }
        count += 1;
        if count == 5 {
            out.extend_from_slice(&word.to_be_bytes());
            (word, count) = (0, 0);
        }
    }
    if count == 1 {
        return Err(illegal(text.len()));
    }
    if count > 1 {
        for _ in count..5 {
            word = word.wrapping_mul(85).wrapping_add(84);
        }
        out.extend(word.to_be_bytes().iter().take(count - 1));
    }
    Ok(out)
}

const Z85: &[u8; 85] =
    b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

fn z85(bytes: &[u8]) -> Result<String, Fault> {
    if !bytes.len().is_multiple_of(4) {
        return Err(Fault::new("z85: wrongly aligned input data"));
    }
    let words = bytes.as_chunks::<4>().0.iter().map(|chunk| u32::from_be_bytes(*chunk));
    let digits = words.flat_map(base85);
    Ok(digits.map(|digit| char::from(Z85.get(usize::from(digit)).copied().unwrap_or(b'0'))).collect())
}

fn decode_z85(text: &[u8]) -> Result<Vec<u8>, Fault> {
    if !text.len().is_multiple_of(5) {
        return Err(Fault::new("z85: wrongly aligned input data"));
    }
    let mut out = Vec::with_capacity(text.len() / 5 * 4);
    for (at, chunk) in text.chunks(5).enumerate() {
        let mut word = 0u32;
        for (offset, byte) in chunk.iter().enumerate() {
            let place = at * 5 + offset;
            let digit =
                Z85.iter().position(|known| known == byte).and_then(|digit| u32::try_from(digit).ok());
            let digit = digit.ok_or_else(|| Fault::new(format!("z85: invalid byte at position {place}")))?;
            word = word.wrapping_mul(85).wrapping_add(digit);
        }
        out.extend_from_slice(&word.to_be_bytes());
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for text in ["", "a", "hello world", "this is totally unstructured data", "\0\0\0\0x"] {
            assert_eq!(decode_ascii85(ascii85(text.as_bytes()).as_bytes()).unwrap(), text.as_bytes());
            assert_eq!(decode_hex(hex(text.as_bytes()).as_bytes()).unwrap(), text.as_bytes());
        }
        assert_eq!(
            ascii85(b"this is totally unstructured data"),
            "FD,B0+DGm>FDl80Ci\"A>F`)8BEckl6F`M&(+Cno&@/"
        );
        assert_eq!(z85(b"\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B").unwrap(), "HelloWorld");
        assert_eq!(decode_z85(b"HelloWorld").unwrap(), b"\x86\x4F\xD2\x6F\xB5\x59\xF7\x5B");
    }

    #[test]
    fn errors() {
        assert_eq!(decode_hex(b"zz").unwrap_err().to_string(), "encoding/hex: invalid byte: U+007A 'z'");
        assert_eq!(decode_hex(b"abc").unwrap_err().to_string(), "unexpected EOF");
        assert!(decode_base64(b"YQ", &alphabet::STANDARD, true).is_err());
        assert_eq!(decode_base64(b"Y\nQ==", &alphabet::STANDARD, true).unwrap(), b"a");
    }
}

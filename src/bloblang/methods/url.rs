//! Taking URLs apart.

use super::escape::{percent, unpercent};
use super::target::{coerced, pair};
use crate::compat::quote_bytes;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("parse_url", "Takes a URL apart into its parts.", &[], parse_url)];

/// The parts of a URL.
#[derive(Default)]
struct Url<'a> {
    scheme: Vec<u8>,
    opaque: &'a [u8],
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    path: &'a [u8],
    query: &'a [u8],
}

/// Whether a text is a URL, and has a scheme.
pub(crate) fn is_url(text: &str) -> Option<bool> {
    let bytes = text.as_bytes();
    let (url, fragment) = cut(bytes, b'#').unwrap_or((bytes, b""));
    let url = parse(url).ok()?;
    (unpercent(url.path, false).is_ok() && unpercent(fragment, false).is_ok())
        .then_some(!url.scheme.is_empty())
}

fn parse_url(cx: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = coerced(&target)?;
    cx.spend(bytes.len() as u64 / 32)?;
    let (url, fragment) = cut(&bytes, b'#').unwrap_or((&bytes, b""));
    let failed = |whole: &[u8], fault: Fault| fault.context(format!("parse {}", quote_bytes(whole)));
    let parsed = parse(url).map_err(|fault| failed(url, fault))?;
    let (path, raw_path) = resolved(parsed.path, b"$&+,/:;=@").map_err(|fault| failed(url, fault))?;
    let (fragment, raw_fragment) =
        resolved(fragment, b"$&+,/:;=?@!()*").map_err(|fault| failed(&bytes, fault))?;
    let text = |bytes: &[u8]| Value::String(Text::new(bytes));
    let mut object = Object::with_capacity(9);
    for (key, bytes) in [
        ("scheme", &*parsed.scheme),
        ("opaque", parsed.opaque),
        ("host", &parsed.host),
        ("path", &path),
        ("raw_path", raw_path),
        ("raw_query", parsed.query),
        ("fragment", &fragment),
        ("raw_fragment", raw_fragment),
    ] {
        object.insert(key, text(bytes));
    }
    match parsed.user {
        Some((name, Some(password))) => {
            object.insert("user", pair(("name", text(&name)), ("password", text(&password))));
        }
        Some((name, None)) => {
            object.insert("user", Value::object([("name", text(&name))].into_iter().collect()));
        }
        None => {}
    }
    Ok(object.into())
}

/// What is before and after the first `byte`.
fn cut(bytes: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(byte, bytes)?;
    Some((bytes.get(..at)?, bytes.get(at + 1..)?))
}

/// Text without its escapes, and as it was where escaping it again would give something else.
fn resolved<'a>(raw: &'a [u8], reserved: &[u8]) -> Result<(Vec<u8>, &'a [u8]), Fault> {
    let plain = unpercent(raw, false)?;
    let keep = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') || reserved.contains(&byte)
    };
    let raw = if percent(&plain, keep, false) == raw { b"" } else { raw };
    Ok((plain, raw))
}

fn parse(text: &[u8]) -> Result<Url<'_>, Fault> {
    if text.iter().any(u8::is_ascii_control) {
        return Err(Fault::new("net/url: invalid control character in URL"));
    }
    let mut url = Url::default();
    if text == b"*" {
        url.path = text;
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_ascii_lowercase();
    let (rest, query) = cut(rest, b'?').unwrap_or((rest, b""));
    (url.path, url.query) = (rest, query);
    if !rest.starts_with(b"/") {
        if !scheme.is_empty() {
            (url.opaque, url.path) = (rest, b"");
        } else if rest.split(|byte| *byte == b'/').next().is_some_and(|segment| segment.contains(&b':')) {
            return Err(Fault::new("first path segment in URL cannot contain colon"));
        }
        return Ok(url);
    }
    if (!scheme.is_empty() || !rest.starts_with(b"///"))
        && let Some(rest) = rest.strip_prefix(b"//")
    {
        let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, b""));
        url.path = path;
        let (user, host) = match memchr::memrchr(b'@', authority) {
            Some(at) => (authority.get(..at), authority.get(at + 1..).unwrap_or_default()),
            None => (None, authority),
        };
        url.host = parse_host(host)?;
        url.user = user.map(parse_user).transpose()?;
    }
    Ok(url)
}

fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err(Fault::new("missing protocol scheme")),
            b':' => return Ok(cut(text, b':').unwrap_or((b"", text))),
            _ => break,
        }
    }
    Ok((b"", text))
}

fn parse_user(text: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), Fault> {
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
    if !text.iter().all(valid) {
        return Err(Fault::new("net/url: invalid userinfo"));
    }
    Ok(match cut(text, b':') {
        Some((name, password)) => (unpercent(name, false)?, Some(unpercent(password, false)?)),
        None => (unpercent(text, false)?, None),
    })
}

fn parse_host(host: &[u8]) -> Result<Vec<u8>, Fault> {
    let port = match memchr::memrchr(b'[', host) {
        Some(0) => {
            let Some(end) = memchr::memrchr(b']', host) else {
                return Err(Fault::new("missing ']' in host"));
            };
            let inside = host.get(1..end).unwrap_or_default();
            let address =
                memchr::memmem::find(inside, b"%25").map_or(inside, |at| inside.get(..at).unwrap_or(inside));
            let address = crate::text::lossy(address);
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                let shown = quote_bytes(address.as_bytes());
                return Err(Fault::new(format!("invalid host: ParseAddr({shown}): unable to parse IP")));
            }
            host.get(end + 1..).unwrap_or_default()
        }
        Some(_) => return Err(Fault::new("invalid IP-literal")),
        None => memchr::memrchr(b':', host).and_then(|at| host.get(at..)).unwrap_or_default(),
    };
    let valid = port.is_empty()
        || port.strip_prefix(b":").is_some_and(|digits| digits.iter().all(u8::is_ascii_digit));
    if !valid {
        return Err(Fault::new(format!("invalid port {} after host", quote_bytes(port))));
    }
    // Only what is not ASCII, and the mark of a zone, may be escaped.
    let mut at = 0;
    while let Some(byte) = host.get(at) {
        let escape = host.get(at..(at + 3).min(host.len())).unwrap_or_default();
        match byte {
            b'%' => {
                let high = escape.get(1).and_then(|byte| char::from(*byte).to_digit(16));
                if escape != b"%25" && high.is_none_or(|high| high < 8) {
                    return Err(Fault::new(format!("invalid URL escape {}", quote_bytes(escape))));
                }
            }
            byte if byte.is_ascii_alphanumeric()
                || !byte.is_ascii()
                || b"!$&'()*+,;=:[]<>\"-_.~".contains(byte) => {}
            byte => {
                let shown = quote_bytes(&[*byte]);
                return Err(Fault::new(format!("invalid character {shown} in host name")));
            }
        }
        at += 1;
    }
    unpercent(host, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, error) in [
            ("[::1", "missing ']' in host"),
            ("a:b", "invalid port \":b\" after host"),
            ("a b", "invalid character \" \" in host name"),
            ("h%41", "invalid URL escape \"%41\""),
            ("a[b]", "invalid IP-literal"),
        ] {
            assert_eq!(parse_host(host.as_bytes()).unwrap_err().to_string(), error);
        }
        assert_eq!(parse_host(b"[::1%25eth]:8").unwrap(), b"[::1%eth]:8");
    }
}

//! Identifiers made of names.

use sha1::{Digest as _, Sha1};

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::functions::uuid;
use crate::spec::{Args, Param, Spec};
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[Spec::method(
    "uuid_v5",
    "A UUID made of a name and a namespace.",
    &[Param::string("ns", "dns, url, oid, x500 or any UUID; the nil UUID if left out.").optional()],
    uuid_v5,
)];

fn uuid_v5(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    if target.kind() == Kind::Null {
        return Ok(Value::Null);
    }
    let space = match args.text(0) {
        None => [0; 16],
        Some(space) => namespace(&space.as_str()).ok_or_else(|| {
            Fault::new(format!("invalid ns uuid: {}", crate::compat::quote(&space.as_str())))
        })?,
    };
    let name = text(&target)?;
    let mut hash = Sha1::new();
    hash.update(space);
    hash.update(&*name.bytes);
    let hash = hash.finalize();
    let mut bytes = [0; 16];
    for (slot, byte) in bytes.iter_mut().zip(hash.iter()) {
        *slot = *byte;
    }
    Ok(uuid(bytes, 5))
}

fn namespace(name: &str) -> Option<[u8; 16]> {
    let predefined = |last: u8| {
        let mut bytes = 0x6ba7_b810_9dad_11d1_80b4_00c0_4fd4_30c8u128.to_be_bytes();
        bytes[3] = last;
        bytes
    };
    match name {
        "dns" => return Some(predefined(0x10)),
        "url" => return Some(predefined(0x11)),
        "oid" => return Some(predefined(0x12)),
        "x500" => return Some(predefined(0x14)),
        _ => {}
    }
    let name = name.strip_prefix("urn:uuid:").unwrap_or(name);
    let name = name.strip_prefix('{').and_then(|name| name.strip_suffix('}')).unwrap_or(name);
    let lengths = name.split('-').map(str::len);
    let digits = match name.len() {
        36 if lengths.eq([8, 4, 4, 4, 12]) => name.replace('-', ""),
        32 => name.to_owned(),
        _ => return None,
    };
    let hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(u128::to_be_bytes)
}

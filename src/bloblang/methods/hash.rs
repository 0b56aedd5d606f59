//! Hashes.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Digest as _;

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] =
    &[Spec::method("hash", "The hash of a string or bytes, as bytes.", HASH, hash).prepared(algorithm)];

const HASH: &[Param] = &[
    Param::string(
        "algorithm",
        "One of md5, sha1, sha256, sha512, sha3_256, sha3_512, hmac_sha1, hmac_sha256, hmac_sha512, xxhash64, crc32 and fnv32.",
    ),
    Param::string("key", "The key of an hmac.").optional(),
    Param::string("polynomial", "For crc32: IEEE, Castagnoli or Koopman.").default(Default::String("IEEE")),
];

/// A hash with what it needs.
enum Algorithm {
    Md5,
    Sha1,
    Sha256,
    Sha512,
    Sha3Of256,
    Sha3Of512,
    HmacSha1(Vec<u8>),
    HmacSha256(Vec<u8>),
    HmacSha512(Vec<u8>),
    Xxhash64,
    Crc32,
    /// Another polynomial's table; `None` is one nobody knows, which fails when used.
    Crc32Of(Option<Box<[u32; 256]>>, String),
    Fnv32,
}

fn algorithm(args: &Args<'_>) -> Result<Prepared, Fault> {
    let name = args.str(0);
    let key = || match args.bytes(1) {
        Some(key) if !key.is_empty() => Ok(key.to_vec()),
        _ => Err(Fault::new(format!("hash algorithm {name} requires a key argument"))),
    };
    Ok(Arc::new(match &*name {
        "md5" => Algorithm::Md5,
        "sha1" => Algorithm::Sha1,
        "sha256" => Algorithm::Sha256,
        "sha512" => Algorithm::Sha512,
        "sha3_256" => Algorithm::Sha3Of256,
        "sha3_512" => Algorithm::Sha3Of512,
        "hmac_sha1" | "hmac-sha1" => Algorithm::HmacSha1(key()?),
        "hmac_sha256" | "hmac-sha256" => Algorithm::HmacSha256(key()?),
        "hmac_sha512" | "hmac-sha512" => Algorithm::HmacSha512(key()?),
        "xxhash64" => Algorithm::Xxhash64,
        "fnv32" => Algorithm::Fnv32,
        "crc32" => {
            let polynomial = args.str(2);
            match &*polynomial {
                "IEEE" => Algorithm::Crc32,
                "Castagnoli" => Algorithm::Crc32Of(Some(table(0x82f6_3b78)), String::new()),
                "Koopman" => Algorithm::Crc32Of(Some(table(0xeb31_d82e)), String::new()),
                other => Algorithm::Crc32Of(None, other.to_owned()),
            }
        }
        _ => return Err(Fault::new(format!("unrecognized hash type: {name}"))),
    }))
}

/// Table of a reflected polynomial.
fn table(polynomial: u32) -> Box<[u32; 256]> {
    let mut table = Box::new([0u32; 256]);
    for (slot, start) in table.iter_mut().zip(0u32..) {
        *slot = (0..8).fold(start, |crc, _| if crc & 1 == 1 { crc >> 1 ^ polynomial } else { crc >> 1 });
    }
    table
}

fn crc32(table: &[u32; 256], bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let at = (crc & 0xff) as usize ^ usize::from(*byte);
        crc >> 8 ^ table.get(at).copied().unwrap_or(0)
    })
}

fn fnv32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| hash.wrapping_mul(0x0100_0193) ^ u32::from(*byte))
}

fn mac<M: Mac + KeyInit>(key: &[u8], bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut mac = <M as KeyInit>::new_from_slice(key).map_err(|error| Fault::new(error.to_string()))?;
    mac.update(bytes);
    Ok(mac.finalize().into_bytes().to_vec())
}

fn hash(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 32)?;
    let bytes = &*text.bytes;
    let Some(algorithm) = args.prepared::<Algorithm>() else {
        return Err(Fault::new("the algorithm was not prepared"));
    };
    let hash: Vec<u8> = match algorithm {
        Algorithm::Md5 => md5::Md5::digest(bytes).to_vec(),
        Algorithm::Sha1 => sha1::Sha1::digest(bytes).to_vec(),
        Algorithm::Sha256 => sha2::Sha256::digest(bytes).to_vec(),
        Algorithm::Sha512 => sha2::Sha512::digest(bytes).to_vec(),
        Algorithm::Sha3Of256 => sha3::Sha3_256::digest(bytes).to_vec(),
        Algorithm::Sha3Of512 => sha3::Sha3_512::digest(bytes).to_vec(),
        Algorithm::HmacSha1(key) => mac::<Hmac<sha1::Sha1>>(key, bytes)?,
        Algorithm::HmacSha256(key) => mac::<Hmac<sha2::Sha256>>(key, bytes)?,
        Algorithm::HmacSha512(key) => mac::<Hmac<sha2::Sha512>>(key, bytes)?,
        // These two are decimal text.
        Algorithm::Xxhash64 => xxhash_rust::xxh64::xxh64(bytes, 0).to_string().into_bytes(),
        Algorithm::Fnv32 => fnv32(bytes).to_string().into_bytes(),
        Algorithm::Crc32 => crc32fast::hash(bytes).to_be_bytes().to_vec(),
        Algorithm::Crc32Of(Some(table), _) => crc32(table, bytes).to_be_bytes().to_vec(),
        Algorithm::Crc32Of(None, name) => {
            return Err(Fault::new(format!("unsupported crc32 hash key {}", crate::compat::quote(name))));
        }
    };
    Ok(Value::bytes(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        assert_eq!(crc32(&table(0x82f6_3b78), b"hello world"), 0xc994_65aa);
        assert_eq!(crc32(&table(0xeb31_d82e), b"hello world"), 0xdf37_3d3c);
        assert_eq!(crc32(&table(0xedb8_8320), b"hello"), crc32fast::hash(b"hello"));
        assert_eq!(fnv32(b""), 0x811c_9dc5);
        assert_eq!(mac::<Hmac<sha1::Sha1>>(b"static-key", b"hello world").unwrap().first(), Some(&0xd8));
    }
}

//! Encryption by AES.

use std::sync::Arc;

use aes::cipher::{Block, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{Aead as _, Nonce};

use super::target::text;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::text::Text;
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("encrypt_aes", "Encrypts by AES; the result is a string of raw bytes.", PARAMS, encrypt)
        .prepared(sealer),
    Spec::method("decrypt_aes", "Decrypts what AES encrypted, into bytes.", PARAMS, decrypt).prepared(opener),
];

const PARAMS: &[Param] = &[
    Param::string("scheme", "One of ctr, gcm, ofb and cbc."),
    Param::string("key", "The key: 16, 24 or 32 bytes."),
    Param::string("iv", "The initialization vector: 16 bytes, 12 for gcm."),
];

/// A block cipher with its key.
enum Key {
    Of128(Box<Aes128>),
    Of192(Box<Aes192>),
    Of256(Box<Aes256>),
}

const BLOCK: usize = 16;

impl Key {
    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        let block: &mut Block<Aes128> = block.into();
        match self {
            Self::Of128(key) => key.encrypt_block(block),
            Self::Of192(key) => key.encrypt_block(block),
            Self::Of256(key) => key.encrypt_block(block),
        }
    }

    fn decrypt(&self, block: &mut [u8; BLOCK]) {
        let block: &mut Block<Aes128> = block.into();
        match self {
            Self::Of128(key) => key.decrypt_block(block),
            Self::Of192(key) => key.decrypt_block(block),
            Self::Of256(key) => key.decrypt_block(block),
        }
    }
}

/// How blocks are chained.
enum Cipher {
    Counter(Key, [u8; BLOCK]),
    Feedback(Key, [u8; BLOCK]),
    Chained(Key, [u8; BLOCK]),
    /// Authenticated; the key is expanded for each message.
    Galois(Vec<u8>, [u8; 12]),
}

fn sealer(args: &Args<'_>) -> Result<Prepared, Fault> {
    cipher(args, "encryption")
}

fn opener(args: &Args<'_>) -> Result<Prepared, Fault> {
    cipher(args, "decryption")
}

fn cipher(args: &Args<'_>, what: &str) -> Result<Prepared, Fault> {
    let (scheme, secret, iv) =
        (args.str(0), args.bytes(1).unwrap_or_default(), args.bytes(2).unwrap_or_default());
    let wrong_size = |_| Fault::new(format!("crypto/aes: invalid key size {}", secret.len()));
    let key = match secret.len() {
        16 => Key::Of128(Box::new(Aes128::new_from_slice(secret).map_err(wrong_size)?)),
        24 => Key::Of192(Box::new(Aes192::new_from_slice(secret).map_err(wrong_size)?)),
        _ => Key::Of256(Box::new(Aes256::new_from_slice(secret).map_err(wrong_size)?)),
    };
    let block = || iv.try_into().map_err(|_| Fault::new("the key must match the initialisation vector size"));
    Ok(Arc::new(match &*scheme {
        "ctr" => Cipher::Counter(key, block()?),
        "ofb" => Cipher::Feedback(key, block()?),
        "cbc" => Cipher::Chained(key, block()?),
        "gcm" => {
            let nonce = iv.try_into().map_err(|_| {
                Fault::new(format!("gcm needs an initialization vector of 12 bytes, not of {}", iv.len()))
            })?;
            Cipher::Galois(secret.to_vec(), nonce)
        }
        _ => return Err(Fault::new(format!("unrecognized {what} type: {scheme}"))),
    }))
}

fn prepared<'a>(args: &Args<'a>) -> Result<&'a Cipher, Fault> {
    args.prepared().ok_or_else(|| Fault::new("the cipher was not prepared"))
}

fn xor(bytes: &mut [u8], with: &[u8; BLOCK]) {
    for (byte, other) in bytes.iter_mut().zip(with) {
        *byte ^= other;
    }
}

/// Counter mode, which is its own inverse.
fn counter(key: &Key, iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut count = u128::from_be_bytes(*iv);
    for chunk in bytes.chunks_mut(BLOCK) {
        let mut block = count.to_be_bytes();
        key.encrypt(&mut block);
        xor(chunk, &block);
        count = count.wrapping_add(1);
    }
}

/// Output feedback, which is its own inverse.
fn feedback(key: &Key, iv: &[u8; BLOCK], bytes: &mut [u8]) {
    let mut block = *iv;
    for chunk in bytes.chunks_mut(BLOCK) {
        key.encrypt(&mut block);
        xor(chunk, &block);
    }
}

fn galois(secret: &[u8], nonce: &[u8; 12], bytes: &[u8], seal: bool) -> Result<Vec<u8>, aes_gcm::Error> {
    let nonce: &Nonce<AesGcm<Aes128, U12>> = nonce.into();
    let wrong = |_| aes_gcm::Error;
    match (secret.len(), seal) {
        (16, true) => AesGcm::<Aes128, U12>::new_from_slice(secret).map_err(wrong)?.encrypt(nonce, bytes),
        (24, true) => AesGcm::<Aes192, U12>::new_from_slice(secret).map_err(wrong)?.encrypt(nonce, bytes),
        (_, true) => AesGcm::<Aes256, U12>::new_from_slice(secret).map_err(wrong)?.encrypt(nonce, bytes),
        (16, false) => AesGcm::<Aes128, U12>::new_from_slice(secret).map_err(wrong)?.decrypt(nonce, bytes),
        (24, false) => AesGcm::<Aes192, U12>::new_from_slice(secret).map_err(wrong)?.decrypt(nonce, bytes),
        (_, false) => AesGcm::<Aes256, U12>::new_from_slice(secret).map_err(wrong)?.decrypt(nonce, bytes),
    }
}

/// Each block mixed with the sealed one before it.
fn chained(key: &Key, iv: &[u8; BLOCK], blocks: &mut [[u8; BLOCK]], seal: bool) {
    let mut before = *iv;
    for block in blocks {
        if seal {
            xor(block, &before);
            key.encrypt(block);
            before = *block;
        } else {
            let sealed = *block;
            key.decrypt(block);
            xor(block, &before);
            before = sealed;
        }
    }
}

fn apply(cx: &mut Cx<'_>, target: &Value, args: &Args<'_>, seal: bool) -> Result<Vec<u8>, Fault> {
    let text = text(target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    let mut bytes = text.bytes.to_vec();
    match prepared(args)? {
        Cipher::Counter(key, iv) => counter(key, iv, &mut bytes),
        Cipher::Feedback(key, iv) => feedback(key, iv, &mut bytes),
        Cipher::Chained(key, iv) => {
            let (blocks, []) = bytes.as_chunks_mut::<BLOCK>() else {
                let what = if seal { "plaintext" } else { "ciphertext" };
                return Err(Fault::new(format!("{what} is not a multiple of the block size")));
            };
            chained(key, iv, blocks, seal);
        }
        Cipher::Galois(key, nonce) => {
            let failed = if seal {
                "gcm encrypting failed"
            } else {
                "gcm decrypting failed: cipher: message authentication failed"
            };
            bytes = galois(key, nonce, &bytes, seal).map_err(|_| Fault::new(failed))?;
        }
    }
    Ok(bytes)
}

fn encrypt(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::String(Text::from(apply(cx, &target, args, true)?)))
}

fn decrypt(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(Value::bytes(apply(cx, &target, args, false)?))
}

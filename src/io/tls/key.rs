//! Private keys in PEM, with a password or without.

use cbc::cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7};
use data_encoding::HEXUPPER_PERMISSIVE;
use md5::{Digest, Md5};
use pem::Pem;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};

/// The first key in a text. A password counts only for a key that is encrypted.
pub(super) fn read(text: &[u8], password: &str) -> Result<PrivateKeyDer<'static>, String> {
    // What cannot be read as PEM is left to the reader of plain keys, which says why.
    let blocks = pem::parse_many(text).unwrap_or_default();
    let key = blocks.iter().find(|block| block.tag().ends_with("PRIVATE KEY"));
    let decrypt: fn(&Pem, &str) -> Result<PrivateKeyDer<'static>, String> = match key {
        Some(key) if key.tag() == "ENCRYPTED PRIVATE KEY" => pkcs8,
        Some(key) if key.headers().get("DEK-Info").is_some() => openssl,
        _ => {
            return PrivateKeyDer::from_pem_slice(text)
                .map_err(|error| format!("failed to read a key in PEM: {error}"));
        }
    };
    let Some(key) = key.filter(|_| !password.is_empty()) else {
        return Err("the key is encrypted, and there is no password".into());
    };
    decrypt(key, password).map_err(|error| format!("failed to decrypt the key: {error}"))
}

fn pkcs8(key: &Pem, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let info = EncryptedPrivateKeyInfoRef::try_from(key.contents()).map_err(|error| error.to_string())?;
    let decrypted = info.decrypt(password).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::DecryptFailed) => wrong(),
        other => other.to_string(),
    })?;
    Ok(PrivateKeyDer::Pkcs8(decrypted.as_bytes().to_vec().into()))
}

fn wrong() -> String {
    "the password is wrong".into()
}

/// The way of OpenSSL before PKCS #8: the cipher is named in a header of the PEM.
fn openssl(key: &Pem, password: &str) -> Result<PrivateKeyDer<'static>, String> {
    let (cipher, salt) =
        key.headers().get("DEK-Info").and_then(|info| info.split_once(',')).unwrap_or_default();
    let salt =
        HEXUPPER_PERMISSIVE.decode(salt.trim().as_bytes()).map_err(|error| format!("DEK-Info: {error}"))?;
    let decrypt = match cipher {
        "AES-128-CBC" => decrypted::<cbc::Decryptor<aes::Aes128>>,
        "AES-192-CBC" => decrypted::<cbc::Decryptor<aes::Aes192>>,
        "AES-256-CBC" => decrypted::<cbc::Decryptor<aes::Aes256>>,
        "DES-EDE3-CBC" => decrypted::<cbc::Decryptor<des::TdesEde3>>,
        other => return Err(format!("its cipher {other:?} is not known")),
    };
    let content = decrypt(key.contents(), password.as_bytes(), &salt)?;
    match key.tag() {
        "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(content.into())),
        "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(content.into())),
        other => Err(format!("{other:?} is no kind of key that is encrypted so")),
    }
}

fn decrypted<C: KeyIvInit + BlockModeDecrypt>(
    content: &[u8],
    password: &[u8],
    salt: &[u8],
) -> Result<Vec<u8>, String> {
    // Each piece of the key is a hash of the one before, the password and eight bytes of salt.
    let (mut key, mut piece) = (Vec::new(), Vec::new());
    while key.len() < C::key_size() {
        let of = [&piece, password, salt.get(..8).unwrap_or(salt)].concat();
        piece = Md5::digest(of).to_vec();
        key.extend_from_slice(&piece);
    }
    key.truncate(C::key_size());
    let cipher =
        C::new_from_slices(&key, salt).map_err(|_| "DEK-Info: the salt has a wrong length".to_owned())?;
    cipher.decrypt_padded_vec::<Pkcs7>(content).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One key as OpenSSL writes it in many ways, each after its name.
    fn key(name: &str) -> &'static [u8] {
        let mut keys = include_str!("keys.pem").split("# ");
        keys.find_map(|key| key.strip_prefix(name)?.strip_prefix('\n')).unwrap().as_bytes()
    }

    #[test]
    fn keys_are_decrypted() {
        let plain = read(key("plain"), "for nothing").unwrap();
        for name in ["aes", "des3", "scrypt"] {
            assert_eq!(read(key(name), "secret"), Ok(plain.clone_key()), "{name}");
        }
        let plain = read(key("old-plain"), "").unwrap();
        for name in ["old-aes128", "old-aes192", "old-aes256", "old-des3"] {
            assert_eq!(read(key(name), "secret"), Ok(plain.clone_key()), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_decrypted_says_why() {
        for (name, password, error) in [
            ("aes", "", "the key is encrypted, and there is no password"),
            ("old-aes256", "", "the key is encrypted, and there is no password"),
            ("aes", "wrong", "failed to decrypt the key: the password is wrong"),
            ("old-aes256", "wrong", "failed to decrypt the key: the password is wrong"),
            (
                "old-camellia",
                "secret",
                "failed to decrypt the key: its cipher \"CAMELLIA-256-CBC\" is not known",
            ),
        ] {
            assert_eq!(read(key(name), password).unwrap_err(), error, "{name}");
        }
        assert!(read(key("pbes1"), "secret").unwrap_err().starts_with("failed to decrypt the key: "));
        assert!(read(b"nothing", "secret").unwrap_err().starts_with("failed to read a key in PEM: "));
    }
}

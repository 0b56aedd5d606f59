//! Keys of JSON Web Tokens, from secrets or PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use ring::rand::SystemRandom;
use ring::signature::{self, RsaKeyPair, UnparsedPublicKey};

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Es256,
    Es384,
    Es512,
    Hs256,
    Hs384,
    Hs512,
    Rs256,
    Rs384,
    Rs512,
}

const NOT_PEM: &str = "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key";

impl Algorithm {
    /// The name in a token's header.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
        }
    }

    /// What a signature that does not hold is called.
    pub(super) fn mismatch(self) -> &'static str {
        match self {
            Self::Hs256 | Self::Hs384 | Self::Hs512 => "signature is invalid",
            Self::Es256 | Self::Es384 | Self::Es512 => "crypto/ecdsa: verification error",
            Self::Rs256 | Self::Rs384 | Self::Rs512 => "crypto/rsa: verification error",
        }
    }
}

/// The first block of PEM: its label and bytes.
fn pem(text: &[u8]) -> Result<(String, Vec<u8>), String> {
    let text = crate::text::lossy(text);
    let block = || {
        let (_, rest) = text.split_once("-----BEGIN ")?;
        let (label, rest) = rest.split_once("-----")?;
        let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
        let body: String = body.split_ascii_whitespace().collect();
        Some((label.to_owned(), STANDARD.decode(body).ok()?))
    };
    block().ok_or_else(|| NOT_PEM.to_owned())
}

/// A key that signs.
pub(super) enum Private {
    P256(Box<p256::ecdsa::SigningKey>),
    P384(Box<p384::ecdsa::SigningKey>),
    P521(Box<p521::ecdsa::SigningKey>),
    Secret(Algorithm, Vec<u8>),
    Rsa(&'static dyn signature::RsaEncoding, Box<RsaKeyPair>),
}

impl Private {
    pub(super) fn decode(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        let curve = || pem(secret).map(|(label, der)| (label == "EC PRIVATE KEY", der));
        let unfit = |()| "invalid key: not of the algorithm's curve".to_owned();
        let rsa = |encoding| {
            let (label, der) = pem(secret)?;
            let key = if label == "RSA PRIVATE KEY" {
                RsaKeyPair::from_der(&der)
            } else {
                RsaKeyPair::from_pkcs8(&der)
            };
            Ok(Self::Rsa(encoding, Box::new(key.map_err(|error| format!("invalid key: {error}"))?)))
        };
        match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Ok(Self::Secret(algorithm, secret.to_vec()))
            }
            Algorithm::Es256 => {
                let (sec1, der) = curve()?;
                let key = if sec1 {
                    p256::SecretKey::from_sec1_der(&der).map_err(|_| ()).map_err(unfit)?
                } else {
                    p256::SecretKey::from_pkcs8_der(&der).map_err(|_| ()).map_err(unfit)?
                };
                Ok(Self::P256(Box::new(key.into())))
            }
            Algorithm::Es384 => {
                let (sec1, der) = curve()?;
                let key = if sec1 {
                    p384::SecretKey::from_sec1_der(&der).map_err(|_| ()).map_err(unfit)?
                } else {
                    p384::SecretKey::from_pkcs8_der(&der).map_err(|_| ()).map_err(unfit)?
                };
                Ok(Self::P384(Box::new(key.into())))
            }
            Algorithm::Es512 => {
                let (sec1, der) = curve()?;
                let key = if sec1 {
                    p521::SecretKey::from_sec1_der(&der).map_err(|_| ()).map_err(unfit)?
                } else {
                    p521::SecretKey::from_pkcs8_der(&der).map_err(|_| ()).map_err(unfit)?
                };
                Ok(Self::P521(Box::new(key.into())))
            }
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_SHA512),
        }
    }

    pub(super) fn sign(&self, text: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::P256(key) => {
                let signature: p256::ecdsa::Signature =
                    key.try_sign(text).map_err(|error| error.to_string())?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::P384(key) => {
                let signature: p384::ecdsa::Signature =
                    key.try_sign(text).map_err(|error| error.to_string())?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature =
                    key.try_sign(text).map_err(|error| error.to_string())?;
                Ok(signature.to_bytes().to_vec())
            }
            Self::Secret(algorithm, secret) => mac(*algorithm, secret, text),
            Self::Rsa(encoding, key) => {
                let mut out = vec![0; key.public().modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), text, &mut out)
                    .map_err(|error| error.to_string())?;
                Ok(out)
            }
        }
    }
}

fn mac(algorithm: Algorithm, secret: &[u8], text: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: hmac::digest::InvalidLength| error.to_string();
    Ok(match algorithm {
        Algorithm::Hs384 => {
            let mac = Hmac::<sha2::Sha384>::new_from_slice(secret).map_err(failed)?;
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
        Algorithm::Hs512 => {
            let mac = Hmac::<sha2::Sha512>::new_from_slice(secret).map_err(failed)?;
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
        _ => {
            let mac = Hmac::<sha2::Sha256>::new_from_slice(secret).map_err(failed)?;
            mac.chain_update(text).finalize().into_bytes().to_vec()
        }
    })
}

/// A key that verifies.
pub(super) enum Public {
    P256(Box<p256::ecdsa::VerifyingKey>),
    P384(Box<p384::ecdsa::VerifyingKey>),
    P521(Box<p521::ecdsa::VerifyingKey>),
    Secret(Algorithm, Vec<u8>),
    Rsa(UnparsedPublicKey<Vec<u8>>),
}

impl Public {
    pub(super) fn decode(algorithm: Algorithm, secret: &[u8]) -> Result<Self, String> {
        let unfit = || "invalid key: not of the algorithm's curve".to_owned();
        let rsa = |algorithm: &'static signature::RsaParameters| {
            let (label, der) = pem(secret)?;
            let key = if label == "RSA PUBLIC KEY" {
                der
            } else {
                let info = p256::pkcs8::SubjectPublicKeyInfoRef::try_from(&*der)
                    .map_err(|error| format!("invalid key: {error}"))?;
                info.subject_public_key.raw_bytes().to_vec()
            };
            Ok(Self::Rsa(UnparsedPublicKey::new(algorithm, key)))
        };
        match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                Ok(Self::Secret(algorithm, secret.to_vec()))
            }
            Algorithm::Es256 => {
                let key = p256::PublicKey::from_public_key_der(&pem(secret)?.1).map_err(|_| unfit())?;
                Ok(Self::P256(Box::new(key.into())))
            }
            Algorithm::Es384 => {
                let key = p384::PublicKey::from_public_key_der(&pem(secret)?.1).map_err(|_| unfit())?;
                Ok(Self::P384(Box::new(key.into())))
            }
            Algorithm::Es512 => {
                let key = p521::PublicKey::from_public_key_der(&pem(secret)?.1).map_err(|_| unfit())?;
                Ok(Self::P521(Box::new(key.into())))
            }
            Algorithm::Rs256 => rsa(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => rsa(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => rsa(&signature::RSA_PKCS1_2048_8192_SHA512),
        }
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::P256(key) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            Self::P384(key) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            Self::P521(key) => p521::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(text, &signature).is_ok()),
            Self::Secret(algorithm, secret) => mac(*algorithm, secret, text).is_ok_and(|expected| {
                // All bytes are looked at, whichever is the first to differ.
                expected.len() == signature.len()
                    && expected.iter().zip(signature).fold(0, |all, (left, right)| all | (left ^ right)) == 0
            }),
            Self::Rsa(key) => key.verify(text, signature).is_ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys made for this test alone.
    const KEYS: &[(Algorithm, &str, &str)] = &[
        (
            Algorithm::Es256,
            "-----BEGIN EC PRIVATE KEY-----\n\
             MHcCAQEEIJ5HAbNOR66D2EsNRz2m2Om0wxzC2QroigD1LIBACNuRoAoGCCqGSM49\n\
             AwEHoUQDQgAEVOE/+64we+9VtlTzhk4A/jYRpLNVK/FQNg6GIq8q5lIOp3PqeJUJ\n\
             vEdacjY7TdKQ1iFMIuCX33Dnkh3utCg0yQ==\n\
             -----END EC PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\n\
             MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEVOE/+64we+9VtlTzhk4A/jYRpLNV\n\
             K/FQNg6GIq8q5lIOp3PqeJUJvEdacjY7TdKQ1iFMIuCX33Dnkh3utCg0yQ==\n\
             -----END PUBLIC KEY-----",
        ),
        (
            Algorithm::Es384,
            "-----BEGIN PRIVATE KEY-----\n\
             MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDDwFDbNBwuMNCsGvEak\n\
             u7HfnXy8v4SOJBmOa8I5BYHi037T4RM7bllcRs2gQ6Ac+JuhZANiAAR2UrGeKL7x\n\
             pH75DDmFeQ6hKevC/+rcjJxk6RpTHSoF8WCmy31CPu7YKrU8ootmaajkUQFIENwX\n\
             moWD1fMJkl1pv7UduCzNWdRSoM3t1h2MmZRLCoRiICQZ5Wkbqh36ikE=\n\
             -----END PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\n\
             MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEdlKxnii+8aR++Qw5hXkOoSnrwv/q3Iyc\n\
             ZOkaUx0qBfFgpst9Qj7u2Cq1PKKLZmmo5FEBSBDcF5qFg9XzCZJdab+1HbgszVnU\n\
             UqDN7dYdjJmUSwqEYiAkGeVpG6od+opB\n\
             -----END PUBLIC KEY-----",
        ),
        (
            Algorithm::Es512,
            "-----BEGIN EC PRIVATE KEY-----\n\
             MIHcAgEBBEIBnSsNjrAYLB+sKBep1NvWdwer3pXd06kajCNtrDV5A1quxmM7UcPB\n\
             IZHYuQooN6eUJLRyTuqxN4L3MPYR0HSMNiagBwYFK4EEACOhgYkDgYYABAC7lSvH\n\
             OejJvLqpNFxwQj9+nUYYYS6wmEhAIsF24NNsM2e1Qtpd5mP9S1vqPtBMsZqcVBd8\n\
             hMiV4zTfX10dF7odkAFAPubooYtK0fn9V9uaZ8cvyxYEXw0KtCMQzf3wlzCm4TLZ\n\
             WcG8cD1mX68DaMvn1x7YbrZUQxCKeN/LO1mMtKmt2g==\n\
             -----END EC PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\n\
             MIGbMBAGByqGSM49AgEGBSuBBAAjA4GGAAQAu5Urxznoyby6qTRccEI/fp1GGGEu\n\
             sJhIQCLBduDTbDNntULaXeZj/Utb6j7QTLGanFQXfITIleM0319dHRe6HZABQD7m\n\
             6KGLStH5/VfbmmfHL8sWBF8NCrQjEM398JcwpuEy2VnBvHA9Zl+vA2jL59ce2G62\n\
             VEMQinjfyztZjLSprdo=\n\
             -----END PUBLIC KEY-----",
        ),
        (
            Algorithm::Rs256,
            "-----BEGIN RSA PRIVATE KEY-----\n\
             MIIEpAIBAAKCAQEAreTixmza5dDocD+ZBuJPfutEC9RKrZpKfx3vZKM8m8PUgC00\n\
             4iEmb9SUJmwLF0y2MkvwM7JlSMQfrZLkV4KTrjCxGrl8FaxxnL4fqIqSb4HXiotk\n\
             zF6TQ++DZDd/N8lIWLhhsRCkSJTy+8du+5yVxYeYzMBesJRxWXVx+9jZfk9yj1Uw\n\
             JqNj8auCSgjba6Nkmpbd9yl7/+ChypE7u0eokT7kO8aDk7rgbms74Q3Iwtwn2aqR\n\
             C6fH6PAM3Y+5HMzOy8o1hxocqzR07TIZlJ+LR22jwwAVPpqHixV6/odPxtPw12PN\n\
             MOfEyM76kloqPzjjlctQZadrRHHOmUzGo90rMwIDAQABAoIBACtTWj8W8wkMXkVN\n\
             SyrAaw8Tve32lC6hwQrf4fvggeLLTWAsIz9uA/4b6FeUVsUU21Y3vl6bBYo2NzBP\n\
             Z234PiRJxG6EpUpfHyVu50NeVzLKFnJR3ajfrXBhNgrbmupCz7AvLEPqAgyFc+7Q\n\
             VzIAZv6ClMr66Py013LzBJW7hyDlb+CZoAIyouUi/ZhYDK1lONEJUlyVYeHh0D/G\n\
             EZRMgnCzAbh7DNNfXNSbYBYb4Dq+YGVUe5uXzaArkM12QuCc8IIrqPDe3AlhBJP2\n\
             sKb8vRf3/q0N3iODe+H8nebH7Dg2G5D6TT2rzGywo2BAj6l9Tg5WKZluiL2KhAA0\n\
             wUJy9iECgYEA6LNNyG9ivnmjkijlDtjNlBonBvED+RK996oHXgYBD/i8ySrxdOOv\n\
             zPj4dWbWrVaAVHZixsdn/RGWrMorWmaO9HdPPPcbPHMqlOkHoDicNhJO5iWMZA5a\n\
             8pazzNkcfBYFr14CKF6GOzsvz7C0uUjftx2N3CiDsoQaGzAD+q9Ks9MCgYEAv046\n\
             bYcAOTsTiUKYO3U2h4YeNqVyrftqQ7FcLq4F85SS5/SPdRsrOIW2DgxX+pNlQQGD\n\
             fkoPL9EFHx70JAfbXG7dLUeW4mj8Gj68MULH41WKgHw+uHsL9Jlw0bitO0YYaKsH\n\
             OYl0I0z+35zQADZe0zBAJtWjbs/sMAJymFb+7yECgYEArvLfb+oOWxYonCKS0+67\n\
             4LUo0lcxnXkxyZnToCTzd4aSqMvYbQEhkwE8C0gd7oQyR04aRUh2LhWjKpV0sqqY\n\
             n8Nzl2pQ18neIcZxLUxiZWSuXOmt+yuvxOL4mvJAMCp+a7JJ/P/T+4QsFgHMXeEk\n\
             EQ/vL65mFTisR/R5iWdwynECgYBkRC8RatluJY12uoWpXCTJYT0CrTJvB7/JXPMQ\n\
             sDsEUJGyqxZpbWT4yfQCZuvRtGE0cgOmNFDDYg0KI6IYJFoPlzerXMMzRY0kgE8I\n\
             jpTPjOz7rKL+89bvS2C7OszorTNr4H/34xgQzHElaD4IbnbCv55P/FcdZDLJcu72\n\
             81nIoQKBgQDC9CuvSaU9ylY4TvRWYCQwS4i0yPnzp/uglDyufypaPQaK6820bH7B\n\
             h1P5YJLKULDfqhBbMdKOBw8a8C456xY5p1u+Lug35mlgX8Kiu7WcCaxSEZiPP7XJ\n\
             ih7bd0PxfwURZIIwF3oxd6ADxmtBNBMhzCNK2Xs91Zua5S+S2sv8iA==\n\
             -----END RSA PRIVATE KEY-----",
            "-----BEGIN PUBLIC KEY-----\n\
             MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAreTixmza5dDocD+ZBuJP\n\
             futEC9RKrZpKfx3vZKM8m8PUgC004iEmb9SUJmwLF0y2MkvwM7JlSMQfrZLkV4KT\n\
             rjCxGrl8FaxxnL4fqIqSb4HXiotkzF6TQ++DZDd/N8lIWLhhsRCkSJTy+8du+5yV\n\
             xYeYzMBesJRxWXVx+9jZfk9yj1UwJqNj8auCSgjba6Nkmpbd9yl7/+ChypE7u0eo\n\
             kT7kO8aDk7rgbms74Q3Iwtwn2aqRC6fH6PAM3Y+5HMzOy8o1hxocqzR07TIZlJ+L\n\
             R22jwwAVPpqHixV6/odPxtPw12PNMOfEyM76kloqPzjjlctQZadrRHHOmUzGo90r\n\
             MwIDAQAB\n\
             -----END PUBLIC KEY-----",
        ),
    ];

    #[test]
    fn what_is_signed_verifies() {
        for (algorithm, private, public) in KEYS {
            let private = Private::decode(*algorithm, private.as_bytes()).unwrap();
            let public = Public::decode(*algorithm, public.as_bytes()).unwrap();
            let signature = private.sign(b"text").unwrap();
            assert!(public.verifies(b"text", &signature), "{algorithm:?}");
            assert!(!public.verifies(b"test", &signature), "{algorithm:?}");
        }
        assert_eq!(Private::decode(Algorithm::Rs256, b"x").err().as_deref(), Some(NOT_PEM));
        assert!(Private::decode(Algorithm::Es256, KEYS[1].1.as_bytes()).is_err());
    }
}

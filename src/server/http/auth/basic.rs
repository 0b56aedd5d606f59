//! Basic authentication: the one user of `http.basic_auth`.

use super::same;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::Arc;
use weir_core::http::Response;

/// How a password's hash is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Md5,
    Bcrypt,
    Scrypt,
}

/// The settings as written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings {
    /// Shown to who is asked.
    pub realm: String,
    /// The one user.
    pub username: String,
    /// The hash, in base64.
    pub password_hash: String,
    /// `sha256`, `md5`, `bcrypt` or `scrypt`.
    pub algorithm: String,
    /// Of scrypt, in base64.
    pub salt: String,
}

/// Guards routes by one user and password.
#[derive(Debug, Clone)]
pub(crate) struct BasicAuth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    challenge: HeaderValue,
    username: String,
    algorithm: Algorithm,
    /// `None`: was no base64; every request fails.
    hash: Option<Vec<u8>>,
    salt: Option<Vec<u8>>,
    /// The last header that was right: slow hashes are computed once.
    known: std::sync::Mutex<Option<Vec<u8>>>,
}

impl BasicAuth {
    /// Checks the settings.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        if settings.username.is_empty() || settings.password_hash.is_empty() {
            return Err("both username and password_hash are required".into());
        }
        let algorithm = match settings.algorithm.as_str() {
            "sha256" => Algorithm::Sha256,
            "md5" => Algorithm::Md5,
            "bcrypt" => Algorithm::Bcrypt,
            "scrypt" => Algorithm::Scrypt,
            _ => return Err("algorithm should be one of md5, sha256, bcrypt, or scrypt".into()),
        };
        if algorithm == Algorithm::Scrypt && settings.salt.is_empty() {
            return Err("salt is required for scrypt".into());
        }
        let challenge = format!("Basic realm=\"{}\", charset=\"UTF-8\"", settings.realm);
        let challenge =
            HeaderValue::from_str(&challenge).map_err(|_| "realm has characters that no header may have")?;
        Ok(Self(Arc::new(Inner {
            challenge,
            username: settings.username.clone(),
            algorithm,
            hash: STANDARD.decode(&settings.password_hash).ok(),
            salt: STANDARD.decode(&settings.salt).ok(),
            known: std::sync::Mutex::default(),
        })))
    }

    /// `None` when the request may pass, else the answer. Slow hashes run on the blocking pool.
    pub(crate) async fn refuse(&self, headers: &HeaderMap) -> Option<Response> {
        let given = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let Some(given) = given else { return Some(self.challenge()) };
        if self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref() == Some(&given) {
            return None;
        }
        let Some((username, password)) = credentials(&given) else { return Some(self.challenge()) };
        let inner = Arc::clone(&self.0);
        let right = match inner.algorithm {
            Algorithm::Sha256 | Algorithm::Md5 => inner.verify(&password),
            // Hashes made to be slow must not stop the thread that answers requests.
            Algorithm::Bcrypt | Algorithm::Scrypt => {
                let inner = Arc::clone(&inner);
                tokio::task::spawn_blocking(move || inner.verify(&password)).await.unwrap_or(Err(()))
            }
        };
        match right {
            Err(()) => Some(Response::error(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")),
            Ok(right) if right & same(username.as_bytes(), self.0.username.as_bytes()) => {
                *self.0.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(given);
                None
            }
            Ok(_) => Some(self.challenge()),
        }
    }

    /// The one user's name.
    pub(super) fn username(&self) -> &str {
        &self.0.username
    }

    /// Asks for a name and a password.
    pub(super) fn challenge(&self) -> Response {
        let mut response = Response::error(StatusCode::UNAUTHORIZED, "Unauthorized");
        response.headers.insert(header::WWW_AUTHENTICATE, self.0.challenge.clone());
        response
    }
}

impl Inner {
    fn verify(&self, password: &str) -> Result<bool, ()> {
        use sha2::Digest as _;
        let hash = self.hash.as_deref().ok_or(())?;
        match self.algorithm {
            Algorithm::Sha256 => Ok(same(&sha2::Sha256::digest(password.as_bytes()), hash)),
            Algorithm::Md5 => Ok(same(&md5::Md5::digest(password.as_bytes()), hash)),
            Algorithm::Bcrypt => {
                let hash = std::str::from_utf8(hash).map_err(|_| ())?;
                Ok(bcrypt::verify(password, hash).unwrap_or(false))
            }
            Algorithm::Scrypt => {
                let params = scrypt::Params::new(15, 8, 1).map_err(|_| ())?;
                let mut made = [0; 32];
                let salt = self.salt.as_deref().ok_or(())?;
                scrypt::scrypt(password.as_bytes(), salt, &params, &mut made).map_err(|_| ())?;
                Ok(same(&made, hash))
            }
        }
    }
}

fn credentials(header: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(header).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (username, password) = decoded.split_once(':')?;
    Some((username.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(algorithm: &str, hash: &[u8]) -> BasicAuth {
        let settings = Settings {
            realm: "restricted".into(),
            username: "me".into(),
            password_hash: STANDARD.encode(hash),
            algorithm: algorithm.into(),
            salt: STANDARD.encode("salt"),
        };
        BasicAuth::new(&settings).unwrap()
    }

    async fn status(auth: &BasicAuth, user: &str, password: &str) -> Option<u16> {
        let value = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        auth.refuse(&headers).await.map(|response| response.status.as_u16())
    }

    #[tokio::test]
    async fn each_algorithm_lets_only_the_right_password_pass() {
        use sha2::Digest as _;
        let mut scrypted = [0; 32];
        scrypt::scrypt(b"secret", b"salt", &scrypt::Params::new(15, 8, 1).unwrap(), &mut scrypted).unwrap();
        let cases: [(&str, Vec<u8>); 4] = [
            ("sha256", sha2::Sha256::digest(b"secret").to_vec()),
            ("md5", md5::Md5::digest(b"secret").to_vec()),
            ("bcrypt", bcrypt::hash("secret", 4).unwrap().into_bytes()),
            ("scrypt", scrypted.to_vec()),
        ];
        for (algorithm, hash) in cases {
            let auth = auth(algorithm, &hash);
            assert_eq!(status(&auth, "me", "secret").await, None, "{algorithm}");
            assert_eq!(status(&auth, "me", "secret").await, None, "{algorithm} again");
            assert_eq!(status(&auth, "me", "wrong").await, Some(401), "{algorithm}");
            assert_eq!(status(&auth, "you", "secret").await, Some(401), "{algorithm}");
        }
    }

    #[tokio::test]
    async fn bad_settings_are_refused_and_a_bad_hash_answers_500() {
        let settings = Settings { username: "me".into(), algorithm: "sha256".into(), ..Settings::default() };
        assert!(BasicAuth::new(&settings).is_err());
        let settings = Settings { password_hash: "%%%".into(), ..settings };
        let auth = BasicAuth::new(&settings).unwrap();
        assert_eq!(status(&auth, "me", "secret").await, Some(500));
        let asked = auth.refuse(&HeaderMap::new()).await.unwrap();
        assert_eq!(asked.headers["www-authenticate"], "Basic realm=\"\", charset=\"UTF-8\"");
    }
}

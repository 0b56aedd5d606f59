//! How a client says who it is: basic authentication, a signed token, OAuth 1 and 2.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use reqwest::Url;
use ring::{hmac, rand::SystemRandom, signature};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    fmt::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::time::Instant;
use weir_core::{build_error::BuildError, field::Field, node::Node};

const fn enabled() -> Field {
    Field::bool("enabled", "Whether it is used.").default("false").advanced()
}

const fn text(name: &'static str, doc: &'static str) -> Field {
    Field::string(name, doc).default("''").advanced()
}

pub(crate) const BASIC: Field = Field::object(
    "basic_auth",
    "Basic authentication.",
    &[enabled(), text("username", "The name."), text("password", "The password.").secret()],
)
.optional()
.advanced();

pub(crate) const JWT: Field = Field::object(
    "jwt",
    "A signed token (JWT) in each request.",
    &[
        enabled(),
        text("private_key_file", "A file of the key in PEM, PKCS#1 or PKCS#8."),
        text("signing_method", "`RS256`, `RS384`, `RS512` or `EdDSA`."),
        Field::any("claims", "What the token says.").map().default("{}").advanced(),
        Field::any("headers", "Headers of the token beside its type and method.")
            .map()
            .default("{}")
            .advanced(),
    ],
)
.optional()
.advanced();

pub(crate) const OAUTH: Field = Field::object(
    "oauth",
    "OAuth 1: each request is signed.",
    &[
        enabled(),
        text("consumer_key", "Who asks."),
        text("consumer_secret", "Its secret.").secret(),
        text("access_token", "For whom it asks."),
        text("access_token_secret", "The secret of the access token.").secret(),
    ],
)
.optional()
.advanced();

pub(super) const OAUTH2: Field = Field::object(
    "oauth2",
    "OAuth 2 with client credentials: a token is fetched, and again when it has expired.",
    &[
        enabled(),
        text("client_key", "Who asks."),
        text("client_secret", "Its secret.").secret(),
        text("token_url", "Where tokens are given."),
        Field::string("scopes", "What is asked for.").list().default("[]").advanced(),
        Field::any("endpoint_params", "Further parameters of the request for a token, lists of texts.")
            .map()
            .default("{}")
            .check(endpoint_params)
            .advanced(),
    ],
)
.optional()
.advanced();

/// Says which parameters are no lists of texts.
fn endpoint_params(node: &Node) -> Vec<String> {
    let shown = |node: &Node| {
        let value: serde_json::Value = node.read().unwrap_or_default();
        let kind = match &value {
            serde_json::Value::Null => "null",
            serde_json::Value::Bool(_) => "bool",
            serde_json::Value::Number(_) => "number",
            serde_json::Value::String(_) => "string",
            serde_json::Value::Array(_) => "array",
            serde_json::Value::Object(_) => "object",
        };
        (kind, format!("{value} ({kind})"))
    };
    let mut problems = Vec::new();
    for (_, value) in node.entries() {
        let Some(items) = value.as_list() else {
            let value = shown(value).1;
            problems.push(format!("field must be an object containing arrays of strings, got {value}"));
            continue;
        };
        for (kind, item) in items.iter().map(shown) {
            if kind != "string" {
                problems.push(format!("field values must be strings, got {item}"));
            }
        }
    }
    problems
}

#[derive(Deserialize)]
pub(crate) struct BasicConfig {
    enabled: bool,
    username: String,
    password: String,
}

#[derive(Deserialize)]
pub(crate) struct JwtConfig {
    enabled: bool,
    private_key_file: String,
    signing_method: String,
    claims: BTreeMap<String, serde_json::Value>,
    headers: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize, Clone)]
pub(crate) struct OAuthConfig {
    enabled: bool,
    consumer_key: String,
    consumer_secret: String,
    access_token: String,
    access_token_secret: String,
}

#[derive(Deserialize, Clone)]
pub(crate) struct OAuth2Config {
    enabled: bool,
    client_key: String,
    client_secret: String,
    token_url: String,
    scopes: Vec<String>,
    endpoint_params: BTreeMap<String, Vec<String>>,
}

/// What goes into the header `Authorization`.
pub(crate) enum Auth {
    None,
    /// The same each time.
    Fixed(String),
    Signed(Box<OAuthConfig>),
    Token(Box<Tokens>),
}

/// Tokens of OAuth 2, kept while they are good.
pub(crate) struct Tokens {
    config: OAuth2Config,
    kept: tokio::sync::Mutex<Kept>,
}

/// What was learned from the server that gives tokens.
#[derive(Default)]
struct Kept {
    /// The header's value, and until when it is good.
    value: Option<(String, Instant)>,
    /// What to ask for the next one with, where `endpoint_params` began with one.
    refresh_token: Option<String>,
    /// Whether it wants to be told in the body who asks.
    in_body: bool,
}

/// A token is renewed so long before it expires.
const MARGIN: Duration = Duration::from_secs(10);
/// How long a token is kept that does not say when it expires.
const UNSAID: u64 = 3600;

impl Auth {
    pub(crate) fn new(
        basic: Option<BasicConfig>,
        jwt: Option<JwtConfig>,
        oauth: Option<OAuthConfig>,
        oauth2: Option<OAuth2Config>,
    ) -> Result<Self, BuildError> {
        if let Some(config) = oauth2.filter(|config| config.enabled) {
            return Ok(Self::Token(Box::new(Tokens { config, kept: tokio::sync::Mutex::default() })));
        }
        if let Some(config) = oauth.filter(|config| config.enabled) {
            return Ok(Self::Signed(Box::new(config)));
        }
        if let Some(config) = jwt.filter(|config| config.enabled) {
            return config.token().map(Self::Fixed).map_err(|error| error.at("jwt"));
        }
        Ok(match basic.filter(|config| config.enabled) {
            Some(config) => Self::Fixed(basic_value(&config.username, &config.password)),
            None => Self::None,
        })
    }

    /// The header's value for one request.
    pub(super) async fn value(
        &self,
        client: &reqwest::Client,
        verb: &str,
        url: &Url,
        timeout: Duration,
    ) -> Result<Option<String>, String> {
        match self {
            Self::Token(tokens) => tokens.value(client, timeout).await.map(Some),
            _ => Ok(self.own_value(verb, url)),
        }
    }

    /// The header's value where it can be said without asking anybody.
    pub(crate) fn own_value(&self, verb: &str, url: &Url) -> Option<String> {
        match self {
            Self::None | Self::Token(_) => None,
            Self::Fixed(value) => Some(value.clone()),
            Self::Signed(config) => {
                let nonce = format!("{:032x}", rand::random::<u128>());
                let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                Some(config.sign(verb, url, &nonce, seconds))
            }
        }
    }
}

pub(crate) fn basic_value(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

impl JwtConfig {
    fn token(&self) -> Result<String, BuildError> {
        let mut headers = self.headers.clone();
        headers.insert("alg".into(), self.signing_method.as_str().into());
        headers.insert("typ".into(), "JWT".into());
        let encode = |object: &BTreeMap<String, serde_json::Value>| {
            serde_json::to_vec(object)
                .map(|text| URL_SAFE_NO_PAD.encode(text))
                .map_err(|error| BuildError::new(error.to_string()))
        };
        let mut token = format!("{}.{}", encode(&headers)?, encode(&self.claims)?);
        let signature = self.sign(token.as_bytes())?;
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(signature));
        Ok(format!("Bearer {token}"))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, BuildError> {
        let padding: &dyn signature::RsaEncoding = match self.signing_method.as_str() {
            "RS256" => &signature::RSA_PKCS1_SHA256,
            "RS384" => &signature::RSA_PKCS1_SHA384,
            "RS512" => &signature::RSA_PKCS1_SHA512,
            "EdDSA" => {
                let key = self.key()?;
                let pair = signature::Ed25519KeyPair::from_pkcs8_maybe_unchecked(key.secret_der())
                    .map_err(|error| BuildError::new(format!("failed to read the key: {error}")))?;
                return Ok(pair.sign(message).as_ref().to_vec());
            }
            method => {
                return Err(BuildError::new(format!(
                    "signing method {method:?} is not supported: use RS256, RS384, RS512 or EdDSA"
                ))
                .at("signing_method"));
            }
        };
        let key = self.key()?;
        let pair = match &key {
            PrivateKeyDer::Pkcs1(der) => signature::RsaKeyPair::from_der(der.secret_pkcs1_der()),
            key => signature::RsaKeyPair::from_pkcs8(key.secret_der()),
        };
        let pair = pair.map_err(|error| BuildError::new(format!("failed to read the key: {error}")))?;
        let mut signed = vec![0; pair.public().modulus_len()];
        pair.sign(padding, &SystemRandom::new(), message, &mut signed)
            .map_err(|_| BuildError::new("failed to sign the token"))?;
        Ok(signed)
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, BuildError> {
        PrivateKeyDer::from_pem_file(&self.private_key_file).map_err(|error| {
            BuildError::new(format!("failed to read private key {}: {error}", self.private_key_file))
                .at("private_key_file")
        })
    }
}

/// Percent-encodes as RFC 5849 wants it.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            write!(out, "%{byte:02X}").ok();
        }
        out
    })
}

impl OAuthConfig {
    fn sign(&self, verb: &str, url: &Url, nonce: &str, seconds: u64) -> String {
        let own = [
            ("oauth_consumer_key", self.consumer_key.clone()),
            ("oauth_nonce", nonce.to_owned()),
            ("oauth_signature_method", "HMAC-SHA1".to_owned()),
            ("oauth_timestamp", seconds.to_string()),
            ("oauth_token", self.access_token.clone()),
            ("oauth_version", "1.0".to_owned()),
        ];
        let mut parameters: Vec<_> =
            url.query_pairs().map(|(key, value)| (encoded(&key), encoded(&value))).collect();
        parameters.extend(own.iter().map(|(key, value)| (encoded(key), encoded(value))));
        parameters.sort_unstable();
        let parameters: Vec<_> = parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let mut bare = url.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        let signed =
            format!("{}&{}&{}", verb.to_uppercase(), encoded(bare.as_str()), encoded(&parameters.join("&")));
        let key = format!("{}&{}", encoded(&self.consumer_secret), encoded(&self.access_token_secret));
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        let shown: Vec<_> = own
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .chain([("oauth_signature", signature.as_str())])
            .map(|(key, value)| format!("{key}=\"{}\"", encoded(value)))
            .collect();
        format!("OAuth {}", shown.join(", "))
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

impl Tokens {
    async fn value(&self, client: &reqwest::Client, timeout: Duration) -> Result<String, String> {
        let mut kept = self.kept.lock().await;
        if let Some((value, until)) = &kept.value
            && Instant::now() < *until
        {
            return Ok(value.clone());
        }
        let mut fetched = self.fetch(client, timeout, &kept).await;
        if fetched.is_err() && !kept.in_body {
            kept.in_body = true;
            let again = self.fetch(client, timeout, &kept).await;
            kept.in_body = again.is_ok();
            fetched = again.or(fetched);
        }
        let answer = fetched?;
        let kind = match &*answer.token_type {
            "" => "Bearer",
            kind if kind.eq_ignore_ascii_case("bearer") => "Bearer",
            kind => kind,
        };
        let value = format!("{kind} {}", answer.access_token);
        // A century is as good as never.
        let lives = Duration::from_secs(answer.expires_in.unwrap_or(UNSAID).min(3_000_000_000));
        kept.value = Some((value.clone(), Instant::now() + lives.saturating_sub(MARGIN)));
        kept.refresh_token = answer.refresh_token.or(kept.refresh_token.take());
        Ok(value)
    }

    async fn fetch(
        &self,
        client: &reqwest::Client,
        timeout: Duration,
        kept: &Kept,
    ) -> Result<TokenAnswer, String> {
        let config = &self.config;
        let failed = |error: &dyn std::fmt::Display| format!("oauth2: cannot fetch token: {error}");
        let mut form = BTreeMap::from([("grant_type", vec!["client_credentials".to_owned()])]);
        if !config.scopes.is_empty() {
            form.insert("scope", vec![config.scopes.join(" ")]);
        }
        form.extend(config.endpoint_params.iter().map(|(key, values)| (key.as_str(), values.clone())));
        if let (Some(token), true) = (&kept.refresh_token, form.contains_key("refresh_token")) {
            form.insert("refresh_token", vec![token.clone()]);
        }
        let mut request = client
            .post(&config.token_url)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .timeout(timeout);
        if kept.in_body {
            form.insert("client_id", vec![config.client_key.clone()]);
            form.insert("client_secret", vec![config.client_secret.clone()]);
        } else {
            let value = basic_value(&encoded(&config.client_key), &encoded(&config.client_secret));
            request = request.header("Authorization", value);
        }
        let pairs = form.iter().flat_map(|(key, values)| values.iter().map(move |value| (key, value)));
        let form: Vec<_> = pairs.map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect();
        let request = request.body(form.join("&"));
        let response = request.send().await.map_err(|error| failed(&error.without_url()))?;
        let status = response.status();
        let body = super::reply::whole(response).await.map_err(|error| failed(&error))?;
        if !status.is_success() {
            return Err(failed(&format!("{status} Response: {}", String::from_utf8_lossy(&body))));
        }
        serde_json::from_slice(&body).map_err(|error| failed(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_signed_as_the_example_of_the_protocol() {
        // The values of https://oauth.net/core/1.0a/#anchor46.
        let config = OAuthConfig {
            enabled: true,
            consumer_key: "dpf43f3p2l4k3l03".into(),
            consumer_secret: "kd94hf93k423kf44".into(),
            access_token: "nnch734d00sl2jdk".into(),
            access_token_secret: "pfkkdhi9sl3r4s00".into(),
        };
        let url = Url::parse("http://photos.example.net/photos?file=vacation.jpg&size=original").unwrap();
        let value = config.sign("GET", &url, "kllo9940pd9333jh", 1_191_242_096);
        assert!(value.ends_with("oauth_signature=\"tR3%2BTy81lMeYAr%2FFid0kMTYa%2FWM%3D\""), "{value}");
    }

    #[test]
    fn parameters_that_are_no_lists_of_texts_are_named() {
        let node = Node::single("a", Node::string("b"));
        assert_eq!(
            endpoint_params(&node),
            ["field must be an object containing arrays of strings, got \"b\" (string)"]
        );
        assert!(endpoint_params(&Node::single("a", Node::list(vec![Node::string("b")]))).is_empty());
    }
}

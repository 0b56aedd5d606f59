//! Signing and reading JSON Web Tokens.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::jwt_keys::{Algorithm, Private, Public};
use super::target::{coerced, object};
use crate::error::Fault;
use crate::eval::Cx;
use crate::json::{Doc, Numbers};
use crate::object::Object;
use crate::spec::{Args, Method, Param, Prepare, Prepared, Spec};
use crate::value::Value;

const SIGN: &[Param] = &[
    Param::string("signing_secret", "The secret, or a private key as PEM."),
    Param::any("headers", "Further members of the token's header.").optional(),
];
const PARSE: &[Param] = &[Param::string("signing_secret", "The secret, or a public key as PEM.")];

const fn signing(name: &'static str, prepare: Prepare) -> Spec {
    Spec::plugin(name, "Signs an object of claims as a token.", SIGN, sign).prepared(prepare)
}

const fn parsing(name: &'static str, prepare: Prepare) -> Spec {
    Spec::plugin(name, "The claims of a token, if its signature holds.", PARSE, parse as Method)
        .prepared(prepare)
}

pub(super) static FAMILY: &[Spec] = &[
    signing("sign_jwt_es256", |args| private(args, Algorithm::Es256)),
    signing("sign_jwt_es384", |args| private(args, Algorithm::Es384)),
    signing("sign_jwt_es512", |args| private(args, Algorithm::Es512)),
    signing("sign_jwt_hs256", |args| private(args, Algorithm::Hs256)),
    signing("sign_jwt_hs384", |args| private(args, Algorithm::Hs384)),
    signing("sign_jwt_hs512", |args| private(args, Algorithm::Hs512)),
    signing("sign_jwt_rs256", |args| private(args, Algorithm::Rs256)),
    signing("sign_jwt_rs384", |args| private(args, Algorithm::Rs384)),
    signing("sign_jwt_rs512", |args| private(args, Algorithm::Rs512)),
    parsing("parse_jwt_es256", |args| public(args, Algorithm::Es256)),
    parsing("parse_jwt_es384", |args| public(args, Algorithm::Es384)),
    parsing("parse_jwt_es512", |args| public(args, Algorithm::Es512)),
    parsing("parse_jwt_hs256", |args| public(args, Algorithm::Hs256)),
    parsing("parse_jwt_hs384", |args| public(args, Algorithm::Hs384)),
    parsing("parse_jwt_hs512", |args| public(args, Algorithm::Hs512)),
    parsing("parse_jwt_rs256", |args| public(args, Algorithm::Rs256)),
    parsing("parse_jwt_rs384", |args| public(args, Algorithm::Rs384)),
    parsing("parse_jwt_rs512", |args| public(args, Algorithm::Rs512)),
];

/// A key, and the header of what is signed with it.
struct Signer {
    key: Private,
    header: String,
}

/// Members of the header that are not the user's to set.
const OWN: [&str; 9] = ["alg", "typ", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit"];

fn undecodable(error: String) -> Fault {
    Fault::new(format!("decoding signing_secret: {error}"))
}

fn private(args: &Args<'_>, algorithm: Algorithm) -> Result<Prepared, Fault> {
    let key = Private::decode(algorithm, args.bytes(0).unwrap_or_default()).map_err(undecodable)?;
    let mut header = match args.value(1).filter(|headers| !headers.is_null()) {
        Some(headers) => (*object(headers)?).clone(),
        None => Object::new(),
    };
    header.retain(|key, _| !OWN.iter().any(|own| own.as_bytes() == key));
    header.insert("alg", algorithm.name().into());
    header.insert("typ", "JWT".into());
    let header = encoded(&header.into())?;
    Ok(Arc::new(Signer { key, header }))
}

fn public(args: &Args<'_>, algorithm: Algorithm) -> Result<Prepared, Fault> {
    let key = Public::decode(algorithm, args.bytes(0).unwrap_or_default()).map_err(undecodable)?;
    Ok(Arc::new((algorithm, key)))
}

fn encoded(value: &Value) -> Result<String, Fault> {
    let mut json = Vec::new();
    value.write_json_html_escaped(&mut json).map_err(|error| Fault::new(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

fn sign(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let claims = object(&target)?;
    let Some(signer) = args.prepared::<Signer>() else {
        return Err(Fault::new("the key was not prepared"));
    };
    let mut token = format!("{}.{}", signer.header, encoded(&Value::Object(claims))?);
    cx.spend(1000 + token.len() as u64 / 16)?;
    let signature = signer
        .key
        .sign(token.as_bytes())
        .map_err(|error| Fault::new(format!("failed to sign token: {error}")))?;
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    Ok(token.into())
}

fn parse(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let token = coerced(&target)?;
    cx.spend(1000 + token.len() as u64 / 16)?;
    let Some((algorithm, key)) = args.prepared::<(Algorithm, Public)>() else {
        return Err(Fault::new("the key was not prepared"));
    };
    read(&token, *algorithm, key).map_err(|text| Fault::new(format!("failed to parse JWT string: {text}")))
}

fn read(token: &[u8], algorithm: Algorithm, key: &Public) -> Result<Value, String> {
    let malformed = |what: &str| format!("token is malformed: {what}");
    let parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    let [header, claims, signature] = *parts.as_slice() else {
        return Err(malformed("token contains an invalid number of segments"));
    };
    let decode = |part: &[u8], what: &str| {
        let decoded = URL_SAFE_NO_PAD.decode(part);
        decoded.map_err(|error| malformed(&format!("could not {what}: {error}")))
    };
    let json = |part: &[u8], what: &str| {
        let doc =
            Doc::parse_with(Bytes::from(decode(part, &format!("base64 decode {what}"))?), Numbers::Float);
        let doc = doc.map_err(|error| malformed(&format!("could not JSON decode {what}: {error}")))?;
        Ok::<Value, String>(Value::document(&doc))
    };
    let (header, claims_read) = (json(header, "header")?, json(claims, "claim")?);
    let named = header.member(b"alg").unwrap_or_default();
    if named.as_str().as_deref() != Some(algorithm.name()) {
        return Err(
            "token is unverifiable: error while executing keyfunc: incorrect signing method".to_owned()
        );
    }
    let signature = decode(signature, "base64 decode signature")?;
    let signed = token.get(..token.len() - parts.last().map_or(0, |part| part.len() + 1)).unwrap_or_default();
    if !key.verifies(signed, &signature) {
        return Err(format!("token signature is invalid: {}", algorithm.mismatch()));
    }
    match claims_read.to_object() {
        Some(claims) => Ok(Value::Object(claims)),
        None => Err(malformed("claims are no object")),
    }
}

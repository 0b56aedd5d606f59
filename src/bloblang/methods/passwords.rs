//! Comparing passwords with their hashes, which takes long on purpose.

use argon2::{Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use super::target::coerced;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Spec, Traits};
use crate::value::Value;

const SECRET: &[Param] = &[Param::string("hashed_secret", "The hash, with its settings.")];
const BLOCKS: Traits = Traits { blocks: true, ..Traits::PLAIN };

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin(
        "compare_argon2",
        "Whether text is what an Argon2 hash was made of.",
        SECRET,
        compare_argon2,
    )
    .traits(BLOCKS),
    Spec::plugin("compare_bcrypt", "Whether text is what a bcrypt hash was made of.", SECRET, compare_bcrypt)
        .traits(BLOCKS),
];

/// Highest cost of bcrypt: some seconds.
const MAX_COST: u32 = 16;
/// Most memory of Argon2, in KiB, and most of its memory times its passes.
const MAX_MEMORY: u32 = 1 << 20;
const MAX_WORK: u64 = 1 << 23;

fn compare_bcrypt(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let (text, hash) = (coerced(&target)?, args.str(0));
    let cost = hash.split('$').nth(2).and_then(|cost| cost.parse::<u32>().ok());
    if cost.is_some_and(|cost| cost > MAX_COST) {
        return Err(Fault::new(format!("bcrypt: a cost above {MAX_COST} is refused")));
    }
    match bcrypt::verify(&*text, &hash) {
        Ok(equal) => Ok(Value::Bool(equal)),
        Err(error) => Err(Fault::new(format!("bcrypt: {error}"))),
    }
}

/// An Argon2 hash taken apart.
struct Hash {
    argon2: Argon2<'static>,
    salt: Vec<u8>,
    expected: Vec<u8>,
}

fn parse(text: &str) -> Result<Hash, String> {
    let parts: Vec<&str> = text.split('$').collect();
    let ["", algorithm, version, settings, salt, hash] = *parts.as_slice() else {
        return Err("invalid hash".to_owned());
    };
    let algorithm =
        algorithm.parse::<argon2::Algorithm>().map_err(|_| format!("unknown algorithm {algorithm}"))?;
    let version = match version {
        "v=16" => Version::V0x10,
        "v=19" => Version::V0x13,
        other => return Err(format!("unknown version {other}")),
    };
    let setting = |name: char| {
        let value = settings.split(',').find_map(|setting| setting.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse::<u32>().ok()).ok_or_else(|| format!("setting {name} is missing"))
    };
    let (memory, passes, lanes) = (setting('m')?, setting('t')?, setting('p')?);
    if memory > MAX_MEMORY || u64::from(memory).saturating_mul(passes.into()) > MAX_WORK {
        return Err(format!("{memory} KiB in {passes} passes are too much work"));
    }
    let decode = |text: &str| STANDARD_NO_PAD.decode(text).map_err(|error| error.to_string());
    let (salt, expected) = (decode(salt)?, decode(hash)?);
    let params =
        Params::new(memory, passes, lanes, Some(expected.len())).map_err(|error| error.to_string())?;
    Ok(Hash { argon2: Argon2::new(algorithm, version, params), salt, expected })
}

fn compare_argon2(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = coerced(&target)?;
    let failed = |error: String| Fault::new(format!("argon2: {error}"));
    let hash = parse(&args.str(0)).map_err(failed)?;
    let mut out = vec![0; hash.expected.len()];
    hash.argon2.hash_password_into(&text, &hash.salt, &mut out).map_err(|error| failed(error.to_string()))?;
    // All bytes are looked at, whichever is the first to differ.
    let differing = out.iter().zip(&hash.expected).fold(0, |all, (left, right)| all | (left ^ right));
    Ok(Value::Bool(differing == 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_that_ask_too_much_are_refused() {
        let hash = |settings: &str| format!("$argon2id$v=19${settings}$c29tZXNhbHQ$aGFzaGhhc2g");
        assert!(parse(&hash("m=64,t=1,p=1")).is_ok());
        assert!(parse(&hash("m=4000000,t=1,p=1")).is_err());
        assert!(parse(&hash("m=1048576,t=1000,p=1")).is_err());
        assert!(parse("$argon2id$").is_err());
    }
}

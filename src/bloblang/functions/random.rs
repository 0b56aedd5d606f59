//! Random numbers and identifiers.

use std::sync::{Arc, Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};

use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, ParamKind, Prepared, Spec, Traits};
use crate::value::Value;

const IMPURE: Traits = Traits { impure: true, ..Traits::PLAIN };

pub(super) static FAMILY: &[Spec] = &[
    Spec::function("ksuid", "An identifier that sorts by time.", &[], ksuid).traits(IMPURE),
    Spec::function("nanoid", "A short random identifier.", NANOID, nanoid)
        .prepared(check_nanoid)
        .traits(IMPURE),
    Spec::function(
        "random_int",
        "A random integer, of a sequence the seed determines.",
        RANDOM_INT,
        random_int,
    )
    .prepared(prepare_random_int)
    .traits(IMPURE),
    Spec::function("uuid_v4", "A random UUID.", &[], uuid_v4).traits(IMPURE),
    Spec::function("uuid_v7", "A UUID that sorts by time.", UUID_V7, uuid_v7).traits(IMPURE),
];

const NANOID: &[Param] = &[
    Param::int("length", "How many characters.").optional(),
    Param::string("alphabet", "The characters to choose from; needs a length.").optional(),
];
const RANDOM_INT: &[Param] = &[
    Param::new("seed", ParamKind::Query { scalars: true }, "The seed, found out once.")
        .default(Default::Int(0)),
    Param::int("min", "The least.").default(Default::Int(0)).fixed(),
    Param::int("max", "The greatest.").default(Default::Int(i64::MAX - 1)).fixed(),
];
const UUID_V7: &[Param] = &[Param::new("time", ParamKind::Timestamp, "The time to use.").optional()];

const HEX: &[u8; 16] = b"0123456789abcdef";

/// A UUID of these bytes and this version.
pub(crate) fn uuid(mut bytes: [u8; 16], version: u8) -> Value {
    let [.., sixth, _, eighth, _, _, _, _, _, _, _] = &mut bytes;
    *sixth = *sixth & 0x0f | version << 4;
    *eighth = *eighth & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(HEX.get(usize::from(digit)).copied().unwrap_or(b'0')));
        }
    }
    text.into()
}

fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

fn uuid_v4(_: &mut Cx<'_>, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(uuid(random_bytes(), 4))
}

fn uuid_v7(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let millis = match args.value(0) {
        Some(Value::Timestamp(time)) => time.unix_nanos().div_euclid(1_000_000),
        _ => jiff::Timestamp::now().as_millisecond().into(),
    };
    let mut bytes: [u8; 16] = random_bytes();
    let time = u64::try_from(millis).unwrap_or(0).to_be_bytes();
    for (slot, byte) in bytes.iter_mut().zip(time.iter().skip(2)) {
        *slot = *byte;
    }
    Ok(uuid(bytes, 7))
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Seconds the times of these identifiers count from.
const KSUID_EPOCH: i64 = 1_400_000_000;

fn ksuid(_: &mut Cx<'_>, _: &Args<'_>) -> Result<Value, Fault> {
    let mut bytes: [u8; 20] = random_bytes();
    let seconds = u32::try_from(jiff::Timestamp::now().as_second() - KSUID_EPOCH).unwrap_or(0);
    for (slot, byte) in bytes.iter_mut().zip(seconds.to_be_bytes()) {
        *slot = byte;
    }
    let mut digits = [b'0'; 27];
    for slot in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in &mut bytes {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(0);
            rest = value % 62;
        }
        *slot = BASE62.get(rest as usize).copied().unwrap_or(b'0');
    }
    Ok(Value::string(&digits[..]))
}

/// Longest identifier, in characters.
const MAX_NANOID: i64 = 1 << 20;

fn check_nanoid(args: &Args<'_>) -> Result<Prepared, Fault> {
    match (args.int(0), args.bytes(1)) {
        (None, Some(_)) => Err(Fault::new("field length must be specified when an alphabet is specified")),
        _ => Ok(Arc::new(())),
    }
}

fn nanoid(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let length = args.int(0).unwrap_or(21);
    let alphabet = args.text(1).map_or_else(
        || "_-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".into(),
        |alphabet| alphabet.as_str().into_owned(),
    );
    let chars: Vec<char> = alphabet.chars().collect();
    if chars.is_empty() || chars.len() > 255 {
        return Err(Fault::new("alphabet must not be empty and contain no more than 255 chars"));
    }
    if !(1..=MAX_NANOID).contains(&length) {
        return Err(Fault::new("size must be positive integer"));
    }
    let mut random = rand::rng();
    let pick = |_| chars.get(random.random_range(0..chars.len())).copied().unwrap_or('_');
    Ok((0..length).map(pick).collect::<String>().into())
}

type Sequence = Mutex<Option<StdRng>>;

fn prepare_random_int(args: &Args<'_>) -> Result<Prepared, Fault> {
    let (min, max) = (args.int(1).unwrap_or(0), args.int(2).unwrap_or(i64::MAX - 1));
    if min < 0 {
        return Err(Fault::new(format!("min ({min}) must be a positive number")));
    }
    if max < min {
        return Err(Fault::new(format!("min ({min}) must be smaller or equal than max ({max})")));
    }
    if max == i64::MAX {
        return Err(Fault::new(format!("max must be smaller than the max allowed for an int64 ({max})")));
    }
    Ok(Arc::new(Sequence::new(None)))
}

fn random_int(cx: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let (min, max) = (args.int(1).unwrap_or(0), args.int(2).unwrap_or(i64::MAX - 1));
    let Some(sequence) = args.prepared::<Sequence>() else {
        return Err(Fault::new("the generator was not prepared"));
    };
    let seeded = sequence.lock().unwrap_or_else(PoisonError::into_inner).is_some();
    // The seed is found out without the lock, as it may be any query.
    let seed = match args.query(0) {
        Some(query) if !seeded => {
            let failed = |fault: Fault| fault.context("failed to seed random number generator");
            let value = cx.eval(query).map_err(failed)?;
            crate::methods::to_int(&value).map_err(failed)?
        }
        _ => 0,
    };
    let mut sequence = sequence.lock().unwrap_or_else(PoisonError::into_inner);
    let random = sequence.get_or_insert_with(|| StdRng::seed_from_u64(seed.cast_unsigned()));
    Ok(Value::Int(random.random_range(min..=max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_carry_their_version() {
        let text = uuid([0xff; 16], 7).to_text().to_string();
        assert_eq!(text, "ffffffff-ffff-7fff-bfff-ffffffffffff");
    }
}

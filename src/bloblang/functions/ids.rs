//! Identifiers that sort by time, beyond UUIDs.

use std::sync::{Arc, Mutex, PoisonError};

use rand::Rng as _;

use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec, Traits};
use crate::value::Value;

const IMPURE: Traits = Traits { impure: true, ..Traits::PLAIN };

pub(super) static FAMILY: &[Spec] = &[
    Spec::function("ulid", "An identifier of time and randomness.", ULID, ulid)
        .prepared(check_ulid)
        .traits(IMPURE),
    Spec::function(
        "snowflake_id",
        "A numeric identifier of time, node and sequence, as text.",
        SNOWFLAKE,
        snowflake,
    )
    .prepared(node)
    .traits(IMPURE),
];

const ULID: &[Param] = &[
    Param::string("encoding", "crockford or hex.").default(Default::String("crockford")),
    Param::string("random_source", "secure_random or fast_random.").default(Default::String("secure_random")),
];
const SNOWFLAKE: &[Param] =
    &[Param::int("node_id", "Which machine makes it, 0 to 1023.").default(Default::Int(1))];

/// Milliseconds since 1970.
fn millis() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

fn check_ulid(args: &Args<'_>) -> Result<Prepared, Fault> {
    let (encoding, random) = (args.str(0), args.str(1));
    if !matches!(&*encoding, "crockford" | "hex") {
        return Err(Fault::new(format!("invalid ulid encoding: {encoding}")));
    }
    if !matches!(&*random, "secure_random" | "fast_random") {
        return Err(Fault::new(format!("invalid randomness source: {random}")));
    }
    Ok(Arc::new(encoding == "hex"))
}

fn ulid(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let mut random = [0; 16];
    rand::rng().fill_bytes(&mut random);
    let id = u128::from(millis()) << 80 | u128::from_be_bytes(random) >> 48;
    Ok(if args.prepared::<bool>() == Some(&true) { format!("{id:032x}") } else { crockford(id) }.into())
}

const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn crockford(id: u128) -> String {
    let digit = |shift: u32| DIGITS.get((id >> shift & 31) as usize).copied().unwrap_or(b'0');
    (0..26).rev().map(|place| char::from(digit(place * 5))).collect()
}

/// Milliseconds the times of these identifiers count from.
const EPOCH: u64 = 1_288_834_974_657;

/// The node, and time and sequence of the last identifier.
struct Node {
    id: u64,
    last: Mutex<(u64, u64)>,
}

fn node(args: &Args<'_>) -> Result<Prepared, Fault> {
    match args.int(0).and_then(|id| u64::try_from(id).ok()).filter(|id| *id < 1024) {
        Some(id) => Ok(Arc::new(Node { id, last: Mutex::new((0, 0)) })),
        None => Err(Fault::new("Node number must be between 0 and 1023")),
    }
}

fn snowflake(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    let Some(node) = args.prepared::<Node>() else { return Err(Fault::new("the node was not prepared")) };
    let mut last = node.last.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(next(node.id, &mut last, millis().saturating_sub(EPOCH)).to_string().into())
}

/// A sequence that is used up borrows from the next millisecond instead of waiting for it.
fn next(node: u64, last: &mut (u64, u64), now: u64) -> u64 {
    *last = match *last {
        (time, _) if now > time => (now, 0),
        (time, 4095) => (time + 1, 0),
        (time, sequence) => (time, sequence + 1),
    };
    last.0 << 22 | node << 12 | last.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_grow() {
        assert_eq!(crockford(u128::MAX), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
        assert_eq!(crockford(32), "00000000000000000000000010");
        let mut last = (0, 0);
        let ids: Vec<u64> = (0..10_000).map(|_| next(5, &mut last, 7)).collect();
        assert!(ids.is_sorted_by(|left, right| left < right));
        assert_eq!(ids.first(), Some(&(7 << 22 | 5 << 12)));
    }
}

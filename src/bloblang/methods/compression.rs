//! Compression.

use std::sync::Arc;

use super::strings::MAX_BYTES;
use super::target::raw_bytes;
use crate::compression::Algorithm;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin("compress", "Compresses a string or bytes into bytes.", COMPRESS, compress)
        .prepared(to_compress),
    Spec::plugin("decompress", "Decompresses bytes.", DECOMPRESS, decompress).prepared(to_decompress),
];

const COMPRESS: &[Param] = &[
    Param::string("algorithm", "One of flate, gzip, pgzip, lz4, snappy, zlib and zstd."),
    Param::int("level", "How hard to try; -1 is the algorithm's own choice.").default(Default::Int(-1)),
];
const DECOMPRESS: &[Param] =
    &[Param::string("algorithm", "One of flate, gzip, pgzip, bzip2, lz4, snappy, zlib and zstd.")];

fn to_compress(args: &Args<'_>) -> Result<Prepared, Fault> {
    let name = args.str(0);
    match Algorithm::named(&name).filter(|algorithm| algorithm.compresses()) {
        Some(algorithm) => Ok(Arc::new(algorithm)),
        None => Err(Fault::new(format!("compression type not recognised: {name}"))),
    }
}

fn to_decompress(args: &Args<'_>) -> Result<Prepared, Fault> {
    let name = args.str(0);
    match Algorithm::named(&name) {
        Some(algorithm) => Ok(Arc::new(algorithm)),
        None => Err(Fault::new(format!("compression type not recognised: {name}"))),
    }
}

fn prepared(args: &Args<'_>) -> Result<Algorithm, Fault> {
    args.prepared().copied().ok_or_else(|| Fault::new("the algorithm was not prepared"))
}

fn compress(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let bytes = raw_bytes(&target)?;
    cx.spend(bytes.len() as u64 / 2)?;
    let level = args.int(1).unwrap_or(-1);
    prepared(args)?.compress(level, &bytes).map(Value::bytes).map_err(Fault::new)
}

fn decompress(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let bytes = raw_bytes(&target)?;
    let out = prepared(args)?.decompress(&bytes, MAX_BYTES).map_err(Fault::new)?;
    cx.spend(out.len() as u64 / 8)?;
    Ok(Value::bytes(out))
}

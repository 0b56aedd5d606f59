//! Functions that look at clocks, files and the environment.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::{Timestamp as Instant, ZonedDateTime};

use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec, Traits};
use crate::timestamp::Timestamp;
use crate::value::Value;

const IMPURE: Traits = Traits { impure: true, ..Traits::PLAIN };
const ONCE: Traits = Traits { folds: true, ..IMPURE };
const BLOCKS: Traits = Traits { blocks: true, ..ONCE };

pub(super) static FAMILY: &[Spec] = &[
    Spec::function("env", "An environment variable, or null.", ENV, env).prepared(read_env).traits(ONCE),
    Spec::function("file", "The content of a file.", FILE, file).prepared(read_file).traits(BLOCKS),
    Spec::function("file_rel", "The content of a file, found from where the mapping is.", FILE, file)
        .prepared(read_file)
        .traits(BLOCKS),
    Spec::function("hostname", "The name of this machine.", &[], hostname).traits(IMPURE),
    Spec::function("now", "The time as text.", &[], |_, _| {
        Ok(Timestamp::new(ZonedDateTime::now()).to_string().into())
    })
    .traits(IMPURE),
    Spec::function("timestamp_unix", "Seconds since 1970.", &[], |_, _| {
        Ok(Value::Int(since_1970(1_000_000_000)))
    })
    .traits(IMPURE),
    Spec::function("timestamp_unix_milli", "Milliseconds since 1970.", &[], |_, _| {
        Ok(Value::Int(since_1970(1_000_000)))
    })
    .traits(IMPURE),
    Spec::function("timestamp_unix_micro", "Microseconds since 1970.", &[], |_, _| {
        Ok(Value::Int(since_1970(1000)))
    })
    .traits(IMPURE),
    Spec::function("timestamp_unix_nano", "Nanoseconds since 1970.", &[], |_, _| {
        Ok(Value::Int(since_1970(1)))
    })
    .traits(IMPURE),
];

const ENV: &[Param] = &[
    Param::string("name", "Name of the variable."),
    Param::bool("no_cache", "Whether to look at every call.").default(Default::Bool(false)),
];
const FILE: &[Param] = &[
    Param::string("path", "Path of the file."),
    Param::bool("no_cache", "Whether to read at every call.").default(Default::Bool(false)),
];

fn since_1970(unit: i128) -> i64 {
    i64::try_from(Instant::now().as_nanosecond().div_euclid(unit)).unwrap_or(i64::MAX)
}

/// Variables that stand before those of the process, which cannot be changed once it has threads.
static VARIABLES: RwLock<BTreeMap<String, String>> = RwLock::new(BTreeMap::new());

/// Makes `env` see these variables before those of the process. Mappings that were compiled before may keep what
/// they saw.
pub fn set_variables(variables: BTreeMap<String, String>) {
    *VARIABLES.write().unwrap_or_else(PoisonError::into_inner) = variables;
}

fn look_up(args: &Args<'_>) -> Value {
    if let Some(value) = VARIABLES.read().unwrap_or_else(PoisonError::into_inner).get(&*args.str(0)) {
        return Value::string(value.as_str());
    }
    std::env::var_os(&*args.str(0)).map_or(Value::Null, |value| Value::string(value.as_encoded_bytes()))
}

/// Files and variables read once are kept; `None` is read at every call.
type Kept = Option<Value>;

fn read_env(args: &Args<'_>) -> Result<Prepared, Fault> {
    let kept: Kept = (args.bool(1) != Some(true)).then(|| look_up(args));
    Ok(Arc::new(kept))
}

fn env(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(match args.prepared::<Kept>() {
        Some(Some(value)) => value.clone(),
        _ => look_up(args),
    })
}

fn read(path: &str) -> Result<Value, Fault> {
    std::fs::read(path)
        .map(Value::bytes)
        .map_err(|error| Fault::new(crate::compat::file_error("open", path, &error)))
}

fn read_file(args: &Args<'_>) -> Result<Prepared, Fault> {
    let kept: Kept = if args.bool(1) == Some(true) { None } else { Some(read(&args.str(0))?) };
    Ok(Arc::new(kept))
}

fn file(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    match args.prepared::<Kept>() {
        Some(Some(value)) => Ok(value.clone()),
        _ => read(&args.str(0)),
    }
}

fn hostname(_: &mut Cx<'_>, _: &Args<'_>) -> Result<Value, Fault> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| std::fs::read_to_string("/etc/hostname"));
    match name {
        Ok(name) => Ok(name.trim().into()),
        Err(error) => Err(Fault::new(format!("hostname: {error}"))),
    }
}

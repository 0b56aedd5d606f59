//! Methods on timestamps and durations.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::coercion::to_timestamp;
use super::target::coerced_str;
use crate::compat::{duration, layout, period, strftime};
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, ParamKind, Prepared, Spec, Traits};
use crate::timestamp::Timestamp;
use crate::value::Value;

/// Folds on literals.
const STATIC: Traits = Traits { folds: true, ..Traits::PLAIN };

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin("parse_duration", "Nanoseconds of a duration such as 1h30m.", &[], parse_duration)
        .traits(STATIC),
    Spec::plugin(
        "parse_duration_iso8601",
        "Nanoseconds of a duration such as PT1H30M.",
        &[],
        parse_duration_iso8601,
    )
    .traits(STATIC),
    Spec::plugin("ts_parse", "Reads a timestamp by a layout.", LAYOUT, ts_parse).traits(STATIC),
    Spec::plugin("parse_timestamp", "As `ts_parse`, giving text.", LAYOUT, parse_timestamp).traits(STATIC),
    Spec::plugin("ts_format", "Writes a timestamp by a layout.", FORMAT, ts_format)
        .traits(STATIC)
        .prepared(zone_of_format),
    Spec::plugin("format_timestamp", "As `ts_format`.", FORMAT, ts_format)
        .traits(STATIC)
        .prepared(zone_of_format),
    Spec::plugin("ts_strptime", "Reads a timestamp by percent directives.", PATTERN, ts_strptime)
        .traits(STATIC),
    Spec::plugin(
        "parse_timestamp_strptime",
        "As `ts_strptime`, giving text.",
        PATTERN,
        parse_timestamp_strptime,
    )
    .traits(STATIC),
    Spec::plugin("ts_strftime", "Writes a timestamp by percent directives.", STRFTIME, ts_strftime)
        .traits(STATIC)
        .prepared(zone_of_format),
    Spec::plugin("format_timestamp_strftime", "As `ts_strftime`.", STRFTIME, ts_strftime)
        .traits(STATIC)
        .prepared(zone_of_format),
    Spec::plugin("ts_tz", "The same moment in another zone.", ZONE, ts_tz).traits(STATIC).prepared(zone),
    Spec::plugin("ts_round", "Rounds to a multiple of so many nanoseconds.", ROUND, ts_round).traits(STATIC),
    Spec::plugin("ts_sub", "Nanoseconds from another timestamp to this one.", SUB, ts_sub).traits(STATIC),
    Spec::plugin("ts_add_iso8601", "Adds a duration such as P1DT12H.", ISO, ts_add_iso8601)
        .traits(STATIC)
        .prepared(iso),
    Spec::plugin("ts_sub_iso8601", "Subtracts a duration such as P1DT12H.", ISO, ts_sub_iso8601)
        .traits(STATIC)
        .prepared(iso),
    Spec::plugin("ts_unix", "Seconds since 1970.", &[], ts_unix).traits(STATIC),
    Spec::plugin("ts_unix_milli", "Milliseconds since 1970.", &[], ts_unix_milli).traits(STATIC),
    Spec::plugin("ts_unix_micro", "Microseconds since 1970.", &[], ts_unix_micro).traits(STATIC),
    Spec::plugin("ts_unix_nano", "Nanoseconds since 1970.", &[], ts_unix_nano).traits(STATIC),
    Spec::plugin("format_timestamp_unix", "As `ts_unix`.", &[], ts_unix).traits(STATIC),
    Spec::plugin("format_timestamp_unix_milli", "As `ts_unix_milli`.", &[], ts_unix_milli).traits(STATIC),
    Spec::plugin("format_timestamp_unix_micro", "As `ts_unix_micro`.", &[], ts_unix_micro).traits(STATIC),
    Spec::plugin("format_timestamp_unix_nano", "As `ts_unix_nano`.", &[], ts_unix_nano).traits(STATIC),
];

const LAYOUT: &[Param] = &[Param::string("format", "How `Mon Jan 2 15:04:05 MST 2006` would look.")];
const FORMAT: &[Param] = &[
    Param::string("format", "How `Mon Jan 2 15:04:05 MST 2006` would look.")
        .default(crate::spec::Default::String("2006-01-02T15:04:05.999999999Z07:00")),
    Param::string("tz", "The zone to show it in.").optional(),
];
const PATTERN: &[Param] = &[Param::string("format", "The directives.")];
const STRFTIME: &[Param] =
    &[Param::string("format", "The directives."), Param::string("tz", "The zone to show it in.").optional()];
const ZONE: &[Param] = &[Param::string("tz", "The zone, `UTC`, `Local` or a name such as Europe/Berlin.")];
const ROUND: &[Param] = &[Param::int("duration", "Nanoseconds.")];
const SUB: &[Param] = &[Param::new("t2", ParamKind::Timestamp, "The other timestamp.")];
const ISO: &[Param] = &[Param::string("duration", "The duration.")];

/// A zone by name.
fn load_zone(name: &str) -> Result<TimeZone, Fault> {
    match name {
        "" | "UTC" => return Ok(TimeZone::UTC),
        "Local" => return Ok(TimeZone::system()),
        _ => {}
    }
    // Names are taken as they are spelled, and never as paths.
    let found = TimeZone::get(name).ok().filter(|zone| zone.iana_name() == Some(name));
    found.ok_or_else(|| {
        Fault::new(format!("failed to parse timezone location name: unknown time zone {name}"))
    })
}

fn zone(args: &Args<'_>) -> Result<Prepared, Fault> {
    Ok(Arc::new(load_zone(&args.str(0))?))
}

fn zone_of_format(args: &Args<'_>) -> Result<Prepared, Fault> {
    let zone = match args.text(1) {
        Some(name) => Some(load_zone(&name.as_str())?),
        None => None,
    };
    Ok(Arc::new(zone))
}

/// The target, in the zone asked for if any.
fn shown(target: &Value, args: &Args<'_>) -> Result<Timestamp, Fault> {
    let time = to_timestamp(target)?;
    Ok(match args.prepared::<Option<TimeZone>>() {
        Some(Some(zone)) => time.in_zone(zone.clone()),
        _ => time,
    })
}

fn parse_duration(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    duration::parse(&coerced_str(&target)?).map(Value::Int).map_err(Fault::new)
}

fn parse_duration_iso8601(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let period = period::Period::parse(&coerced_str(&target)?).map_err(Fault::new)?;
    Ok(Value::Int(period.approximate_nanos()))
}

fn ts_parse(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    layout::parse(&args.str(0), &coerced_str(&target)?).map(Value::from).map_err(Fault::new)
}

fn parse_timestamp(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(ts_parse(cx, target, args)?.to_text().into())
}

fn ts_format(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(layout::format(&shown(&target, args)?, &args.str(0)).into())
}

fn ts_strptime(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    strftime::parse(&coerced_str(&target)?, &args.str(0)).map(Value::from).map_err(Fault::new)
}

fn parse_timestamp_strptime(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(ts_strptime(cx, target, args)?.to_text().into())
}

fn ts_strftime(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(strftime::format(&shown(&target, args)?, &args.str(0)).into())
}

fn ts_tz(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let time = to_timestamp(&target)?;
    Ok(args.prepared::<TimeZone>().map_or_else(|| time.clone(), |zone| time.in_zone(zone.clone())).into())
}

/// Seconds from the year 1 to 1970, from where rounding counts.
const YEAR_ONE: i128 = 62_135_596_800;

fn ts_round(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let time = to_timestamp(&target)?;
    let unit = i128::from(args.int(0).unwrap_or(0));
    if unit <= 0 {
        return Ok(time.into());
    }
    let since = time.unix_nanos() + YEAR_ONE * 1_000_000_000;
    let over = since.rem_euclid(unit);
    let nanos = time.unix_nanos() - over + if over * 2 >= unit { unit } else { 0 };
    let instant =
        jiff::Timestamp::from_nanosecond(nanos).map_err(|_| Fault::new("timestamp is out of range"))?;
    Ok(Timestamp::new(instant.to_zoned_datetime(time.zoned().time_zone().clone())).into())
}

fn ts_sub(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let time = to_timestamp(&target)?;
    let other = to_timestamp(args.value(0).unwrap_or(&Value::Null))?;
    let nanos = time.unix_nanos() - other.unix_nanos();
    Ok(Value::Int(i64::try_from(nanos).unwrap_or(if nanos < 0 { i64::MIN } else { i64::MAX })))
}

fn iso(args: &Args<'_>) -> Result<Prepared, Fault> {
    Ok(Arc::new(period::Period::parse(&args.str(0)).map_err(Fault::new)?))
}

fn shifted(target: &Value, args: &Args<'_>, sign: i64) -> Result<Value, Fault> {
    let time = to_timestamp(target)?;
    let Some(period) = args.prepared::<period::Period>() else { return Ok(time.into()) };
    period.shift(&time, sign).map(Value::from).ok_or_else(|| Fault::new("timestamp is out of range"))
}

fn ts_add_iso8601(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    shifted(&target, args, 1)
}

fn ts_sub_iso8601(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    shifted(&target, args, -1)
}

/// Units of so many nanoseconds since 1970, rounded down.
fn since_1970(target: &Value, unit: i128) -> Result<Value, Fault> {
    let units = to_timestamp(target)?.unix_nanos().div_euclid(unit);
    Ok(Value::Int(i64::try_from(units).unwrap_or(i64::MIN)))
}

fn ts_unix(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    since_1970(&target, 1_000_000_000)
}

fn ts_unix_milli(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    since_1970(&target, 1_000_000)
}

fn ts_unix_micro(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    since_1970(&target, 1000)
}

fn ts_unix_nano(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    since_1970(&target, 1)
}

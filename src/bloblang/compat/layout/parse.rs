//! Reading a time by a layout.

use jiff::Timestamp as Instant;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::{DAYS, MONTHS, OffsetStyle, Part, next_part, short};
use crate::timestamp::Timestamp;

/// What a part did not like.
enum Problem {
    /// The text does not fit.
    Bad,
    /// A number is out of range; its name.
    Range(&'static str),
}

/// What the parts gave so far.
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    /// Whether afternoon or morning was named.
    afternoon: Option<bool>,
    utc: bool,
    offset: Option<i64>,
    zone: Option<String>,
}

/// Quotes as time errors do: everything outside printable ASCII by its bytes.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            other => out.extend([format!("\\x{other:02x}")]),
        }
    }
    out.push('"');
    out
}

/// Reads a time; the error is the reference's.
pub(crate) fn parse(layout: &str, text: &str) -> Result<Timestamp, String> {
    let cannot = |rest: &str, part: &str| {
        format!(
            "parsing time {} as {}: cannot parse {} as {}",
            quote(text),
            quote(layout),
            quote(rest),
            quote(part)
        )
    };
    let message = |problem: &str| format!("parsing time {}: {problem}", quote(text));
    let mut fields = Fields {
        year: 0,
        month: None,
        day: None,
        year_day: None,
        hour: 0,
        minute: 0,
        second: 0,
        nanos: 0,
        afternoon: None,
        utc: false,
        offset: None,
        zone: None,
    };
    let (mut format, mut rest) = (layout, text);
    loop {
        let (before, part, after) = next_part(format);
        rest = skip(rest, before).map_err(|rest| cannot(rest, before))?;
        let Some((part, name)) = part else {
            if rest.is_empty() {
                break;
            }
            return Err(message(&format!("extra text: {}", quote(rest))));
        };
        format = after;
        let start = rest;
        match fields.read(part, &mut rest, format) {
            Ok(()) => {}
            Err(Problem::Bad) => return Err(cannot(start, name)),
            Err(Problem::Range(what)) => return Err(message(&format!("{what} out of range"))),
        }
    }
    fields.build().map_err(message)
}

/// Skips literal text; a blank in the layout stands for any number of them.
fn skip<'a>(mut text: &'a str, mut prefix: &str) -> Result<&'a str, &'a str> {
    while let Some(char) = prefix.chars().next() {
        if char == ' ' {
            if !text.is_empty() && !text.starts_with(' ') {
                return Err(text);
            }
            prefix = prefix.trim_start_matches(' ');
            text = text.trim_start_matches(' ');
            continue;
        }
        let Some(after) = text.strip_prefix(char) else { return Err(text) };
        text = after;
        prefix = prefix.strip_prefix(char).unwrap_or_default();
    }
    Ok(text)
}

/// Takes so many bytes off.
fn take<'a>(rest: &mut &'a str, len: usize) -> Result<&'a str, Problem> {
    let (taken, after) = rest.split_at_checked(len).ok_or(Problem::Bad)?;
    *rest = after;
    Ok(taken)
}

fn digits(text: &str) -> Result<i64, Problem> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| Problem::Bad)
    } else {
        Err(Problem::Bad)
    }
}

fn starts_with_digits(text: &str, count: usize) -> bool {
    text.as_bytes().get(..count).is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit))
}

/// One or two digits; exactly two if `fixed`.
fn two_digits(rest: &mut &str, fixed: bool) -> Result<i64, Problem> {
    if starts_with_digits(rest, 2) {
        return digits(take(rest, 2)?);
    }
    if fixed || !starts_with_digits(rest, 1) {
        return Err(Problem::Bad);
    }
    digits(take(rest, 1)?)
}

/// A name out of a list, whatever its case; its position.
fn lookup(rest: &mut &str, names: impl Iterator<Item = &'static str>) -> Result<i64, Problem> {
    for (at, name) in names.enumerate() {
        if rest.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name)) {
            take(rest, name.len())?;
            return i64::try_from(at).map_err(|_| Problem::Bad);
        }
    }
    Err(Problem::Bad)
}

/// Digits behind a dot or comma as nanoseconds; takes `len` bytes.
fn fraction(rest: &mut &str, len: usize) -> Result<i64, Problem> {
    let taken = take(rest, len)?;
    let figures = taken.strip_prefix(['.', ',']).ok_or(Problem::Bad)?;
    let figures = figures.get(..figures.len().min(9)).ok_or(Problem::Bad)?;
    let value = digits(figures)?;
    Ok(value * 10i64.pow(9 - u32::try_from(figures.len()).unwrap_or(9)))
}

/// How many bytes a dot or comma and the digits behind it take.
fn fraction_len(rest: &str) -> Option<usize> {
    if !rest.starts_with(['.', ',']) || !rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    Some(1 + rest.bytes().skip(1).take_while(u8::is_ascii_digit).count())
}

fn within(value: i64, range: std::ops::RangeInclusive<i64>, name: &'static str) -> Result<i64, Problem> {
    if range.contains(&value) { Ok(value) } else { Err(Problem::Range(name)) }
}

/// Length of a zone's abbreviation.
fn zone_len(text: &str) -> Option<usize> {
    if text.starts_with("ChST") || text.starts_with("MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix("GMT") {
        return Some(3 + hours_len(rest));
    }
    if text.starts_with(['+', '-']) {
        let len = hours_len(text);
        return (len > 0).then_some(len);
    }
    let upper = text.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
    match upper {
        5 if text.as_bytes().get(4) == Some(&b'T') => Some(5),
        4 if text.as_bytes().get(3) == Some(&b'T') || text.starts_with("WITA") => Some(4),
        3 => Some(3),
        _ => None,
    }
}

/// Length of a sign and up to 23 hours, 0 if there are none.
fn hours_len(text: &str) -> usize {
    if !text.starts_with(['+', '-']) {
        return 0;
    }
    let count = text.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    let hours = text.get(1..=count).and_then(|hours| hours.parse::<u32>().ok());
    if hours.is_some_and(|hours| hours <= 23) { count + 1 } else { 0 }
}

impl Fields {
    fn read(&mut self, part: Part, rest: &mut &str, after: &str) -> Result<(), Problem> {
        match part {
            Part::Year => {
                let year = digits(take(rest, 2)?)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            Part::LongYear => {
                if !starts_with_digits(rest, 1) {
                    return Err(Problem::Bad);
                }
                self.year = digits(take(rest, 4)?)?;
            }
            Part::Month => self.month = Some(lookup(rest, MONTHS.iter().map(|name| short(name)))? + 1),
            Part::LongMonth => self.month = Some(lookup(rest, MONTHS.iter().copied())? + 1),
            Part::NumMonth | Part::ZeroMonth => {
                self.month = Some(within(two_digits(rest, part == Part::ZeroMonth)?, 1..=12, "month")?);
            }
            Part::WeekDay => drop(lookup(rest, DAYS.iter().map(|name| short(name)))?),
            Part::LongWeekDay => drop(lookup(rest, DAYS.iter().copied())?),
            Part::Day | Part::UnderDay | Part::ZeroDay => {
                if part == Part::UnderDay {
                    *rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
                self.day = Some(two_digits(rest, part == Part::ZeroDay)?);
            }
            Part::UnderYearDay | Part::ZeroYearDay => {
                if part == Part::UnderYearDay {
                    *rest = rest.strip_prefix(' ').unwrap_or(rest);
                    *rest = rest.strip_prefix(' ').unwrap_or(rest);
                }
                let count = rest.bytes().take(3).take_while(u8::is_ascii_digit).count();
                if count == 0 || (part == Part::ZeroYearDay && count < 3) {
                    return Err(Problem::Bad);
                }
                self.year_day = Some(digits(take(rest, count)?)?);
            }
            Part::Hour => self.hour = within(two_digits(rest, false)?, 0..=23, "hour")?,
            Part::Hour12 | Part::ZeroHour12 => {
                self.hour = within(two_digits(rest, part == Part::ZeroHour12)?, 0..=12, "hour")?;
            }
            Part::Minute | Part::ZeroMinute => {
                self.minute = within(two_digits(rest, part == Part::ZeroMinute)?, 0..=59, "minute")?;
            }
            Part::Second | Part::ZeroSecond => {
                self.second = within(two_digits(rest, part == Part::ZeroSecond)?, 0..=59, "second")?;
                // A fraction may follow though the layout names none.
                if !matches!(next_part(after).1, Some((Part::Fraction { .. }, _)))
                    && let Some(len) = fraction_len(rest)
                {
                    self.nanos = fraction(rest, len)?;
                }
            }
            Part::UpperPm | Part::LowerPm => {
                let names = if part == Part::UpperPm { ["AM", "PM"] } else { ["am", "pm"] };
                let taken = take(rest, 2)?;
                let found = names.iter().position(|name| *name == taken).ok_or(Problem::Bad)?;
                self.afternoon = Some(found == 1);
            }
            Part::ZoneName => {
                if let Some(after) = rest.strip_prefix("UTC") {
                    *rest = after;
                    self.utc = true;
                } else {
                    let len = zone_len(rest).ok_or(Problem::Bad)?;
                    self.zone = Some(take(rest, len)?.to_owned());
                }
            }
            Part::Offset(style) => self.read_offset(style, rest)?,
            Part::Fraction { digits, trim: false, .. } => self.nanos = fraction(rest, digits + 1)?,
            Part::Fraction { .. } => {
                if let Some(len) = fraction_len(rest) {
                    self.nanos = fraction(rest, len)?;
                }
            }
        }
        Ok(())
    }

    fn read_offset(&mut self, style: OffsetStyle, rest: &mut &str) -> Result<(), Problem> {
        if style.z
            && let Some(after) = rest.strip_prefix('Z')
        {
            *rest = after;
            self.utc = true;
            return Ok(());
        }
        let sign = take(rest, 1)?;
        let hours = two_digits(rest, true)?;
        let mut more = |wanted: bool| {
            if !wanted {
                return Ok(0);
            }
            if style.colons && take(rest, 1)? != ":" {
                return Err(Problem::Bad);
            }
            two_digits(rest, true)
        };
        let minutes = more(style.minutes)?;
        let seconds = more(style.seconds)?;
        within(hours, 0..=24, "time zone offset hour")?;
        within(minutes, 0..=60, "time zone offset minute")?;
        within(seconds, 0..=60, "time zone offset second")?;
        let offset = (hours * 60 + minutes) * 60 + seconds;
        self.offset = Some(match sign {
            "+" => offset,
            "-" => -offset,
            _ => return Err(Problem::Bad),
        });
        Ok(())
    }

    fn build(mut self) -> Result<Timestamp, &'static str> {
        match self.afternoon {
            Some(true) if self.hour < 12 => self.hour += 12,
            Some(false) if self.hour == 12 => self.hour = 0,
            _ => {}
        }
        let year = i16::try_from(self.year).map_err(|_| "year out of range")?;
        if let Some(year_day) = self.year_day {
            let start = jiff::civil::Date::new(year, 1, 1).map_err(|_| "year out of range")?;
            let wanted = i16::try_from(year_day).ok().filter(|day| (1..=start.days_in_year()).contains(day));
            let wanted = wanted.ok_or("day-of-year out of range")?;
            let date = start.with().day_of_year(wanted).build().map_err(|_| "day-of-year out of range")?;
            if self.month.is_some_and(|month| month != date.month().into()) {
                return Err("day-of-year does not match month");
            }
            if self.day.is_some_and(|day| day != date.day().into()) {
                return Err("day-of-year does not match day");
            }
            (self.month, self.day) = (Some(date.month().into()), Some(date.day().into()));
        }
        let small = |value: i64| i8::try_from(value).unwrap_or(0);
        let (month, day) = (small(self.month.unwrap_or(1)), small(self.day.unwrap_or(1)));
        let nanos = i32::try_from(self.nanos).unwrap_or(0);
        let time =
            DateTime::new(year, month, day, small(self.hour), small(self.minute), small(self.second), nanos)
                .map_err(|_| "day out of range")?;
        let beyond = "time is out of range";
        let at = |offset: i64| {
            let offset = i32::try_from(offset)
                .ok()
                .and_then(|seconds| Offset::from_seconds(seconds).ok())
                .ok_or(beyond)?;
            time.to_zoned_datetime(TimeZone::fixed(offset)).map_err(|_| beyond)
        };
        if self.utc {
            return Ok(Timestamp::new(time.to_zoned_datetime(TimeZone::UTC).map_err(|_| beyond)?));
        }
        if let Some(offset) = self.offset {
            let zoned = at(offset)?;
            return Ok(match self.zone {
                Some(zone) => Timestamp::with_abbreviation(zoned, &zone),
                None => Timestamp::new(zoned),
            });
        }
        let Some(zone) = self.zone else {
            return Ok(Timestamp::new(time.to_zoned_datetime(TimeZone::UTC).map_err(|_| beyond)?));
        };
        let local = TimeZone::system();
        if let Ok(zoned) = time.to_zoned_datetime(local.clone())
            && abbreviation(&local, zoned.timestamp()) == zone
        {
            return Ok(Timestamp::new(zoned));
        }
        let hours = zone.strip_prefix("GMT").and_then(|hours| hours.parse::<i64>().ok()).unwrap_or(0);
        Ok(Timestamp::with_abbreviation(at(hours * 3600)?, &zone))
    }
}

fn abbreviation(zone: &TimeZone, at: Instant) -> String {
    zone.to_offset_info(at).abbreviation().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (layout, text, want) in [
            ("2006-01-02T15:04:05Z07:00", "2020-08-14T11:45:26.371Z", "2020-08-14T11:45:26.371Z"),
            ("2006-Jan-02", "2020-aug-14", "2020-08-14T00:00:00Z"),
            ("06 3:04pm", "69 4:05pm", "1969-01-01T16:05:00Z"),
            ("Jan _2 2006 MST", "Feb  3 2021 XYZ", "2021-02-03T00:00:00Z"),
            ("2006-01-02 -0700", "2020-01-01 +0130", "2020-01-01T00:00:00+01:30"),
            ("2006 002", "2020 060", "2020-02-29T00:00:00Z"),
            ("15:04:05.000", "10:11:12.123", "0000-01-01T10:11:12.123Z"),
        ] {
            assert_eq!(parse(layout, text).unwrap().to_string(), want, "{layout}");
        }
    }

    #[test]
    fn errors_are_the_references() {
        for (layout, text, want) in [
            ("2006-01-02", "foo", r#"parsing time "foo" as "2006-01-02": cannot parse "foo" as "2006""#),
            ("2006-01-02", "2020-13-01", r#"parsing time "2020-13-01": month out of range"#),
            ("2006-01-02", "2020-02-30", r#"parsing time "2020-02-30": day out of range"#),
            ("2006-01-02", "2020-01-01x", r#"parsing time "2020-01-01x": extra text: "x""#),
            (
                "2006-01-02",
                "2020/01-01",
                r#"parsing time "2020/01-01" as "2006-01-02": cannot parse "/01-01" as "-""#,
            ),
        ] {
            assert_eq!(parse(layout, text).unwrap_err(), want, "{layout}");
        }
    }
}

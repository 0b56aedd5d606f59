//! Schedules in the notation of cron: `[second] minute hour day month weekday`, `@hourly`, `@every 5m`, each with
//! an optional `TZ=Europe/London` before it.

use jiff::{Timestamp, ToSpan, civil::DateTime, tz::TimeZone};
use std::time::Duration;

/// When something is due, again and again.
#[derive(Debug)]
pub(super) enum Schedule {
    /// So long after the last time, in whole seconds.
    Every(Duration),
    /// At times of the clock.
    Clock(Box<Clock>),
}

/// One bit a value that matches.
#[derive(Debug)]
pub(super) struct Clock {
    second: u64,
    minute: u64,
    hour: u64,
    day: u64,
    month: u64,
    weekday: u64,
    /// Whether day or weekday is `*`: then both must match, else one of them.
    both_days: bool,
    zone: TimeZone,
}

struct Range {
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

const SECOND: Range = Range { min: 0, max: 59, names: &[] };
const HOUR: Range = Range { min: 0, max: 23, names: &[] };
const DAY: Range = Range { min: 1, max: 31, names: &[] };
const MONTH: Range = Range {
    min: 1,
    max: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
};
const WEEKDAY: Range = Range { min: 0, max: 6, names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"] };

impl Schedule {
    /// Reads a schedule.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (zone, text) = match text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ=")) {
            None => (TimeZone::UTC, text.trim()),
            Some(rest) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let zone = TimeZone::get(name)
                    .map_err(|_| format!("provided bad location {name}: unknown time zone {name}"))?;
                (zone, rest.trim())
            }
        };
        if let Some(rest) = text.strip_prefix("@every ") {
            let (negative, every) = weir_core::duration::parse_signed(rest)
                .map_err(|error| format!("failed to parse duration {text}: {error}"))?;
            let seconds = if negative { 0 } else { every.as_secs() };
            return Ok(Self::Every(Duration::from_secs(seconds.max(1))));
        }
        let text = match text {
            "@yearly" | "@annually" => "0 0 0 1 1 *",
            "@monthly" => "0 0 0 1 * *",
            "@weekly" => "0 0 0 * * 0",
            "@daily" | "@midnight" => "0 0 0 * * *",
            "@hourly" => "0 0 * * * *",
            _ if text.starts_with('@') => return Err(format!("unrecognized descriptor: {text}")),
            _ => text,
        };
        let mut fields: Vec<&str> = text.split_whitespace().collect();
        if !(5..=6).contains(&fields.len()) {
            return Err(format!("expected 5 to 6 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        }
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        let field = |at: usize, range: &Range| bits(fields.get(at).copied().unwrap_or("*"), range);
        let (day, any_day) = field(3, &DAY)?;
        let (weekday, any_weekday) = field(5, &WEEKDAY)?;
        Ok(Self::Clock(Box::new(Clock {
            second: field(0, &SECOND)?.0,
            minute: field(1, &SECOND)?.0,
            hour: field(2, &HOUR)?.0,
            day,
            month: field(4, &MONTH)?.0,
            weekday,
            both_days: any_day || any_weekday,
            zone,
        })))
    }

    /// The next time after this one; `None` if there is none in the next years, such as February 30th.
    pub(super) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(every) => {
                let seconds = i64::try_from(every.as_secs()).ok()?;
                Timestamp::from_second(after.as_second().checked_add(seconds)?).ok()
            }
            Self::Clock(clock) => clock.next(after),
        }
    }
}

/// The values of one field, and whether it stands for all.
fn bits(text: &str, range: &Range) -> Result<(u64, bool), String> {
    let (mut bits, mut all) = (0, false);
    for part in text.split(',') {
        let (span, step) = part.split_once('/').map_or((part, None), |(span, step)| (span, Some(step)));
        let (low, high) = match span {
            "*" | "?" => {
                all |= step.is_none_or(|step| step == "1");
                (range.min, range.max)
            }
            _ => {
                if let Some((low, high)) = span.split_once('-') {
                    (range.value(low)?, range.value(high)?)
                } else {
                    let low = range.value(span)?;
                    (low, if step.is_some() { range.max } else { low })
                }
            }
        };
        let step = match step {
            None => 1,
            Some(step) => number(step)?,
        };
        if low < range.min {
            return Err(format!("beginning of range ({low}) below minimum ({}): {part}", range.min));
        }
        if high > range.max {
            return Err(format!("end of range ({high}) above maximum ({}): {part}", range.max));
        }
        if low > high {
            return Err(format!("beginning of range ({low}) beyond end of range ({high}): {part}"));
        }
        if step == 0 {
            return Err(format!("step of range should be a positive number: {part}"));
        }
        (low..=high).step_by(usize::from(step)).for_each(|value| bits |= 1 << value);
    }
    Ok((bits, all))
}

impl Range {
    fn value(&self, text: &str) -> Result<u8, String> {
        let lower = text.to_lowercase();
        match (self.min..).zip(self.names).find(|(_, name)| **name == lower) {
            Some((value, _)) => Ok(value),
            None => number(text),
        }
    }
}

fn number(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| {
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: invalid syntax")
    })
}

fn has(bits: u64, value: i8) -> bool {
    u32::try_from(value).is_ok_and(|value| bits >> value & 1 == 1)
}

impl Clock {
    fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut at = self.zone.to_datetime(after).with().subsec_nanosecond(0).build().ok()?;
        at = at.checked_add(1.second()).ok()?;
        let last = at.year().checked_add(5)?;
        while at.year() <= last {
            let midnight = |at: DateTime| at.date().to_datetime(jiff::civil::Time::midnight());
            if !has(self.month, at.month()) {
                at = midnight(at).with().day(1).build().ok()?.checked_add(1.month()).ok()?;
            } else if !self.is_day(at) {
                at = midnight(at).checked_add(1.day()).ok()?;
            } else if !has(self.hour, at.hour()) {
                at = at.with().minute(0).second(0).build().ok()?.checked_add(1.hour()).ok()?;
            } else if !has(self.minute, at.minute()) {
                at = at.with().second(0).build().ok()?.checked_add(1.minute()).ok()?;
            } else if !has(self.second, at.second()) {
                at = at.checked_add(1.second()).ok()?;
            } else {
                let due = self.zone.to_timestamp(at).ok()?;
                if due > after {
                    return Some(due);
                }
                // An hour that the clock shows twice.
                at = at.checked_add(1.second()).ok()?;
            }
        }
        None
    }

    fn is_day(&self, at: DateTime) -> bool {
        let (day, weekday) =
            (has(self.day, at.day()), has(self.weekday, at.weekday().to_sunday_zero_offset()));
        if self.both_days { day && weekday } else { day || weekday }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(schedule: &str, after: &str) -> String {
        let next = Schedule::parse(schedule).unwrap().next(after.parse().unwrap());
        next.map_or("never".into(), |next| next.to_string())
    }

    #[test]
    fn finds_the_next_time() {
        let after = "2024-02-28T23:59:30.5Z";
        for (schedule, due) in [
            ("* * * * * *", "2024-02-28T23:59:31Z"),
            ("*/5 * * * *", "2024-02-29T00:00:00Z"),
            ("15 30 8-9 * * mon-fri", "2024-02-29T08:30:15Z"),
            ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
            ("0 0 30 2 *", "never"),
            ("0 0 1 * fri", "2024-03-01T00:00:00Z"),
            ("0 0 10 * sun", "2024-03-03T00:00:00Z"),
            ("@monthly", "2024-03-01T00:00:00Z"),
            ("@every 90s", "2024-02-29T00:01:00Z"),
            ("TZ=UTC 0 12 * * *", "2024-02-29T12:00:00Z"),
        ] {
            assert_eq!(next(schedule, after), due, "{schedule}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (schedule, wanted) in [
            ("soon", "expected 5 to 6 fields, found 1: [soon]"),
            (
                "TZ=Nowhere/Land * * * * *",
                "provided bad location Nowhere/Land: unknown time zone Nowhere/Land",
            ),
            ("61 * * * *", "end of range (61) above maximum (59): 61"),
            ("* * 5-2 * *", "beginning of range (5) beyond end of range (2): 5-2"),
            ("@often", "unrecognized descriptor: @often"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
        ] {
            assert_eq!(Schedule::parse(schedule).unwrap_err(), wanted);
        }
        assert!(Schedule::parse("x * * * *").is_err());
    }
}

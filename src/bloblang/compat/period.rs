//! ISO 8601 durations, in calendar units.

use jiff::{SignedDuration, Span};

use crate::timestamp::Timestamp;

/// Nanoseconds of one of each unit, the year being 365.2425 days on average.
const YEAR: i64 = 31_556_952 * SECOND;
const MONTH: i64 = 2_629_746 * SECOND;
const SECOND: i64 = 1_000_000_000;

/// A duration; each part may be negative. Fractions are in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Period {
    years: Amount,
    months: Amount,
    weeks: Amount,
    days: Amount,
    hours: Amount,
    minutes: Amount,
    seconds: Amount,
}

/// Whole units and billionths of one, of one sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    whole: i64,
    billionths: i64,
}

impl Amount {
    /// Nanoseconds, for units of so many.
    fn nanos(self, unit: i64) -> i128 {
        i128::from(self.whole) * i128::from(unit)
            + i128::from(self.billionths) * i128::from(unit) / 1_000_000_000
    }
}

impl Period {
    /// Reads a duration; the error is the reference's.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let blank = || "cannot parse a blank string as a period".to_owned();
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest.is_empty() {
            return Err(blank());
        }
        rest =
            rest.strip_prefix('P').ok_or_else(|| format!("{text}: expected 'P' period mark at the start"))?;
        let mut period = Self::default();
        let (mut in_time, mut seen) = (false, String::new());
        let mut fraction: Option<char> = None;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                if in_time {
                    return Err(format!("{text}: 'T' designator cannot occur more than once"));
                }
                in_time = true;
                rest = after;
                continue;
            }
            let len = rest
                .find(|char: char| !(char.is_ascii_digit() || matches!(char, '.' | ',' | '-' | '+')))
                .unwrap_or(rest.len());
            let number = rest.get(..len).unwrap_or_default();
            let designator = rest.get(len..).and_then(|after| after.chars().next());
            if number.is_empty() {
                return Err(format!("{text}: expected a number but found '{}'", designator.unwrap_or(' ')));
            }
            let designator = designator.ok_or_else(|| format!("{text}: missing designator at the end"))?;
            rest = rest.get(len + designator.len_utf8()..).unwrap_or_default();
            let amount =
                amount(number, sign).ok_or_else(|| format!("{text}: number invalid or out of range"))?;
            if let Some(before) = fraction
                && amount != Amount::default()
            {
                return Err(format!(
                    "{text}: '{before}' & '{designator}' only the last field can have a fraction"
                ));
            }
            let slot = match (designator, in_time) {
                ('Y', false) => &mut period.years,
                ('M', false) => &mut period.months,
                ('W', false) => &mut period.weeks,
                ('D', false) => &mut period.days,
                ('H', true) => &mut period.hours,
                ('M', true) => &mut period.minutes,
                ('S', true) => &mut period.seconds,
                ('Y' | 'W' | 'D', true) | ('H' | 'S', false) => {
                    return Err(format!("{text}: '{designator}' designator cannot occur here"));
                }
                _ => {
                    let expected = if in_time { "'H', 'M', or 'S'" } else { "'Y', 'M', 'W', or 'D'" };
                    return Err(format!("{text}: expected a designator {expected} but found '{designator}'"));
                }
            };
            let mark = if in_time { designator.to_ascii_lowercase() } else { designator };
            if seen.contains(mark) {
                return Err(format!("{text}: '{designator}' designator cannot occur more than once"));
            }
            seen.push(mark);
            *slot = amount;
            if number.contains(['.', ',']) {
                fraction = Some(designator);
            }
        }
        if seen.is_empty() {
            return Err(format!("{text}: expected 'Y', 'M', 'W', 'D', 'H', 'M', or 'S' designator"));
        }
        Ok(period)
    }

    /// Nanoseconds, years and months counting as the average ones.
    pub(crate) fn approximate_nanos(&self) -> i64 {
        let total = self.years.nanos(YEAR) + self.months.nanos(MONTH) + self.clock_nanos(true);
        i64::try_from(total).unwrap_or(if total < 0 { i64::MIN } else { i64::MAX })
    }

    /// Nanoseconds of what is not counted by the calendar.
    fn clock_nanos(&self, with_days: bool) -> i128 {
        let days = if with_days {
            self.weeks.nanos(7 * 86_400 * SECOND) + self.days.nanos(86_400 * SECOND)
        } else {
            0
        };
        days + self.hours.nanos(3600 * SECOND) + self.minutes.nanos(60 * SECOND) + self.seconds.nanos(SECOND)
    }

    /// A time so much later, or earlier for a sign of -1; days beyond a month's end run on into the next.
    pub(crate) fn shift(&self, time: &Timestamp, sign: i64) -> Option<Timestamp> {
        let whole =
            [self.years, self.months, self.weeks, self.days].iter().all(|amount| amount.billionths == 0);
        let zoned = time.zoned();
        if !whole {
            let nanos = i128::from(self.approximate_nanos()) * i128::from(sign);
            return later(time, nanos);
        }
        let date = zoned.date();
        let months = self.years.whole.checked_mul(12)?.checked_add(self.months.whole)?.checked_mul(sign)?;
        let total = i64::from(date.year()) * 12 + i64::from(date.month()) - 1 + months;
        let first = jiff::civil::Date::new(
            i16::try_from(total.div_euclid(12)).ok()?,
            i8::try_from(total.rem_euclid(12) + 1).ok()?,
            1,
        )
        .ok()?;
        let days = self.weeks.whole.checked_mul(7)?.checked_add(self.days.whole)?.checked_mul(sign)?;
        let days = days.checked_add(i64::from(date.day()) - 1)?;
        let date = first.checked_add(Span::new().try_days(days).ok()?).ok()?;
        let moved = date.to_datetime(zoned.time()).to_zoned_datetime(zoned.time_zone().clone()).ok()?;
        later(&Timestamp::new(moved), self.clock_nanos(false) * i128::from(sign))
    }
}

/// A time so many nanoseconds later.
fn later(time: &Timestamp, nanos: i128) -> Option<Timestamp> {
    let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
    let rest = i32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
    let moved = time.zoned().checked_add(SignedDuration::new(seconds, rest)).ok()?;
    Some(Timestamp::new(moved))
}

fn amount(text: &str, sign: i64) -> Option<Amount> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let sign = if negative { -sign } else { sign };
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let figures = fraction.get(..fraction.len().min(9))?;
    let scale = 10i64.pow(9 - u32::try_from(figures.len()).ok()?);
    let billionths = if figures.is_empty() { 0 } else { figures.parse::<i64>().ok()? * scale };
    Some(Amount { whole: sign * whole, billionths: sign * billionths })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        assert_eq!(Period::parse("P1Y2M3DT4H5M6S").unwrap().approximate_nanos(), 37_090_350 * SECOND);
        assert_eq!(Period::parse("PT0.5S").unwrap().approximate_nanos(), 500_000_000);
        assert_eq!(Period::parse("-P1D").unwrap().approximate_nanos(), -86_400 * SECOND);
        assert!(Period::parse("1Y").is_err() && Period::parse("P").is_err() && Period::parse("P1H").is_err());
        let time = Timestamp::parse_rfc3339("2021-01-31T00:00:00Z").unwrap();
        let later = Period::parse("P1M").unwrap().shift(&time, 1).unwrap();
        assert_eq!(later.to_string(), "2021-03-03T00:00:00Z");
        let earlier = Period::parse("P1DT1H").unwrap().shift(&time, -1).unwrap();
        assert_eq!(earlier.to_string(), "2021-01-29T23:00:00Z");
    }
}

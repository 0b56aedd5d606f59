//! Points in time with the zone they are shown in.

use std::fmt;

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp as Instant, ZonedDateTime};

/// A point in time.
#[derive(Clone, Debug)]
pub struct Timestamp {
    time: ZonedDateTime,
    /// A zone's abbreviation that the zone itself does not know.
    abbreviation: Option<Box<str>>,
}

impl Timestamp {
    /// A time in its zone.
    pub fn new(time: ZonedDateTime) -> Self {
        Self { time, abbreviation: None }
    }

    /// A time whose zone was named by an abbreviation nobody knows.
    pub fn with_abbreviation(time: ZonedDateTime, abbreviation: &str) -> Self {
        Self { time, abbreviation: Some(abbreviation.into()) }
    }

    /// A time from seconds and nanoseconds since 1970, shown in the local zone; `None` beyond the years -9999 to 9999.
    pub fn from_unix(seconds: i64, nanos: i64) -> Option<Self> {
        let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        let instant = Instant::from_nanosecond(total).ok()?;
        Some(Self::new(instant.to_zoned_datetime(TimeZone::system())))
    }

    /// The time and zone.
    pub fn zoned(&self) -> &ZonedDateTime {
        &self.time
    }

    /// The abbreviation to show instead of the zone's own.
    pub fn abbreviation(&self) -> Option<&str> {
        self.abbreviation.as_deref()
    }

    /// The same moment in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: TimeZone) -> Self {
        Self::new(self.time.with_time_zone(zone))
    }

    /// Seconds since 1970, rounded down.
    pub fn unix_seconds(&self) -> i64 {
        i64::try_from(self.unix_nanos().div_euclid(1_000_000_000)).unwrap_or_default()
    }

    /// Nanoseconds since 1970.
    pub fn unix_nanos(&self) -> i128 {
        self.time.timestamp().as_nanosecond()
    }

    /// Parses RFC 3339 with any number of fractional digits.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| {
            let part = bytes.get(from..to)?;
            part.iter().all(u8::is_ascii_digit).then(|| crate::number::parse_int(part)).flatten()
        };
        let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
        if !separators.iter().all(|(at, byte)| bytes.get(*at) == Some(byte)) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let mut at = 19;
        let mut nanos = 0i64;
        if matches!(bytes.get(at), Some(b'.' | b',')) && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
            at += 1;
            let mut scale = 100_000_000;
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                nanos += i64::from(digit - b'0') * scale;
                scale /= 10;
                at += 1;
            }
        }
        let zone = match bytes.get(at..)? {
            b"Z" => TimeZone::UTC,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
                if hours > 24 || minutes >= 60 {
                    return None;
                }
                let seconds = i32::try_from((hours * 60 + minutes) * 60).ok()?;
                let seconds = if *sign == b'-' { -seconds } else { seconds };
                TimeZone::fixed(Offset::from_seconds(seconds).ok()?)
            }
            _ => return None,
        };
        let time = jiff::civil::DateTime::new(
            year.try_into().ok()?,
            month.try_into().ok()?,
            day.try_into().ok()?,
            hour.try_into().ok()?,
            minute.try_into().ok()?,
            second.try_into().ok()?,
            nanos.try_into().ok()?,
        )
        .ok()?;
        Some(Self::new(time.to_zoned_datetime(zone).ok()?))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with as many fractional digits as needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.time.datetime();
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
            time.year(),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second()
        )?;
        let nanos = time.subsec_nanosecond();
        if nanos != 0 {
            let digits = format!("{nanos:09}");
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        let offset = self.time.offset().seconds();
        if offset == 0 {
            return f.write_str("Z");
        }
        let minutes = offset.abs() / 60;
        write!(f, "{}{:02}:{:02}", if offset < 0 { '-' } else { '+' }, minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_both_ways() {
        for text in [
            "2020-08-14T11:45:26.371Z",
            "2020-08-14T11:45:26+01:30",
            "0001-01-01T00:00:00Z",
            "2020-01-01T00:00:00.000000001-07:00",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text).unwrap().to_string(), text);
        }
        for bad in [
            "2020-08-14",
            "2020-13-14T11:45:26Z",
            "2020-08-14T11:45:26",
            "2020-08-14T11:45:26.Z",
            "2020-08-14 11:45:26Z",
        ] {
            assert!(Timestamp::parse_rfc3339(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn unix_seconds_round_down() {
        assert_eq!(Timestamp::parse_rfc3339("1969-12-31T23:59:59.5Z").unwrap().unix_seconds(), -1);
    }
}

//! Writing a time by a layout.

use std::fmt::Write as _;

use super::{DAYS, MONTHS, OffsetStyle, Part, next_part, short};
use crate::timestamp::Timestamp;

/// Writes a time.
pub(crate) fn format(time: &Timestamp, layout: &str) -> String {
    let mut out = String::with_capacity(layout.len() + 10);
    let mut rest = layout;
    loop {
        let (before, part, after) = next_part(rest);
        out.push_str(before);
        let Some((part, _)) = part else { return out };
        write_part(&mut out, time, part);
        rest = after;
    }
}

/// The name of the zone in force, or its offset where it has none.
pub(in crate::compat) fn zone_name(time: &Timestamp) -> String {
    if let Some(name) = time.abbreviation() {
        return name.to_owned();
    }
    let zoned = time.zoned();
    let zone = zoned.time_zone();
    if zone.iana_name().is_none() && zone.to_fixed_offset().is_ok() {
        if zoned.offset().is_zero() {
            return "UTC".to_owned();
        }
        let mut out = String::new();
        write_offset(
            &mut out,
            zoned.offset().seconds(),
            OffsetStyle { z: false, colons: false, minutes: true, seconds: false },
        );
        return out;
    }
    zone.to_offset_info(zoned.timestamp()).abbreviation().to_owned()
}

fn write_offset(out: &mut String, seconds: i32, style: OffsetStyle) {
    if style.z && seconds == 0 {
        return out.push('Z');
    }
    let size = seconds.unsigned_abs();
    let colon = if style.colons { ":" } else { "" };
    out.push(if seconds < 0 { '-' } else { '+' });
    let mut part = |colon: &str, value: u32| out.extend([format!("{colon}{value:02}")]);
    part("", size / 3600);
    if style.minutes {
        part(colon, size / 60 % 60);
    }
    if style.seconds {
        part(colon, size % 60);
    }
}

fn write_part(out: &mut String, time: &Timestamp, part: Part) {
    let zoned = time.zoned();
    let hour = zoned.hour();
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let month = usize::try_from(zoned.month()).unwrap_or(1) - 1;
    let month = MONTHS.get(month).copied().unwrap_or_default();
    let day = usize::try_from(zoned.weekday().to_sunday_zero_offset()).unwrap_or(0);
    let day = DAYS.get(day).copied().unwrap_or_default();
    let written = match part {
        Part::LongYear => write!(out, "{:04}", zoned.year()),
        Part::Year => write!(out, "{:02}", zoned.year().rem_euclid(100)),
        Part::LongMonth => out.write_str(month),
        Part::Month => out.write_str(short(month)),
        Part::NumMonth => write!(out, "{}", zoned.month()),
        Part::ZeroMonth => write!(out, "{:02}", zoned.month()),
        Part::LongWeekDay => out.write_str(day),
        Part::WeekDay => out.write_str(short(day)),
        Part::Day => write!(out, "{}", zoned.day()),
        Part::UnderDay => write!(out, "{:2}", zoned.day()),
        Part::ZeroDay => write!(out, "{:02}", zoned.day()),
        Part::UnderYearDay => write!(out, "{:3}", zoned.day_of_year()),
        Part::ZeroYearDay => write!(out, "{:03}", zoned.day_of_year()),
        Part::Hour => write!(out, "{hour:02}"),
        Part::Hour12 => write!(out, "{hour12}"),
        Part::ZeroHour12 => write!(out, "{hour12:02}"),
        Part::Minute => write!(out, "{}", zoned.minute()),
        Part::ZeroMinute => write!(out, "{:02}", zoned.minute()),
        Part::Second => write!(out, "{}", zoned.second()),
        Part::ZeroSecond => write!(out, "{:02}", zoned.second()),
        Part::UpperPm => out.write_str(if hour >= 12 { "PM" } else { "AM" }),
        Part::LowerPm => out.write_str(if hour >= 12 { "pm" } else { "am" }),
        Part::ZoneName => out.write_str(&zone_name(time)),
        Part::Offset(style) => {
            write_offset(out, zoned.offset().seconds(), style);
            Ok(())
        }
        Part::Fraction { digits, trim, comma } => {
            let nanos = format!("{:09}", zoned.subsec_nanosecond());
            let shown = nanos.get(..digits.min(9)).unwrap_or_default();
            let shown = if trim { shown.trim_end_matches('0') } else { shown };
            if shown.is_empty() { Ok(()) } else { write!(out, "{}{shown}", if comma { ',' } else { '.' }) }
        }
    };
    debug_assert!(written.is_ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let time = Timestamp::parse_rfc3339("2020-08-04T15:05:06.120Z").unwrap();
        for (layout, want) in [
            ("2006-01-02T15:04:05.999999999Z07:00", "2020-08-04T15:05:06.12Z"),
            ("Mon Jan _2 15:04:05 2006", "Tue Aug  4 15:05:06 2020"),
            ("Monday, 02-Jan-06 15:04:05 MST", "Tuesday, 04-Aug-20 15:05:06 UTC"),
            ("3:04PM .000 ,9 002", "3:05PM .120 ,1 217"),
            ("January Janet Mond -0700 Z0700", "August Janet Mond +0000 Z"),
            ("2006_2006", "2020_2020"),
        ] {
            assert_eq!(format(&time, layout), want, "{layout}");
        }
        let time = Timestamp::parse_rfc3339("2020-08-04T15:05:06-01:30").unwrap();
        assert_eq!(format(&time, "-07:00:00 MST"), "-01:30:00 -0130");
    }
}

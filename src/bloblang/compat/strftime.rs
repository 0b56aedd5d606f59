//! Times by percent directives.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};

use super::layout::{DAYS, MONTHS, zone_name};
use super::quote;
use crate::timestamp::Timestamp;

/// Directives that stand for others.
fn expansion(directive: char) -> Option<&'static str> {
    Some(match directive {
        'c' => "%a %b %e %H:%M:%S %Y",
        '+' => "%a %b %e %H:%M:%S %Z %Y",
        'v' => "%e-%b-%Y",
        'r' => "%I:%M:%S %p",
        'F' => "%Y-%m-%d",
        'D' | 'x' => "%m/%d/%y",
        'T' | 'X' => "%H:%M:%S",
        'R' => "%H:%M",
        _ => return None,
    })
}

/// What a directive's output is filled up with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Padding {
    /// What is usual for the directive.
    Usual,
    /// Nothing at all.
    None,
    /// This.
    With(char),
}

impl Padding {
    fn or(self, usual: char) -> Option<char> {
        match self {
            Self::Usual => Some(usual),
            Self::None => None,
            Self::With(char) => Some(char),
        }
    }
}

/// How a directive's output is shown.
#[derive(Clone, Copy)]
struct Flags {
    padding: Padding,
    width: usize,
    upper: bool,
    swap: bool,
    colons: usize,
}

/// Writes a time; unknown directives stay as they are.
pub(crate) fn format(time: &Timestamp, pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        if char != '%' {
            out.push(char);
            continue;
        }
        let mut raw = String::from("%");
        let mut flags = Flags { padding: Padding::Usual, width: 0, upper: false, swap: false, colons: 0 };
        loop {
            let Some(next) = chars.next() else {
                out.push_str(&raw);
                return out;
            };
            raw.push(next);
            match next {
                '-' => flags.padding = Padding::None,
                '_' => flags.padding = Padding::With(' '),
                '0' => flags.padding = Padding::With('0'),
                '^' => flags.upper = true,
                '#' => flags.swap = true,
                ':' => flags.colons += 1,
                '1'..='9' => {
                    let mut width = next.to_digit(10).unwrap_or(0) as usize;
                    while let Some(digit) = chars.peek().and_then(|next| next.to_digit(10)) {
                        width = (width * 10 + digit as usize).min(1024);
                        raw.extend(chars.next());
                    }
                    flags.width = width;
                    if flags.padding == Padding::None {
                        flags.padding = Padding::With(' ');
                    }
                }
                directive => {
                    if let Some(expanded) = expansion(directive) {
                        out.push_str(&format(time, expanded));
                    } else if !write(&mut out, time, directive, flags) {
                        out.push_str(&raw);
                    }
                    break;
                }
            }
        }
    }
    out
}

fn number(out: &mut String, value: i64, least: usize, default: char, flags: Flags) {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    let width = flags.width.max(least);
    let fill = width.saturating_sub(digits.len() + sign.len());
    match flags.padding.or(default) {
        Some('0') => {
            out.push_str(sign);
            out.extend(std::iter::repeat_n('0', fill));
        }
        Some(padding) => {
            out.extend(std::iter::repeat_n(padding, fill));
            out.push_str(sign);
        }
        None => out.push_str(sign),
    }
    out.push_str(&digits);
}

fn text(out: &mut String, text: &str, flags: Flags) {
    let fill = flags.width.saturating_sub(text.len());
    if let Some(padding) = flags.padding.or(' ') {
        out.extend(std::iter::repeat_n(padding, fill));
    }
    let all_upper = text.chars().nth(1).is_some_and(|char| char < 'a');
    match (flags.swap, flags.upper) {
        (true, _) if all_upper => out.push_str(&text.to_ascii_lowercase()),
        (true, _) | (_, true) => out.push_str(&text.to_ascii_uppercase()),
        _ => out.push_str(text),
    }
}

fn name(names: &[&'static str], at: i8, short: bool) -> &'static str {
    let name = usize::try_from(at).ok().and_then(|at| names.get(at)).copied().unwrap_or_default();
    if short { name.get(..3).unwrap_or(name) } else { name }
}

/// Writes one directive; false if it is not known.
fn write(out: &mut String, time: &Timestamp, directive: char, flags: Flags) -> bool {
    let zoned = time.zoned();
    let year = i64::from(zoned.year());
    let weekday = zoned.weekday().to_sunday_zero_offset();
    let year_day = i64::from(zoned.day_of_year());
    let hour = i64::from(zoned.hour());
    let week = zoned.iso_week_date();
    let zero = |out: &mut String, value: i64, least: usize| number(out, value, least, '0', flags);
    match directive {
        'Y' => zero(out, year, if flags.width == 0 { 4 } else { 0 }),
        'y' => zero(out, (year % 100).abs(), 2),
        'C' => zero(out, year / 100, 2),
        'g' => zero(out, (i64::from(week.year()) % 100).abs(), 2),
        'G' => zero(out, week.year().into(), if flags.width == 0 { 4 } else { 0 }),
        'm' => zero(out, zoned.month().into(), 2),
        'B' => text(out, name(&MONTHS, zoned.month() - 1, false), flags),
        'b' | 'h' => text(out, name(&MONTHS, zoned.month() - 1, true), flags),
        'A' => text(out, name(&DAYS, weekday, false), flags),
        'a' => text(out, name(&DAYS, weekday, true), flags),
        'w' => zero(out, weekday.into(), 0),
        'u' => zero(out, if weekday == 0 { 7 } else { weekday.into() }, 0),
        'V' => zero(out, week.week().into(), 2),
        'U' => zero(out, (year_day + 6 - i64::from(weekday)) / 7, 2),
        'W' => zero(out, (year_day + (7 - i64::from(weekday)) % 7) / 7, 2),
        'e' => number(out, zoned.day().into(), 2, ' ', flags),
        'd' => zero(out, zoned.day().into(), 2),
        'j' => zero(out, year_day, 3),
        'k' => number(out, hour, 2, ' ', flags),
        'H' => zero(out, hour, 2),
        'l' => number(out, if hour % 12 == 0 { 12 } else { hour % 12 }, 2, ' ', flags),
        'I' => zero(out, if hour % 12 == 0 { 12 } else { hour % 12 }, 2),
        'p' => text(out, if hour < 12 { "AM" } else { "PM" }, flags),
        'P' => text(
            out,
            if hour < 12 { "AM" } else { "PM" },
            Flags { swap: !(flags.upper || flags.swap), ..flags },
        ),
        'M' => zero(out, zoned.minute().into(), 2),
        'S' => zero(out, zoned.second().into(), 2),
        's' => number(out, time.unix_seconds(), 0, ' ', flags),
        'f' => zero(out, (zoned.subsec_nanosecond() / 1000).into(), if flags.width == 0 { 6 } else { 0 }),
        'Z' => text(out, &zone_name(time), flags),
        'z' => offset(out, zoned.offset().seconds(), flags.colons),
        't' => text(out, "\t", flags),
        'n' => text(out, "\n", flags),
        '%' => text(out, "%", flags),
        _ => return false,
    }
    true
}

fn offset(out: &mut String, seconds: i32, colons: usize) {
    let size = seconds.unsigned_abs();
    let colon = if colons > 0 { ":" } else { "" };
    let mut shown = format!("{}{:02}", if seconds < 0 { '-' } else { '+' }, size / 3600);
    let mut part = |value: u32| {
        shown.push_str(colon);
        shown.push_str(&two(value));
    };
    if colons <= 2 || !size.is_multiple_of(3600) {
        part(size / 60 % 60);
        if colons == 2 || (colons == 3 && !size.is_multiple_of(60)) {
            part(size % 60);
        }
    }
    out.push_str(&shown);
}

fn two(value: u32) -> String {
    format!("{value:02}")
}

/// Reads a time; the error is the reference's.
pub(crate) fn parse(source: &str, pattern: &str) -> Result<Timestamp, String> {
    let mut reader = Reader { source, at: 0, fields: Fields::default() };
    let parsed = reader.read(pattern, false).and_then(|()| {
        let rest = source.get(reader.at..).unwrap_or_default();
        if rest.is_empty() { reader.fields.build() } else { Err(format!("unparsed string {}", quote(rest))) }
    });
    parsed.map_err(|problem| format!("failed to parse {} with {}: {problem}", quote(source), quote(pattern)))
}

/// What the directives gave.
struct Fields {
    year: i64,
    century: Option<i64>,
    month: i64,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    afternoon: bool,
    zone: TimeZone,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            year: 1900,
            century: None,
            month: 1,
            day: None,
            year_day: None,
            hour: 0,
            minute: 0,
            second: 0,
            nanos: 0,
            afternoon: false,
            zone: TimeZone::UTC,
        }
    }
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
    fields: Fields,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.source.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, char: char) -> Result<(), String> {
        let rest = self.source.get(self.at..).unwrap_or_default();
        if rest.starts_with(char) {
            self.at += char.len_utf8();
            return Ok(());
        }
        Err(format!("expected '{char}'"))
    }

    fn int(
        &mut self,
        size: usize,
        range: std::ops::RangeInclusive<i64>,
        directive: char,
    ) -> Result<i64, String> {
        let start = self.at;
        let mut value = 0i64;
        while self.at - start < size {
            let Some(digit) = self.peek().filter(u8::is_ascii_digit) else { break };
            value = value.saturating_mul(10).saturating_add(i64::from(digit - b'0'));
            self.at += 1;
        }
        if self.at == start || !range.contains(&value) { Err(cannot(directive)) } else { Ok(value) }
    }

    fn sign(&mut self) -> i64 {
        if self.peek() == Some(b'-') {
            self.at += 1;
            return -1;
        }
        1
    }

    fn any(&mut self, names: &[&str], short: bool, directive: char) -> Result<i64, String> {
        for (at, name) in names.iter().enumerate() {
            let name = if short { name.get(..3).unwrap_or(name) } else { name };
            let end = self.at + name.len();
            if self.source.get(self.at..end).is_some_and(|text| text.eq_ignore_ascii_case(name)) {
                self.at = end;
                return i64::try_from(at).map_err(|_| cannot(directive));
            }
        }
        Err(cannot(directive))
    }

    fn read(&mut self, pattern: &str, inner: bool) -> Result<(), String> {
        let mut chars = pattern.chars();
        while let Some(char) = chars.next() {
            if char != '%' {
                self.expect(char)?;
                continue;
            }
            let mut directive = chars.next().ok_or("stray \"%\"")?;
            let mut colons = 0;
            while directive == ':' && colons < 3 {
                colons += 1;
                directive = chars.next().unwrap_or(' ');
            }
            if colons > 0 && directive != 'z' {
                return Err(format!("expected 'z' after \"%{}\"", ":".repeat(colons)));
            }
            match expansion(directive) {
                Some(expanded) if !inner => self.read(expanded, true)?,
                _ => self.directive(directive)?,
            }
        }
        Ok(())
    }

    fn directive(&mut self, directive: char) -> Result<(), String> {
        match directive {
            'Y' | 'G' => self.fields.year = self.sign() * self.int(4, 0..=9999, directive)?,
            'y' | 'g' => {
                let year = self.int(2, 0..=99, directive)?;
                self.fields.year = if year < 69 { year + 2000 } else { year + 1900 };
            }
            'C' => self.fields.century = Some(self.int(2, 0..=99, 'C')?),
            'm' => self.fields.month = self.int(2, 1..=12, 'm')?,
            'B' => self.fields.month = self.any(&MONTHS, false, 'B')? + 1,
            'b' | 'h' => self.fields.month = self.any(&MONTHS, true, directive)? + 1,
            'A' => drop(self.any(&DAYS, false, 'A')?),
            'a' => drop(self.any(&DAYS, true, 'a')?),
            'w' => drop(self.int(1, 0..=6, 'w')?),
            'u' => drop(self.int(1, 1..=7, 'u')?),
            'e' | 'd' => {
                self.at += usize::from(directive == 'e' && self.peek() == Some(b' '));
                self.fields.day = Some(self.int(2, 1..=31, directive)?);
            }
            'j' => self.fields.year_day = Some(self.int(3, 1..=366, 'j')?),
            'k' | 'H' => {
                self.at += usize::from(directive == 'k' && self.peek() == Some(b' '));
                self.fields.hour = self.int(2, 0..=23, directive)?;
            }
            'l' | 'I' => {
                self.at += usize::from(directive == 'l' && self.peek() == Some(b' '));
                self.fields.hour = self.int(2, 1..=12, directive)? % 12;
            }
            'p' | 'P' => self.fields.afternoon = self.any(&["AM", "PM"], false, directive)? == 1,
            'M' => self.fields.minute = self.int(2, 0..=59, 'M')?,
            'S' => self.fields.second = self.int(2, 0..=60, 'S')?,
            's' => {
                let seconds = self.sign() * self.int(19, 0..=i64::MAX, 's')?;
                let instant = jiff::Timestamp::from_second(seconds).map_err(|_| cannot('s'))?;
                let time = instant.to_zoned_datetime(TimeZone::UTC);
                (self.fields.year, self.fields.month) = (time.year().into(), time.month().into());
                self.fields.day = Some(time.day().into());
                (self.fields.hour, self.fields.minute) = (time.hour().into(), time.minute().into());
                self.fields.second = time.second().into();
            }
            'f' => {
                let start = self.at;
                let micros = self.int(6, 0..=999_999, 'f')?;
                let missing = u32::try_from(6 - (self.at - start)).unwrap_or(0);
                self.fields.nanos = micros * 10i64.pow(missing) * 1000;
            }
            'Z' => {
                let start = self.at;
                while self.peek().is_some_and(|byte| byte.is_ascii_uppercase()) {
                    self.at += 1;
                }
                let name = self.source.get(start..self.at).unwrap_or_default();
                if name.len() < 3 {
                    return Err(format!("cannot parse {} with \"%Z\"", quote(name)));
                }
            }
            'z' => self.offset()?,
            't' | 'n' => {
                let start = self.at;
                while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | 11 | 12 | b'\r')) {
                    self.at += 1;
                }
                if start == self.at {
                    return Err(format!("expected a space for \"%{directive}\""));
                }
            }
            '%' => self.expect('%')?,
            other => return Err(format!("unexpected format \"%{other}\"")),
        }
        Ok(())
    }

    fn offset(&mut self) -> Result<(), String> {
        let sign = match self.peek() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(b'Z') => {
                self.at += 1;
                self.fields.zone = TimeZone::UTC;
                return Ok(());
            }
            _ => return Err(cannot('z')),
        };
        self.at += 1;
        let hours = self.int(2, 0..=23, 'z')?;
        self.at += usize::from(self.peek() == Some(b':'));
        let minutes =
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) { self.int(2, 0..=59, 'z')? } else { 0 };
        let seconds = i32::try_from(sign * (hours * 60 + minutes) * 60).map_err(|_| cannot('z'))?;
        self.fields.zone = TimeZone::fixed(Offset::from_seconds(seconds).map_err(|_| cannot('z'))?);
        Ok(())
    }
}

fn cannot(directive: char) -> String {
    format!("cannot parse \"%{directive}\"")
}

impl Fields {
    fn build(&self) -> Result<Timestamp, String> {
        let beyond = || "time is out of range".to_owned();
        let year = self.century.map_or(self.year, |century| century * 100 + self.year % 100);
        let year = i16::try_from(year).map_err(|_| beyond())?;
        let month = i8::try_from(self.month).map_err(|_| beyond())?;
        // Days beyond a month's end run on into the next.
        let (start, days) = match (self.day, self.year_day) {
            (None, Some(day)) => (Date::new(year, 1, 1), day - 1),
            (day, _) => (Date::new(year, month, 1), day.unwrap_or(1) - 1),
        };
        let hours = self.hour + if self.afternoon { 12 } else { 0 };
        let nanos = ((hours * 60 + self.minute) * 60 + self.second) * 1_000_000_000 + self.nanos;
        let start = start.map_err(|_| beyond())?.at(0, 0, 0, 0);
        let span = jiff::SignedDuration::from_nanos(nanos) + jiff::SignedDuration::from_hours(days * 24);
        let time = start.checked_add(span).map_err(|_| beyond())?;
        Ok(Timestamp::new(time.to_zoned_datetime(self.zone.clone()).map_err(|_| beyond())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatting() {
        let time = Timestamp::parse_rfc3339("2020-08-04T05:05:06.000123Z").unwrap();
        for (pattern, want) in [
            ("%Y-%m-%d %H:%M:%S.%f", "2020-08-04 05:05:06.000123"),
            ("%-d|%_d|%e|%5d|%-5d", "4| 4| 4|00004|    4"),
            ("%^a %#p %P %10B", "TUE am am     August"),
            ("%c|%z|%:z|%Z", "Tue Aug  4 05:05:06 2020|+0000|+00:00|UTC"),
            ("%q %", "%q %"),
            ("%j %U %W %V %u %s", "217 31 31 32 2 1596517506"),
        ] {
            assert_eq!(format(&time, pattern), want, "{pattern}");
        }
    }

    #[test]
    fn parsing() {
        for (pattern, text, want) in [
            ("%Y-%b-%d %H:%M:%S.%f", "2020-Aug-14 11:50:26.371000", "2020-08-14T11:50:26.371Z"),
            ("%s", "1596517506", "2020-08-04T05:05:06Z"),
            ("%y %j", "20 060", "2020-02-29T00:00:00Z"),
            ("%F %T %z", "2020-02-30 12:00:00 +0130", "2020-03-01T12:00:00+01:30"),
        ] {
            assert_eq!(parse(text, pattern).unwrap().to_string(), want, "{pattern}");
        }
        assert_eq!(
            parse("20 x", "%y %q").unwrap_err(),
            "failed to parse \"20 x\" with \"%y %q\": unexpected format \"%q\""
        );
        assert_eq!(
            parse("2020x", "%Y").unwrap_err(),
            "failed to parse \"2020x\" with \"%Y\": unparsed string \"x\""
        );
    }
}

//! Lines as in RFC 3164.

use super::{cursor::Cursor, insert_priority};
use jiff::{
    civil::{Date, Time},
    tz::TimeZone,
};
use weir_bloblang::{Object, Text, Timestamp, Value};

const PARSE: &str = "parsing error";
const STAMP: &str = "expecting a Stamp timestamp";
const RFC3339: &str = "expecting a Stamp or a RFC3339 timestamp";
const HOSTNAME: &str = "expecting an hostname (from 1 to max 255 US-ASCII characters)";
const TAG: &str = "expecting an alphanumeric tag (max 32 characters)";

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The year of a time that has none.
pub(super) enum Year {
    Current,
    Fixed(i16),
}

/// How times are read and shown.
pub(super) struct Stamps {
    /// Whether they may be as in RFC 3339.
    pub(super) rfc3339: bool,
    pub(super) year: Year,
    pub(super) zone: TimeZone,
    /// Whether a priority alone is enough of a line.
    pub(super) best_effort: bool,
}

/// The length of a time up to its seconds: what is wrong behind them is told in any case, as by the reference.
const SECONDS: usize = "2006-01-02T15:04:05".len();

/// The fields of a line.
pub(super) fn parse(line: &[u8], stamps: &Stamps) -> Result<Object, String> {
    let mut fields = Object::new();
    let mut cursor = Cursor::new(line);
    insert_priority(&mut fields, cursor.priority()?);
    let start = cursor.at;
    let time = if stamps.rfc3339 && cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        cursor.rfc3339(0, RFC3339)
    } else {
        stamp(&mut cursor, stamps)
    };
    let time = match time.and_then(|time| cursor.byte(b' ', PARSE).map(|()| time)) {
        Ok(time) => time,
        Err(text) if stamps.best_effort => {
            let is_begun = text.starts_with(RFC3339) && cursor.at < start + SECONDS;
            return if is_begun || text.starts_with(PARSE) { Ok(fields) } else { Err(text) };
        }
        Err(text) => return Err(text),
    };
    fields.insert("timestamp", Value::from(time.to_string().as_str()));
    let hostname = cursor.word(255, HOSTNAME)?;
    if hostname != b"-" {
        fields.insert("hostname", text(hostname));
    }
    if cursor.rest().is_empty() {
        return Err(cursor.fail(TAG));
    }
    let message = tagged(&mut fields, cursor.rest());
    fields.insert("message", text(message));
    Ok(fields)
}

fn text(bytes: &[u8]) -> Value {
    Value::String(Text::new(bytes))
}

/// `Oct 11 22:14:15`, in UTC.
fn stamp(cursor: &mut Cursor<'_>, stamps: &Stamps) -> Result<Timestamp, String> {
    let start = cursor.at;
    let mut month = None;
    while cursor.at < start + 3 {
        cursor.at += 1;
        month = MONTHS.iter().position(|month| month.starts_with(cursor.since(start)));
        if month.is_none() || cursor.at > cursor.line.len() {
            cursor.at -= 1;
            return Err(cursor.fail(STAMP));
        }
    }
    cursor.byte(b' ', STAMP)?;
    let day = if cursor.peek() == Some(b' ') {
        cursor.at += 1;
        cursor.one(|byte| (b'1'..=b'9').contains(&byte), STAMP)? - b'0'
    } else {
        cursor.two(10, 31, STAMP)?
    };
    cursor.byte(b' ', STAMP)?;
    let clock = cursor.clock(STAMP)?;
    let year = match stamps.year {
        Year::Fixed(year) => year,
        Year::Current => jiff::Timestamp::now().to_zoned_datetime(TimeZone::UTC).year(),
    };
    let month = month.and_then(|month| i8::try_from(month + 1).ok()).unwrap_or_default();
    let [day, hour, minute, second] = [day, clock[0], clock[1], clock[2]].map(u8::cast_signed);
    // Year 0 has a leap day; in a year without, it is the first of March.
    let leap = Date::new(0, month, day)
        .and_then(|date| Date::new(year, month, day).or_else(|_| Date::new(year, 3, date.day() - 28)));
    let time = leap.and_then(|date| {
        date.to_datetime(Time::new(hour, minute, second, 0)?).to_zoned_datetime(TimeZone::UTC)
    });
    let time = time.map_err(|_| cursor.no_day(start))?;
    Ok(Timestamp::new(time).in_zone(stamps.zone.clone()))
}

/// Takes `app: ` or `app[123]: ` off a message that begins so. What only looks like it is told all the same, and an
/// `app[` does not stay, as in the reference.
fn tagged<'a>(fields: &mut Object, message: &'a [u8]) -> &'a [u8] {
    let mut cursor = Cursor::new(message);
    let tag = cursor.run(32, |byte| (b'!'..=b'~').contains(&byte) && !b":[".contains(&byte));
    let after = message.get(cursor.at + 1..).unwrap_or_default();
    let is_process = match cursor.peek() {
        Some(b':') if !tag.is_empty() => false,
        Some(b'[') if !tag.is_empty() => true,
        _ => return message,
    };
    fields.insert("appname", text(tag));
    if !is_process {
        return after.strip_prefix(b" ").filter(|rest| !rest.is_empty()).unwrap_or(message);
    }
    let whole = after.windows(3).position(|end| end == b"]: ").filter(|end| end + 3 < after.len());
    let end = whole.or_else(|| after.iter().rposition(|byte| *byte == b']'));
    if let Some(process) = end.and_then(|end| after.get(..end)).filter(|process| !process.is_empty()) {
        fields.insert("procid", text(process));
    }
    match whole {
        Some(end) => after.get(end + 3..).unwrap_or_default(),
        None if after.is_empty() => message,
        None => after,
    }
}

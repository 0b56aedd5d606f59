//! Layouts by example: the reference time `Mon Jan 2 15:04:05 MST 2006` names the parts.

mod format;
mod parse;

pub(crate) use format::format;
pub(super) use format::zone_name;
pub(crate) use parse::parse;

/// A part of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    LongYear,
    Year,
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekDay,
    WeekDay,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    UpperPm,
    LowerPm,
    ZoneName,
    /// An offset; how it is written.
    Offset(OffsetStyle),
    /// So many fractional digits, trailing zeros kept or not, behind a dot or comma.
    Fraction {
        digits: usize,
        trim: bool,
        comma: bool,
    },
}

/// How an offset is written.
#[expect(clippy::struct_excessive_bools, reason = "each is independent")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct OffsetStyle {
    /// `Z` stands for no offset.
    z: bool,
    colons: bool,
    minutes: bool,
    seconds: bool,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// First three bytes of a month's or day's name.
fn short(name: &'static str) -> &'static str {
    name.get(..3).unwrap_or(name)
}

/// Parts by their text; of those that fit at a place the first is taken.
const PARTS: &[(&str, Part)] = &[
    ("January", Part::LongMonth),
    ("Monday", Part::LongWeekDay),
    ("MST", Part::ZoneName),
    ("2006", Part::LongYear),
    ("__2", Part::UnderYearDay),
    ("002", Part::ZeroYearDay),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("15", Part::Hour),
    ("_2", Part::UnderDay),
    ("PM", Part::UpperPm),
    ("pm", Part::LowerPm),
    ("1", Part::NumMonth),
    ("2", Part::Day),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
];

/// Offsets behind their sign or `Z`.
const OFFSETS: &[(&str, bool, bool, bool)] = &[
    ("070000", false, true, true),
    ("07:00:00", true, true, true),
    ("0700", false, true, false),
    ("07:00", true, true, false),
    ("07", false, false, false),
];

/// The part that begins a text, and its length.
fn part_at(rest: &str) -> Option<(Part, usize)> {
    let lower_next = |len: usize| rest.as_bytes().get(len).is_some_and(u8::is_ascii_lowercase);
    match rest.as_bytes().first()? {
        b'J' if rest.starts_with("Jan") && !rest.starts_with("January") => {
            return (!lower_next(3)).then_some((Part::Month, 3));
        }
        b'M' if rest.starts_with("Mon") && !rest.starts_with("Monday") => {
            return (!lower_next(3)).then_some((Part::WeekDay, 3));
        }
        first @ (b'-' | b'Z') => {
            let tail = rest.get(1..)?;
            return OFFSETS.iter().find(|(text, ..)| tail.starts_with(text)).map(
                |(text, colons, minutes, seconds)| {
                    let style = OffsetStyle {
                        z: *first == b'Z',
                        colons: *colons,
                        minutes: *minutes,
                        seconds: *seconds,
                    };
                    (Part::Offset(style), text.len() + 1)
                },
            );
        }
        mark @ (b'.' | b',') => {
            let digit = *rest.as_bytes().get(1)?;
            if !matches!(digit, b'0' | b'9') {
                return None;
            }
            let digits = rest.bytes().skip(1).take_while(|byte| *byte == digit).count();
            let ends = !rest.as_bytes().get(1 + digits).is_some_and(u8::is_ascii_digit);
            let part = Part::Fraction { digits, trim: digit == b'9', comma: *mark == b',' };
            return ends.then_some((part, 1 + digits));
        }
        // `_2006` is an underscore before a year.
        b'_' if rest.starts_with("_2006") => return None,
        _ => {}
    }
    PARTS.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, part)| (*part, text.len()))
}

/// Cuts a layout at its first part: what is before it, the part with its text, the rest.
fn next_part(layout: &str) -> (&str, Option<(Part, &str)>, &str) {
    for (at, _) in layout.char_indices() {
        let rest = layout.get(at..).unwrap_or_default();
        if let Some((part, len)) = part_at(rest) {
            let text = rest.get(..len).unwrap_or_default();
            return (
                layout.get(..at).unwrap_or_default(),
                Some((part, text)),
                rest.get(len..).unwrap_or_default(),
            );
        }
    }
    (layout, None, "")
}

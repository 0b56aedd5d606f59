//! Made-up data.

use rand::rngs::ThreadRng;
use rand::{Rng as _, RngExt as _};

use super::random::uuid;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec, Traits};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[Spec::function(
    "fake",
    "Made-up data of a kind.",
    &[Param::string("function", "The kind of data, such as `email`.").default(Default::String(""))],
    fake,
)
.prepared(kind)
.traits(Traits { impure: true, ..Traits::PLAIN })];

/// Makes one value.
type Make = fn(&mut ThreadRng) -> Value;

fn kind(args: &Args<'_>) -> Result<Prepared, Fault> {
    let name = args.str(0);
    match KINDS.iter().find(|(known, _)| *known == name) {
        Some((_, make)) => Ok(std::sync::Arc::new(*make)),
        None => Err(Fault::new(format!("invalid faker function: {name}"))),
    }
}

fn fake(_: &mut Cx<'_>, args: &Args<'_>) -> Result<Value, Fault> {
    match args.prepared::<Make>() {
        Some(make) => Ok(make(&mut rand::rng())),
        None => Err(Fault::new("the kind of data was not prepared")),
    }
}

const KINDS: &[(&str, Make)] = &[
    ("", |random| text(sentence(random))),
    ("latitude", |random| Value::Float(random.random_range(-90.0..=90.0))),
    ("longitude", |random| Value::Float(random.random_range(-180.0..=180.0))),
    ("unix_time", |random| Value::Int(moment(random))),
    ("date", |random| text(shown(random, "%Y-%m-%d"))),
    ("time_string", |random| text(shown(random, "%H:%M:%S"))),
    ("month_name", |random| text(shown(random, "%B"))),
    ("year_string", |random| text(shown(random, "%Y"))),
    ("day_of_week", |random| text(shown(random, "%A"))),
    ("day_of_month", |random| text(shown(random, "%-d"))),
    ("timestamp", |random| text(shown(random, "%Y-%m-%d %H:%M:%S"))),
    ("century", |random| pick(random, CENTURIES)),
    ("timezone", |random| pick(random, ZONES)),
    ("time_period", |random| pick(random, &["AM", "PM"])),
    ("email", |random| text(format!("{}@{}", letters(random, 7), domain(random)))),
    ("mac_address", |random| text(hexadecimal(random, 6, ":", 1))),
    ("domain_name", |random| text(domain(random))),
    ("url", |random| text(format!("https://{}/{}", domain(random), letters(random, 6)))),
    ("username", |random| text(letters(random, 7))),
    ("ipv4", |random| text(std::net::Ipv4Addr::from(random.next_u32()).to_string())),
    ("ipv6", |random| text(hexadecimal(random, 16, ":", 2))),
    ("password", |random| text(characters(random, 20, SIGNS))),
    ("jwt", |random| {
        let parts = [36, 60, 43].map(|len| characters(random, len, BASE64));
        text(parts.join("."))
    }),
    ("word", |random| pick(random, WORDS)),
    ("sentence", |random| text(sentence(random))),
    ("paragraph", |random| text(paragraph(random))),
    ("cc_type", |random| pick(random, CARDS)),
    ("cc_number", |random| text(card(random))),
    ("currency", |random| pick(random, CURRENCIES)),
    ("amount_with_currency", |random| {
        let amount: f64 = random.random_range(1.0..100_000.0);
        text(format!("{} {amount:.2}", choose(random, CURRENCIES)))
    }),
    ("title_male", |random| pick(random, &["Mr.", "Dr.", "Prof.", "Lord", "King", "Prince"])),
    ("title_female", |random| {
        pick(random, &["Mrs.", "Ms.", "Miss", "Dr.", "Prof.", "Lady", "Queen", "Princess"])
    }),
    ("first_name", |random| text(first_name(random))),
    ("first_name_male", |random| pick(random, MEN)),
    ("first_name_female", |random| pick(random, WOMEN)),
    ("last_name", |random| pick(random, FAMILIES)),
    ("name", |random| {
        let first = first_name(random);
        text(format!("{first} {}", choose(random, FAMILIES)))
    }),
    ("gender", |random| pick(random, &["Female", "Male", "Prefer to skip"])),
    ("chinese_first_name", |random| pick(random, CHINESE)),
    ("chinese_last_name", |random| pick(random, CHINESE_FAMILIES)),
    ("chinese_name", |random| {
        let family = choose(random, CHINESE_FAMILIES);
        text(format!("{family}{}", choose(random, CHINESE)))
    }),
    ("phone_number", |random| text(pattern(random, "###-###-####"))),
    ("toll_free_phone_number", |random| {
        let area = choose(random, &["777", "888", "877", "866", "855", "844", "833"]);
        text(format!("({area}) {}", pattern(random, "###-######")))
    }),
    ("e164_phone_number", |random| text(pattern(random, "+###########"))),
    ("uuid_hyphenated", |random| uuid(random.random(), 4)),
    ("uuid_digit", |random| {
        let id = uuid(random.random(), 4).to_text().as_str().replace('-', "");
        text(id)
    }),
];

fn text(text: impl Into<String>) -> Value {
    text.into().into()
}

fn choose(random: &mut ThreadRng, list: &[&'static str]) -> &'static str {
    list.get(random.random_range(0..list.len())).copied().unwrap_or_default()
}

fn pick(random: &mut ThreadRng, list: &[&'static str]) -> Value {
    choose(random, list).into()
}

/// Seconds since 1970, up to now.
fn moment(random: &mut ThreadRng) -> i64 {
    random.random_range(0..=jiff::Timestamp::now().as_second().max(1))
}

fn shown(random: &mut ThreadRng, pattern: &str) -> String {
    let time = jiff::Timestamp::from_second(moment(random)).unwrap_or_default();
    time.strftime(pattern).to_string()
}

fn characters(random: &mut ThreadRng, len: usize, from: &[u8]) -> String {
    (0..len)
        .map(|_| char::from(from.get(random.random_range(0..from.len())).copied().unwrap_or(b'x')))
        .collect()
}

fn letters(random: &mut ThreadRng, len: usize) -> String {
    characters(random, len, LETTERS)
}

fn domain(random: &mut ThreadRng) -> String {
    format!(
        "{}.{}",
        letters(random, 7).to_lowercase(),
        choose(random, &["com", "org", "net", "info", "biz", "ru"])
    )
}

fn hexadecimal(random: &mut ThreadRng, bytes: usize, between: &str, group: usize) -> String {
    let mut out = String::new();
    for at in 0..bytes {
        if at > 0 && at % group == 0 {
            out.push_str(between);
        }
        out.extend(format!("{:02x}", random.random::<u8>()).chars());
    }
    out
}

/// Digits in the place of every `#`, the first not zero.
fn pattern(random: &mut ThreadRng, pattern: &str) -> String {
    let mut first = true;
    let mut digit = |char| match char {
        '#' if std::mem::take(&mut first) => char::from(b'0' + random.random_range(1..=9)),
        '#' => char::from(b'0' + random.random_range(0..=9)),
        other => other,
    };
    pattern.chars().map(&mut digit).collect()
}

fn first_name(random: &mut ThreadRng) -> &'static str {
    let names = if random.random() { MEN } else { WOMEN };
    choose(random, names)
}

fn sentence(random: &mut ThreadRng) -> String {
    let count = random.random_range(5..=10);
    let words: Vec<&str> = (0..count).map(|_| choose(random, WORDS)).collect();
    let sentence = words.join(" ");
    let mut chars = sentence.chars();
    let first: String = chars.next().map(|char| char.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn paragraph(random: &mut ThreadRng) -> String {
    let count = random.random_range(3..=6);
    (0..count).map(|_| sentence(random)).collect::<Vec<_>>().join(" ")
}

/// Sixteen digits, the last of which makes their checksum right.
fn card(random: &mut ThreadRng) -> String {
    let mut digits: Vec<u8> = vec![4];
    digits.extend((0..14).map(|_| random.random_range(0..=9)));
    digits.push((10 - checksum(&digits, 0) % 10) % 10);
    digits.iter().map(|digit| char::from(b'0' + digit)).collect()
}

/// Every second digit doubled, from the one before the last of the whole number.
fn checksum(digits: &[u8], parity: usize) -> u8 {
    let weigh = |(at, digit): (usize, &u8)| match (at % 2 == parity, digit * 2) {
        (true, double) if double > 9 => double - 9,
        (true, double) => double,
        (false, _) => *digit,
    };
    digits.iter().enumerate().map(weigh).fold(0, |sum, digit| (sum + digit) % 10)
}

const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#%+-=?@_";
const CENTURIES: &[&str] = &["I", "V", "X", "XII", "XIV", "XV", "XVI", "XVII", "XVIII", "XIX", "XX", "XXI"];
const ZONES: &[&str] = &[
    "Africa/Cairo",
    "Africa/Lagos",
    "America/Chicago",
    "America/Lima",
    "America/New_York",
    "Asia/Dubai",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/London",
    "Pacific/Auckland",
];
const CARDS: &[&str] = &["VISA", "MasterCard", "American Express", "Discover", "JCB", "Diners Club"];
const CURRENCIES: &[&str] = &[
    "AUD", "BRL", "CAD", "CHF", "CNY", "CZK", "DKK", "EUR", "GBP", "INR", "JPY", "KRW", "MXN", "NOK", "NZD",
    "PLN", "SEK", "TRY", "USD", "ZAR",
];
const WORDS: &[&str] = &[
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
    "incididunt",
    "ut",
    "labore",
    "et",
    "dolore",
    "magna",
    "aliqua",
    "enim",
    "ad",
    "minim",
    "veniam",
    "quis",
    "nostrud",
    "exercitation",
    "ullamco",
    "laboris",
    "nisi",
    "aliquip",
    "ex",
    "ea",
    "commodo",
    "consequat",
    "duis",
    "aute",
    "irure",
    "in",
    "voluptate",
    "velit",
    "esse",
    "cillum",
    "fugiat",
    "nulla",
];
const MEN: &[&str] = &[
    "Adam", "Anton", "Carl", "Daniel", "Erik", "Felix", "George", "Hugo", "Ivan", "James", "Kevin", "Liam",
    "Marco", "Noah", "Oscar", "Peter", "Robert", "Samuel", "Thomas", "Victor", "William",
];
const WOMEN: &[&str] = &[
    "Alice", "Anna", "Bella", "Clara", "Diana", "Emma", "Fatima", "Grace", "Hannah", "Ida", "Julia", "Karen",
    "Laura", "Maria", "Nina", "Olivia", "Paula", "Rosa", "Sofia", "Tanya", "Vera",
];
const FAMILIES: &[&str] = &[
    "Anderson", "Baker", "Clark", "Davis", "Evans", "Fischer", "Garcia", "Hansen", "Ivanov", "Johnson",
    "Kim", "Larsen", "Miller", "Novak", "Okafor", "Patel", "Rossi", "Silva", "Tanaka", "Weber", "Young",
];
const CHINESE: &[&str] =
    &["伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "涛", "明"];
const CHINESE_FAMILIES: &[&str] =
    &["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "胡", "朱", "高"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_yields_something() {
        let mut random = rand::rng();
        for (name, make) in KINDS {
            for _ in 0..50 {
                let value = make(&mut random);
                assert!(!value.to_text().is_empty(), "{name}");
            }
        }
        let digits: Vec<u8> = card(&mut random).bytes().map(|byte| byte - b'0').collect();
        assert_eq!((digits.len(), checksum(&digits, 0)), (16, 0));
    }
}

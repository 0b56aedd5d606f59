//! The formats that a schema may ask of a text.

use std::net::IpAddr;
use std::sync::OnceLock;

use regex::Regex;

use crate::compat;
use crate::methods::url::is_url;
use crate::timestamp::Timestamp;

const HOSTNAME: &str =
    r"^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$";
const UUID: &str = "^[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}$";
const EMAIL: &str = r#"^([^<>]*<)?("[^"]+"|[^\s@<>()",:;\[\]\\.]+(\.[^\s@<>()",:;\[\]\\.]+)*)@([^\s@<>()",:;\[\]\\.]+(\.[^\s@<>()",:;\[\]\\.]+)*|\[[^\]]+\])(>)?$"#;
const URI_TEMPLATE: &str = r"^([^{]*(\{[^}]*\})?)*$";
const POINTER: &str = "^(/([^~/]|~0|~1)*)*$";
const RELATIVE_POINTER: &str = "^(0|[1-9][0-9]*)(#|(/([^~/]|~0|~1)*)*)$";

/// Whether a text has a format; `None`: nobody knows the format.
pub(super) fn has(format: &str, text: &str) -> Option<bool> {
    let plain = !text.contains('\\');
    Some(match format {
        "date" => is_time(text, "", "T00:00:00Z"),
        "time" => is_clock(text),
        "date-time" => is_clock(text) || is_time(text, "", "T00:00:00Z") || is_time(text, "", ""),
        "hostname" => text.len() < 256 && matches(HOSTNAME, text),
        "email" | "idn-email" => matches(EMAIL, text) && text.contains('<') == text.ends_with('>'),
        "ipv4" => text.contains('.') && text.parse::<IpAddr>().is_ok(),
        "ipv6" => text.contains(':') && text.parse::<IpAddr>().is_ok(),
        "uri" | "iri" => plain && is_url(text) == Some(true),
        "uri-reference" | "iri-reference" => plain && is_url(text).is_some(),
        "uri-template" => plain && is_url(text).is_some() && matches(URI_TEMPLATE, text),
        "uuid" => matches(UUID, text),
        "regex" => compat::regex::compile(text).is_ok(),
        "json-pointer" => matches(POINTER, text),
        "relative-json-pointer" => matches(RELATIVE_POINTER, text),
        _ => return None,
    })
}

fn is_time(text: &str, before: &str, after: &str) -> bool {
    Timestamp::parse_rfc3339(&format!("{before}{text}{after}")).is_some()
}

fn is_clock(text: &str) -> bool {
    is_time(text, "2000-01-01T", "") || is_time(text, "2000-01-01T", "Z")
}

/// Whether a text matches one of the expressions above.
fn matches(expression: &'static str, text: &str) -> bool {
    static COMPILED: OnceLock<Vec<(&str, Regex)>> = OnceLock::new();
    let compiled = COMPILED.get_or_init(|| {
        let all = [HOSTNAME, UUID, EMAIL, URI_TEMPLATE, POINTER, RELATIVE_POINTER];
        all.into_iter().filter_map(|text| Some((text, Regex::new(text).ok()?))).collect()
    });
    compiled.iter().any(|(known, regex)| *known == expression && regex.is_match(text))
}

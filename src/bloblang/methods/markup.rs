//! Taking the tags out of HTML.

use super::target::{array, coerced_str};
use crate::compat::html;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Param, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[Spec::plugin(
    "strip_html",
    "Takes the tags out of HTML, except those to keep, which lose their attributes.",
    &[Param::any("preserve", "Names of the elements whose tags stay.").optional()],
    strip_html,
)];

/// Elements whose content goes with their tags.
const SILENT: [&str; 10] = [
    "frame", "frameset", "iframe", "noembed", "noframes", "noscript", "nostyle", "object", "script", "style",
];
/// Of those, the ones whose content is no markup.
const RAW: [&str; 6] = ["iframe", "noembed", "noframes", "noscript", "script", "style"];
/// Elements that mean nothing without attributes.
const BARE: [&str; 4] = ["a", "font", "img", "object"];

fn strip_html(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = coerced_str(&target)?;
    cx.spend(text.len() as u64 / 8)?;
    let mut keep = Vec::new();
    if let Some(list) = args.value(0).filter(|list| !list.is_null()) {
        for item in array(list)?.iter() {
            keep.push(item.as_str().ok_or_else(|| Fault::expected("string", item))?.to_ascii_lowercase());
        }
    }
    Ok(strip(&text, &keep).into())
}

fn escape(text: &str, out: &mut String) {
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            other => out.push(other),
        }
    }
}

fn strip(text: &str, keep: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut silent = 0usize;
    while !rest.is_empty() {
        let (run, tail) = next_tag(rest);
        if silent == 0 {
            escape(&html::unescape(run), &mut out);
        }
        rest = tail;
        if let Some(after) = rest.strip_prefix("<!--") {
            rest = after.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let Some(after) = rest.strip_prefix('<') else { continue };
        let (inside, after) = tag_end(after);
        rest = after;
        let (closes, inside) = inside.strip_prefix('/').map_or((false, inside), |inside| (true, inside));
        let name = inside.split([' ', '\t', '\n', '\r', '\u{c}', '/']).next().unwrap_or_default();
        let name = name.to_ascii_lowercase();
        let selfclosing = inside.ends_with('/');
        if SILENT.contains(&&*name) {
            match closes {
                true => silent = silent.saturating_sub(1),
                false if RAW.contains(&&*name) => rest = raw_end(rest, &name),
                false if !selfclosing => silent += 1,
                false => {}
            }
        } else if silent == 0 && keep.contains(&name) && !BARE.contains(&&*name) {
            out.push_str(if closes { "</" } else { "<" });
            out.push_str(&name);
            out.push_str(if selfclosing { "/>" } else { ">" });
        }
    }
    out
}

/// Text up to the next tag or comment, and the rest from there.
fn next_tag(text: &str) -> (&str, &str) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('<')) {
        let at = from + at;
        let next = text.get(at + 1..).unwrap_or_default().trim_start_matches('/');
        if next.starts_with(|first: char| first.is_ascii_alphabetic() || matches!(first, '!' | '?')) {
            return text.split_at_checked(at).unwrap_or((text, ""));
        }
        from = at + 1;
    }
    (text, "")
}

/// What is inside a tag, and what follows it; quoted values may hold anything.
fn tag_end(text: &str) -> (&str, &str) {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => {
                return (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default());
            }
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    (text, "")
}

/// What follows the end tag of an element that holds no markup.
fn raw_end<'a>(text: &'a str, name: &str) -> &'a str {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("</") {
        if after.get(..name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)) {
            return tag_end(after).1;
        }
        rest = after;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_text_stays() {
        let keep = ["b".to_owned()];
        for (text, want) in [
            ("<p>a <B class='>'>b</B> &amp; &eacute;</p>", "a <b>b</b> &amp; é"),
            ("a<!-- <b> -->c", "ac"),
            ("x<script>if (a < b) {}</b></SCRIPT>y<style>", "xy"),
            ("1 < 2 <3 <", "1 &lt; 2 &lt;3 &lt;"),
            ("<object><b>no</b></object>yes<b/>", "yes<b/>"),
        ] {
            assert_eq!(strip(text, &keep), want);
        }
    }
}

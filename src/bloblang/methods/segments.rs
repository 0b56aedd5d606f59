//! Cutting text where Unicode says, and making slugs of it.

use unicode_segmentation::UnicodeSegmentation as _;

use super::target::coerced_str;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Spec};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin(
        "unicode_segments",
        "Cuts text into graphemes, words or sentences.",
        &[Param::string("segmentation_type", "grapheme, word or sentence.")],
        unicode_segments,
    ),
    Spec::plugin(
        "slug",
        "Makes text fit for a URL's path.",
        &[Param::string("lang", "The language signs are spelled out in.")
            .optional()
            .default(Default::String("en"))],
        slug,
    ),
];

fn unicode_segments(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = coerced_str(&target)?;
    cx.spend(text.len() as u64)?;
    Ok(match &*args.str(0) {
        "grapheme" => text.graphemes(true).map(Value::from).collect(),
        "word" => text.split_word_bounds().map(Value::from).collect(),
        "sentence" => text.split_sentence_bounds().map(Value::from).collect(),
        other => return Err(Fault::new(format!("invalid segmentation type: {other}"))),
    })
}

fn slug(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = coerced_str(&target)?;
    cx.spend(text.len() as u64 / 4)?;
    Ok(slugged(&text, &args.str(0)).into())
}

/// What a language spells `&` and `@`.
const SPELLED: &[(&str, &str, &str)] = &[
    ("bg", "i", "na"),
    ("cs", "a", "zavinac"),
    ("da", "og", "at"),
    ("de", "und", "an"),
    ("es", "y", "en"),
    ("et", "ja", "at"),
    ("fi", "ja", "at"),
    ("fr", "et", "arobase"),
    ("gr", "kai", "at"),
    ("hu", "es", "kukac"),
    ("id", "dan", "di"),
    ("it", "e", "chiocciola"),
    ("kk", "zhane", "at"),
    ("lt", "ir", "eta"),
    ("nb", "og", "at"),
    ("nl", "en", "at"),
    ("nn", "og", "at"),
    ("pl", "i", "na"),
    ("pt", "e", "em"),
    ("ro", "si", "at"),
    ("ru", "i", "at"),
    ("sk", "a", "zavinac"),
    ("sl", "in", "afna"),
    ("sv", "och", "snabel a"),
    ("tr", "ve", "et"),
    ("uk", "i", "at"),
];

fn slugged(text: &str, language: &str) -> String {
    let language: String = language.chars().take(2).flat_map(char::to_lowercase).collect();
    let (and, at) =
        SPELLED.iter().find(|(name, ..)| *name == language).map_or(("and", "at"), |(_, and, at)| (*and, *at));
    let mut plain = String::with_capacity(text.len());
    for char in text.trim().chars() {
        match char {
            '"' | '\'' | '\u{2019}' => {}
            '\u{2012}'..='\u{2015}' => plain.push('-'),
            '&' => plain.push_str(and),
            '@' => plain.push_str(at),
            'ä' | 'ö' | 'ü' | 'Ä' | 'Ö' | 'Ü' if language == "de" => {
                plain.extend(char.to_lowercase().map(|char| match char {
                    'ä' => 'a',
                    'ö' => 'o',
                    _ => 'u',
                }));
                plain.push('e');
            }
            char if char.is_ascii() => plain.push(char),
            char => plain.push_str(deunicode::deunicode_char(char).unwrap_or("-")),
        }
    }
    let mut out = String::with_capacity(plain.len());
    for char in plain.chars().map(|char| char.to_ascii_lowercase()) {
        match char {
            'a'..='z' | '0'..='9' | '_' => out.push(char),
            _ if out.ends_with('-') => {}
            _ => out.push('-'),
        }
    }
    out.trim_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        assert_eq!(slugged(" Grüße & Küsse -- 'ok'_ ", "de"), "gruesse-und-kuesse-ok");
        assert_eq!(slugged("影師", "en"), "ying-shi");
        assert_eq!(slugged("a@b", "xx"), "aatb");
    }
}

//! Methods on strings.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;

use super::target::{array, coerced, coerced_str, text};
use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::spec::{Args, Default, Param, Prepared, Spec};
use crate::text::{Text, lossy};
use crate::value::Value;

/// Longest string a method may build, in bytes.
pub(super) const MAX_BYTES: usize = 1 << 28;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method(
        "capitalize",
        "The first letter of each word in title case, the others lower.",
        &[],
        capitalize,
    ),
    Spec::method("uppercase", "All letters in upper case.", &[], uppercase),
    Spec::method("lowercase", "All letters in lower case.", &[], lowercase),
    Spec::method("has_prefix", "Whether the string begins with another.", VALUE, has_prefix),
    Spec::method("has_suffix", "Whether the string ends with another.", VALUE, has_suffix),
    Spec::method("index_of", "Byte position of a substring, -1 if it is not there.", VALUE, index_of),
    Spec::method("repeat", "The string so many times over.", &[Param::int("count", "How often.")], repeat)
        .prepared(check_repeat),
    Spec::method("reverse", "The characters in reverse order.", &[], reverse),
    Spec::method("quote", "The string in double quotes with escapes.", &[], quote),
    Spec::method("unquote", "What a quoted string stands for.", &[], unquote),
    Spec::method("replace", "As `replace_all`.", REPLACE, replace_all),
    Spec::method("replace_all", "Replaces every occurrence of a substring.", REPLACE, replace_all),
    Spec::method("replace_many", "As `replace_all_many`.", REPLACE_MANY, replace_all_many)
        .prepared(replacements),
    Spec::method(
        "replace_all_many",
        "Replaces by pairs of old and new, one after the other.",
        REPLACE_MANY,
        replace_all_many,
    )
    .prepared(replacements),
    Spec::method("split", "Cuts the string at a delimiter.", SPLIT, split),
    Spec::method("join", "Joins an array of strings.", JOIN, join),
    Spec::method("trim", "Removes characters from both ends, blanks by default.", TRIM, trim),
    Spec::method(
        "trim_prefix",
        "Removes a prefix.",
        &[Param::string("prefix", "What to remove.")],
        trim_prefix,
    ),
    Spec::method(
        "trim_suffix",
        "Removes a suffix.",
        &[Param::string("suffix", "What to remove.")],
        trim_suffix,
    ),
    Spec::method("filepath_join", "Joins path components into one clean path.", &[], filepath_join),
    Spec::method("filepath_split", "Directory and file name of a path.", &[], filepath_split),
];

const VALUE: &[Param] = &[Param::string("value", "The string to look for.")];
const REPLACE: &[Param] =
    &[Param::string("old", "What to replace."), Param::string("new", "What to put instead.")];
const REPLACE_MANY: &[Param] = &[Param::array("values", "Old and new, by turns.")];
const SPLIT: &[Param] = &[
    Param::string("delimiter", "Where to cut."),
    Param::bool("empty_as_null", "Whether empty pieces become null.").default(Default::Bool(false)),
];
const JOIN: &[Param] = &[Param::string("delimiter", "What to put between.").optional()];
const TRIM: &[Param] = &[Param::string("cutset", "The characters to remove.").optional()];

/// Upper case of one character where it is one character, as the reference maps.
fn upper(char: char) -> char {
    let mut mapped = char.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => match u32::from(char) {
            code @ (0x1F80..=0x1F87 | 0x1F90..=0x1F97 | 0x1FA0..=0x1FA7) => {
                char::from_u32(code + 8).unwrap_or(char)
            }
            code @ (0x1FB3 | 0x1FC3 | 0x1FF3) => char::from_u32(code + 9).unwrap_or(char),
            _ => char,
        },
    }
}

/// Lower case of one character.
fn lower(char: char) -> char {
    char.to_lowercase().next().unwrap_or(char)
}

/// Changes case without an allocation for short ASCII strings.
fn change_case(target: &Value, ascii: fn(&mut [u8]), unicode: fn(char) -> char) -> Result<Value, Fault> {
    let target = text(target)?;
    if !target.bytes.is_ascii() {
        return Ok(target.give(&change_mixed_case(&target.str(), ascii, unicode)));
    }
    let mut short = [0; crate::text::INLINE];
    if let Some(slot) = short.get_mut(..target.bytes.len()) {
        slot.copy_from_slice(&target.bytes);
        ascii(slot);
        return Ok(target.give(slot));
    }
    let mut changed = target.bytes.to_vec();
    ascii(&mut changed);
    Ok(target.give(&changed))
}

/// Changes the ASCII letters all at once, and the few others one by one while their length stays.
fn change_mixed_case(text: &str, ascii: fn(&mut [u8]), unicode: fn(char) -> char) -> Vec<u8> {
    const STRIDE: usize = 16;
    let mut changed = text.as_bytes().to_vec();
    ascii(&mut changed);
    let mut at = 0;
    while let Some(rest) = changed.get(at..).filter(|rest| !rest.is_empty()) {
        let plain = rest.chunks(STRIDE).take_while(|chunk| chunk.is_ascii()).count() * STRIDE;
        let other = rest.iter().skip(plain).position(|byte| !byte.is_ascii());
        let Some(other) = other else { break };
        at += plain + other;
        let Some(char) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let mapped = unicode(char);
        match changed.get_mut(at..at + char.len_utf8()) {
            Some(place) if mapped.len_utf8() == place.len() => {
                mapped.encode_utf8(place);
            }
            _ => return text.chars().map(unicode).collect::<String>().into_bytes(),
        }
        at += char.len_utf8();
    }
    changed
}

fn uppercase(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    change_case(&target, <[u8]>::make_ascii_uppercase, upper)
}

fn lowercase(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    change_case(&target, <[u8]>::make_ascii_lowercase, lower)
}

fn capitalize(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let target = text(&target)?;
    let mut out = String::with_capacity(target.bytes.len());
    let (mut in_word, mut after_joint) = (false, false);
    for char in target.str().chars() {
        // A joint such as an apostrophe stays inside a word, two of them end it.
        let joint = matches!(
            char,
            '\'' | '.' | ':' | '\u{b7}' | '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{2027}' | '\u{387}'
        );
        if joint && after_joint {
            in_word = false;
        }
        after_joint = joint;
        let cased = char.is_lowercase() || char.is_uppercase() || lower(char) != char;
        if cased {
            if in_word {
                out.extend(char.to_lowercase());
            } else {
                out.push(title(char));
            }
            in_word = true;
        } else {
            out.push(char);
            in_word &= joint || char.is_alphanumeric() || char == '_' || is_mark(char);
        }
    }
    Ok(target.give(out.as_bytes()))
}

/// Title case of one character.
fn title(char: char) -> char {
    match char {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        other => upper(other),
    }
}

fn is_mark(char: char) -> bool {
    matches!(u32::from(char), 0x300..=0x36f | 0x483..=0x489 | 0x200d | 0xfe00..=0xfe0f | 0x20d0..=0x20f0)
}

fn has_prefix(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(text(&target)?.bytes.starts_with(args.bytes(0).unwrap_or_default()).into())
}

fn has_suffix(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    Ok(text(&target)?.bytes.ends_with(args.bytes(0).unwrap_or_default()).into())
}

fn index_of(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let found = memmem::find(&text(&target)?.bytes, args.bytes(0).unwrap_or_default());
    Ok(Value::Int(found.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

fn check_repeat(args: &Args<'_>) -> Result<Prepared, Fault> {
    match args.int(0) {
        Some(count) if count < 0 => {
            Err(Fault::new(format!("invalid count, must be greater than or equal to zero: {count}")))
        }
        _ => Ok(Arc::new(())),
    }
}

fn repeat(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let target = text(&target)?;
    let count = usize::try_from(args.int(0).unwrap_or(0)).unwrap_or(0);
    match target.bytes.len().checked_mul(count) {
        None => Err(Fault::new(format!("invalid count, would overflow: {}*{count}", target.bytes.len()))),
        Some(len) if len > MAX_BYTES => {
            Err(Fault::new(format!("result of {len} bytes exceeds the limit of {MAX_BYTES}")))
        }
        Some(len) => {
            cx.spend(len as u64 / 64)?;
            Ok(target.give(&target.bytes.repeat(count)))
        }
    }
}

fn reverse(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let target = text(&target)?;
    if target.is_bytes() {
        let mut bytes = target.bytes.to_vec();
        bytes.reverse();
        return Ok(Value::bytes(bytes));
    }
    let reversed: String = target.str().chars().rev().collect();
    Ok(reversed.into())
}

fn quote(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    Ok(compat::quote_bytes(&coerced(&target)?).into())
}

fn unquote(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    match compat::unquote(&coerced(&target)?) {
        Some(bytes) => Ok(Value::String(Text::new(&bytes))),
        None => Err(Fault::new("invalid syntax")),
    }
}

fn too_large() -> Fault {
    Fault::new(format!("result exceeds the limit of {MAX_BYTES} bytes"))
}

/// Replaces every occurrence; an empty pattern matches before each character and at the end.
fn replace_bytes<'a>(bytes: &'a [u8], old: &[u8], new: &[u8]) -> Result<Cow<'a, [u8]>, Fault> {
    if old == new {
        return Ok(Cow::Borrowed(bytes));
    }
    let bounded = |len: usize| if len > MAX_BYTES { Err(too_large()) } else { Ok(()) };
    if old.is_empty() {
        let mut out = new.to_vec();
        for char in pieces(bytes) {
            out.extend_from_slice(char);
            out.extend_from_slice(new);
            bounded(out.len())?;
        }
        return Ok(Cow::Owned(out));
    }
    let mut out = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(bytes, old) {
        out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
        out.extend_from_slice(new);
        bounded(out.len())?;
        from = at + old.len();
    }
    if from == 0 {
        return Ok(Cow::Borrowed(bytes));
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
    Ok(Cow::Owned(out))
}

/// The characters of a text as slices of it; invalid bytes stand alone.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid();
        let chars = valid
            .char_indices()
            .map(move |(at, char)| valid.as_bytes().get(at..at + char.len_utf8()).unwrap_or_default());
        chars.chain(chunk.invalid().chunks(1))
    })
}

fn replace_all(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let (old, new) = (args.bytes(0).unwrap_or_default(), args.bytes(1).unwrap_or_default());
    match replace_bytes(&text.bytes, old, new)? {
        Cow::Borrowed(_) => Ok(target.clone()),
        Cow::Owned(bytes) => Ok(text.give(&bytes)),
    }
}

/// Pairs of old and new.
type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

fn replacements(args: &Args<'_>) -> Result<Prepared, Fault> {
    let items = args.value(0).and_then(Value::to_array).unwrap_or_default();
    if !items.len().is_multiple_of(2) {
        let shown = compat::display(&Value::Array(items));
        return Err(Fault::new(format!(
            "invalid arg, replacements should be in pairs and must therefore be even: {shown}"
        )));
    }
    let texts = items.iter().enumerate().map(|(index, item)| match coerced(item) {
        Ok(bytes) => Ok(bytes.into_owned()),
        Err(fault) => Err(fault.context(format!("invalid replacement value at index {index}"))),
    });
    let texts = texts.collect::<Result<Vec<_>, _>>()?;
    let pairs: Pairs = texts
        .chunks_exact(2)
        .map(|pair| (pair.first().cloned().unwrap_or_default(), pair.last().cloned().unwrap_or_default()))
        .collect();
    Ok(Arc::new(pairs))
}

fn replace_all_many(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let mut bytes = Cow::Borrowed(&*text.bytes);
    for (old, new) in args.prepared::<Pairs>().into_iter().flatten() {
        if let Cow::Owned(changed) = replace_bytes(&bytes, old, new)? {
            cx.spend(changed.len() as u64 / 64)?;
            bytes = Cow::Owned(changed);
        }
    }
    Ok(text.give(&bytes))
}

fn split(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let delimiter = args.bytes(0).unwrap_or_default();
    let empty_as_null = args.bool(1).unwrap_or(false);
    let give = |piece: &[u8]| if empty_as_null && piece.is_empty() { Value::Null } else { text.give(piece) };
    let out = if delimiter.is_empty() {
        cx.collect(24, pieces(&text.bytes).map(give))?
    } else {
        let mut from = 0;
        let ends = memmem::find_iter(&text.bytes, delimiter).chain([text.bytes.len()]);
        let pieces = ends.map(|at| {
            let piece = text.bytes.get(from..at).unwrap_or_default();
            from = at + delimiter.len();
            give(piece)
        });
        cx.collect(24, pieces)?
    };
    cx.spend(out.len() as u64)?;
    Ok(out.into())
}

fn join(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let delimiter = args.bytes(0).unwrap_or_default();
    let mut out = Vec::new();
    for (index, item) in array(&target)?.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(delimiter);
        }
        match item.as_bytes() {
            Some(bytes) => out.extend_from_slice(&bytes),
            None => {
                return Err(
                    Fault::expected("string", item).context(format!("failed to join element {index}"))
                );
            }
        }
        if out.len() > MAX_BYTES {
            return Err(too_large());
        }
    }
    Ok(Value::String(out.into()))
}

fn trim(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let whole = text.str();
    let trimmed = match args.bytes(0) {
        None => whole.trim(),
        Some(cutset) => {
            let cutset = lossy(cutset);
            whole.trim_matches(|char| cutset.contains(char))
        }
    };
    Ok(if trimmed.len() == text.bytes.len() { target.clone() } else { text.give(trimmed.as_bytes()) })
}

fn trim_prefix(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let prefix = args.bytes(0).unwrap_or_default();
    Ok(text.bytes.strip_prefix(prefix).map_or_else(|| target.clone(), |rest| text.give(rest)))
}

fn trim_suffix(_: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    let suffix = args.bytes(0).unwrap_or_default();
    Ok(text.bytes.strip_suffix(suffix).map_or_else(|| target.clone(), |rest| text.give(rest)))
}

fn filepath_join(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let mut parts = Vec::new();
    for (index, item) in array(&target)?.iter().enumerate() {
        let part = coerced_str(item).map_err(|fault| fault.context(format!("path element {index}")))?;
        if !part.is_empty() {
            parts.push(part.into_owned());
        }
    }
    Ok(if parts.is_empty() { "".into() } else { clean_path(&parts.join("/")).into() })
}

/// A path without empty, `.` and resolvable `..` components.
fn clean_path(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if kept.last().is_some_and(|last| *last != "..") => {
                kept.pop();
            }
            ".." if rooted => {}
            part => kept.push(part),
        }
    }
    match (rooted, kept.is_empty()) {
        (true, _) => format!("/{}", kept.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => kept.join("/"),
    }
}

fn filepath_split(_: &mut Cx<'_>, target: Value, _: &Args<'_>) -> Result<Value, Fault> {
    let bytes = coerced(&target)?;
    let cut = memchr::memrchr(b'/', &bytes).map_or(0, |at| at + 1);
    let (directory, file) = bytes.split_at(cut);
    Ok(vec![Value::String(Text::new(directory)), Value::String(Text::new(file))].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_mapped_one_to_one() {
        assert_eq!("straße ŉ ᾀ".chars().map(upper).collect::<String>(), "STRAßE ŉ ᾈ");
        assert_eq!("İΣ".chars().map(lower).collect::<String>(), "iσ");
    }

    #[test]
    fn replacing() {
        assert_eq!(&*replace_bytes("aéa".as_bytes(), b"", b"-").unwrap(), "-a-é-a-".as_bytes());
        assert_eq!(&*replace_bytes(b"aXbX", b"X", b"yy").unwrap(), b"ayybyy");
        assert!(matches!(replace_bytes(b"abc", b"X", b"y"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn paths_are_cleaned() {
        for (path, want) in
            [("/foo//./bar/../baz", "/foo/baz"), ("../../a", "../../a"), ("/..", "/"), ("a/..", ".")]
        {
            assert_eq!(clean_path(path), want);
        }
    }
}

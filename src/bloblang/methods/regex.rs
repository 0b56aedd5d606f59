//! Methods with regular expressions.

use std::{ops::Range, sync::Arc};

use regex::bytes::{Captures, Regex};
use regex_syntax::hir::{Class, ClassBytesRange, Hir, HirKind};

use super::target::text;
use crate::compat;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Param, Prepared, Spec};
use crate::text::{Text, lossy};
use crate::value::Value;

pub(super) static FAMILY: &[Spec] = &[
    Spec::method("re_match", "Whether the pattern matches anywhere.", PATTERN, re_match).prepared(compile),
    Spec::method("re_find_all", "All matches.", PATTERN, re_find_all).prepared(compile),
    Spec::method("re_find_all_submatch", "All matches with their groups.", PATTERN, re_find_all_submatch)
        .prepared(compile),
    Spec::method("re_find_object", "The groups of the first match by name.", PATTERN, re_find_object)
        .prepared(compile),
    Spec::method("re_find_all_object", "The groups of all matches by name.", PATTERN, re_find_all_object)
        .prepared(compile),
    Spec::method("re_replace", "As `re_replace_all`.", REPLACE, re_replace_all).prepared(compile),
    Spec::method("re_replace_all", "Replaces all matches; `$1` stands for a group.", REPLACE, re_replace_all)
        .prepared(compile),
];

const PATTERN: &[Param] = &[Param::string("pattern", "The pattern.")];
const REPLACE: &[Param] =
    &[Param::string("pattern", "The pattern."), Param::string("value", "What to put instead.")];

/// A compiled pattern with the keys of its groups and, for replacing, the pieces of the replacement.
struct Pattern {
    regex: Regex,
    /// The same, where it is no more than that.
    run: Option<Run>,
    keys: Vec<Text>,
    replacement: Vec<Piece>,
}

/// A class of ASCII characters, once or as often as it comes: a table finds those sooner than an automaton does.
struct Run {
    members: [bool; 256],
    repeated: bool,
}

impl Run {
    fn of(regex: &Regex) -> Option<Self> {
        let hir = regex_syntax::ParserBuilder::new().utf8(false).build().parse(regex.as_str()).ok()?;
        let (class, repeated) = match hir.kind() {
            HirKind::Repetition(all) if all.min == 1 && all.max.is_none() && all.greedy => (&*all.sub, true),
            _ => (&hir, false),
        };
        Self::members(class).map(|members| Self { members, repeated })
    }

    fn members(class: &Hir) -> Option<[bool; 256]> {
        let bytes = match class.kind() {
            HirKind::Class(Class::Unicode(class)) => class.to_byte_class(),
            HirKind::Class(Class::Bytes(class)) if class.is_ascii() => Some(class.clone()),
            _ => None,
        }?;
        let is_member = |byte: usize| {
            let within =
                |range: &ClassBytesRange| (range.start().into()..=range.end().into()).contains(&byte);
            bytes.iter().any(within)
        };
        Some(std::array::from_fn(is_member))
    }

    fn has(&self, byte: u8) -> bool {
        self.members.get(usize::from(byte)).copied().unwrap_or_default()
    }

    fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let rest = text.get(from..)?;
        let start = rest.iter().position(|byte| self.has(*byte))?;
        let inside = rest.iter().skip(start);
        let len = if self.repeated { inside.take_while(|byte| self.has(**byte)).count() } else { 1 };
        Some(from + start..from + start + len)
    }
}

impl Pattern {
    fn is_match(&self, text: &[u8]) -> bool {
        self.run.as_ref().map_or_else(|| self.regex.is_match(text), |run| run.find(text, 0).is_some())
    }

    /// Where it matches.
    fn all<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = Range<usize>> {
        let (mut from, run) = (0, self.run.as_ref());
        let runs = std::iter::from_fn(move || {
            let found = run?.find(text, from)?;
            from = found.end;
            Some(found)
        });
        let others = run.is_none().then(|| self.regex.find_iter(text)).into_iter().flatten();
        runs.chain(others.filter(move |found| is_whole(text, found)).map(|found| found.range()))
    }
}

/// A piece of a replacement.
enum Piece {
    Text(Vec<u8>),
    /// The first of these groups that took part.
    Groups(Vec<usize>),
}

fn compile(args: &Args<'_>) -> Result<Prepared, Fault> {
    let pattern = args.bytes(0).unwrap_or_default();
    if let Some(bad) = pattern.utf8_chunks().find(|chunk| !chunk.invalid().is_empty()) {
        let text = lossy(bad.invalid());
        return Err(Fault::new(format!("error parsing regexp: invalid UTF-8: `{text}`")));
    }
    let regex = compat::regex::compile(&lossy(pattern)).map_err(Fault::new)?;
    let names: Vec<Option<&str>> =
        regex.capture_names().map(|name| name.map(compat::regex::group_name)).collect();
    let keys = names
        .iter()
        .enumerate()
        .map(|(at, name)| name.map_or_else(|| Text::from(at.to_string()), Text::from))
        .collect();
    let replacement = pieces(args.bytes(1).unwrap_or_default(), &names);
    let run = Run::of(&regex);
    Ok(Arc::new(Pattern { regex, run, keys, replacement }))
}

/// Reads a replacement: `$name`, `${name}`, `$$`; unknown groups are empty.
fn pieces(text: &[u8], names: &[Option<&str>]) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut literal = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let rest = text.get(at + 1..).unwrap_or_default();
        if byte != b'$' || rest.is_empty() {
            literal.push(byte);
            at += 1;
            continue;
        }
        if rest.first() == Some(&b'$') {
            literal.push(b'$');
            at += 2;
            continue;
        }
        let word = |bytes: &[u8]| {
            bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
        };
        let braced = rest.first() == Some(&b'{');
        let name = rest.get(usize::from(braced)..).unwrap_or_default();
        let len = word(name);
        let closed = !braced || name.get(len) == Some(&b'}');
        if len == 0 || !closed {
            literal.push(b'$');
            at += 1;
            continue;
        }
        let name = name.get(..len).unwrap_or_default();
        at += 1 + len + if braced { 2 } else { 0 };
        if !literal.is_empty() {
            out.push(Piece::Text(std::mem::take(&mut literal)));
        }
        let number =
            std::str::from_utf8(name).ok().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let groups = if let Some(number) = number {
            number.parse().ok().into_iter().collect()
        } else {
            let all = names.iter().enumerate();
            all.filter(|(_, known)| known.is_some_and(|known| known.as_bytes() == name))
                .map(|(at, _)| at)
                .collect()
        };
        out.push(Piece::Groups(groups));
    }
    if !literal.is_empty() {
        out.push(Piece::Text(literal));
    }
    out
}

fn pattern<'a>(args: &Args<'a>) -> Result<&'a Pattern, Fault> {
    args.prepared::<Pattern>().ok_or_else(|| Fault::new("the pattern was not compiled"))
}

fn string(bytes: &[u8]) -> Value {
    Value::String(Text::new(bytes))
}

fn re_match(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 64)?;
    Ok(pattern(args)?.is_match(&text.bytes).into())
}

fn re_find_all(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    let found = pattern(args)?.all(&text.bytes).filter_map(|found| text.bytes.get(found));
    cx.collect(24, found.map(string)).map(Value::from)
}

/// Whether a match is none of nothing within a character.
fn is_whole(text: &[u8], found: &regex::bytes::Match<'_>) -> bool {
    let (before, after) = text.split_at_checked(found.start()).unwrap_or((text, b""));
    if !found.is_empty() || after.first().is_none_or(|byte| byte & 0xc0 != 0x80) {
        return true;
    }
    // At most three bytes of the character are before it.
    let from = before.iter().rev().take(3).position(|byte| byte & 0xc0 != 0x80);
    let Some(start) = from.and_then(|back| before.len().checked_sub(back + 1)) else { return true };
    let character = text.get(start..).unwrap_or_default().utf8_chunks().next();
    let len = character.and_then(|chunk| chunk.valid().chars().next()).map_or(1, char::len_utf8);
    start + len <= found.start()
}

fn is_whole_group(text: &[u8], captures: &Captures<'_>) -> bool {
    captures.get(0).is_none_or(|found| is_whole(text, &found))
}

/// The text of each group, empty where it took no part.
fn groups<'a>(captures: &'a Captures<'a>) -> impl Iterator<Item = &'a [u8]> {
    captures.iter().map(|group| group.map_or(&b""[..], |group| group.as_bytes()))
}

fn re_find_all_submatch(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    let found =
        pattern(args)?.regex.captures_iter(&text.bytes).filter(|found| is_whole_group(&text.bytes, found));
    Ok(found.map(|captures| groups(&captures).map(string).collect()).collect())
}

/// Groups by name. Of bytes they stay bytes.
fn group_object(pattern: &Pattern, captures: &Captures<'_>, bytes: bool) -> Value {
    let mut object = Object::with_capacity(pattern.keys.len());
    for (key, group) in pattern.keys.iter().zip(groups(captures)) {
        object.insert(key.clone(), if bytes { Value::bytes(group.to_vec()) } else { string(group) });
    }
    object.into()
}

fn re_find_object(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 64)?;
    let pattern = pattern(args)?;
    Ok(match pattern.regex.captures(&text.bytes) {
        Some(captures) => group_object(pattern, &captures, text.is_bytes()),
        None => Object::new().into(),
    })
}

fn re_find_all_object(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    let pattern = pattern(args)?;
    let found = pattern.regex.captures_iter(&text.bytes).filter(|found| is_whole_group(&text.bytes, found));
    let objects = found.map(|captures| group_object(pattern, &captures, text.is_bytes()));
    cx.collect(40 + 80 * pattern.keys.len(), objects).map(Value::from)
}

fn re_replace_all(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let text = text(&target)?;
    cx.spend(text.bytes.len() as u64 / 16)?;
    let pattern = pattern(args)?;
    let mut out = Vec::with_capacity(text.bytes.len());
    let mut from = 0;
    let literal = pattern.replacement.iter().all(|piece| matches!(piece, Piece::Text(_)));
    let mut replace = |start: usize, end: usize, captures: Option<&Captures<'_>>| {
        out.extend_from_slice(text.bytes.get(from..start).unwrap_or_default());
        for piece in &pattern.replacement {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Groups(groups) => {
                    let group = captures.and_then(|all| groups.iter().find_map(|group| all.get(*group)));
                    out.extend_from_slice(group.map_or(&b""[..], |group| group.as_bytes()));
                }
            }
        }
        from = end;
        if out.len() > super::strings::MAX_BYTES { Err(Fault::new("result is too large")) } else { Ok(()) }
    };
    if literal {
        for found in pattern.all(&text.bytes) {
            replace(found.start, found.end, None)?;
        }
    } else {
        for captures in
            pattern.regex.captures_iter(&text.bytes).filter(|found| is_whole_group(&text.bytes, found))
        {
            if let Some(found) = captures.get(0) {
                replace(found.start(), found.end(), Some(&captures))?;
            }
        }
    }
    out.extend_from_slice(text.bytes.get(from..).unwrap_or_default());
    Ok(string(&out))
}

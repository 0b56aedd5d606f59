//! Nodes to YAML text, in blocks, each scalar as it was written where that is possible.

use crate::{Node, tokens::VARIABLE};
use weir_core::{
    node::{Scalar, Style, Tag, Value},
    yaml::resolve,
};

/// Writes a node as a YAML document.
pub fn to_yaml(node: &Node) -> String {
    let mut out = String::new();
    match node.value() {
        Value::Scalar(_) => {
            scalar(node, 0, &mut out);
            out.push('\n');
        }
        Value::List(items) if items.is_empty() => out.push_str("[]\n"),
        Value::Map(entries) if entries.is_empty() => out.push_str("{}\n"),
        _ => block(node, 0, false, &mut out),
    }
    out
}

/// Writes a list or map that is not empty; `inline` if the first entry goes on the current line.
fn block(node: &Node, indent: usize, inline: bool, out: &mut String) {
    let margin = |index: usize, out: &mut String| {
        if index > 0 || !inline {
            out.extend(std::iter::repeat_n(' ', indent));
        }
    };
    for (index, item) in node.as_list().unwrap_or_default().iter().enumerate() {
        margin(index, out);
        out.push('-');
        match item.value() {
            Value::List(items) if !items.is_empty() => {
                out.push(' ');
                block(item, indent + 2, true, out);
            }
            Value::Map(entries) if !entries.is_empty() => {
                out.push(' ');
                block(item, indent + 2, true, out);
            }
            _ => leaf(item, indent + 2, out),
        }
    }
    for (index, (key, value)) in node.as_map().unwrap_or_default().iter().enumerate() {
        margin(index, out);
        write_key(key, out);
        out.push(':');
        match value.value() {
            Value::List(items) if !items.is_empty() => {
                out.push('\n');
                block(value, indent + 2, false, out);
            }
            Value::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                block(value, indent + 2, false, out);
            }
            _ => leaf(value, indent + 2, out),
        }
    }
}

/// Writes what fits behind a `-` or a key, and ends the line.
fn leaf(node: &Node, indent: usize, out: &mut String) {
    out.push(' ');
    match node.value() {
        Value::Scalar(_) => scalar(node, indent, out),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

fn write_key(key: &Node, out: &mut String) {
    match key.as_scalar() {
        Some(key) if !key.text.contains('\n') => text(key, out),
        Some(key) => double_quoted(&key.text, out),
        // Lists and maps as keys mean nothing in any config.
        None => out.push_str("\"\""),
    }
}

fn scalar(node: &Node, indent: usize, out: &mut String) {
    let Some(scalar) = node.as_scalar() else { return };
    if scalar.text.contains('\n') && scalar.tag == Tag::Str && fits_block(&scalar.text) {
        literal(&scalar.text, indent, out);
    } else {
        text(scalar, out);
    }
}

/// Writes a scalar on one line.
fn text(scalar: &Scalar, out: &mut String) {
    let value = &*scalar.text;
    match &scalar.tag {
        Tag::Str => match scalar.style {
            Style::SingleQuoted if is_printable(value) => single_quoted(value, out),
            Style::Plain | Style::Literal | Style::Folded
                if fits_plain(value) && resolve(value) == Tag::Str =>
            {
                out.push_str(value);
            }
            _ => double_quoted(value, out),
        },
        Tag::Other(tag) if &**tag == VARIABLE => out.push_str(value),
        Tag::Null if value.is_empty() => out.push_str("null"),
        tag if resolve(value) == *tag && fits_plain(value) => out.push_str(value),
        tag => {
            out.push_str(&tag.to_string());
            out.push(' ');
            double_quoted(value, out);
        }
    }
}

/// Whether a text means itself without quotes, in a block.
fn fits_plain(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let starts_well = match first {
        '-' | '?' | ':' => text.chars().nth(1).is_some_and(|second| !second.is_whitespace()),
        _ => !"[]{},#&*!|>'\"%@`".contains(first),
    };
    starts_well
        && text.trim() == text
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.ends_with(':')
        && !text.starts_with("---")
        && !text.starts_with("...")
        && is_printable(text)
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || matches!(c, '\u{feff}' | '\u{2028}' | '\u{2029}'))
}

/// Whether a text can be a literal block: its first line shows the indentation, and nothing at a line's end is lost.
fn fits_block(text: &str) -> bool {
    !text.starts_with([' ', '\n', '\t'])
        && text.lines().all(|line| !line.ends_with([' ', '\t']) && is_printable(&line.replace('\t', "")))
        && !text.contains('\r')
}

fn literal(text: &str, indent: usize, out: &mut String) {
    let body = text.trim_end_matches('\n');
    out.push_str(match text.len() - body.len() {
        0 => "|-\n",
        1 => "|\n",
        _ => "|+\n",
    });
    for line in text.strip_suffix('\n').unwrap_or(text).split('\n') {
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', indent.max(2)));
            out.push_str(line);
        }
        out.push('\n');
    }
}

fn single_quoted(text: &str, out: &mut String) {
    out.push('\'');
    out.push_str(&text.replace('\'', "''"));
    out.push('\'');
}

fn double_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if is_printable(c.encode_utf8(&mut [0; 4])) => out.push(c),
            // Rust writes `\u{1f}` where YAML wants four digits.
            c => {
                let code = format!("\\u{:04x}", u32::from(c));
                out.push_str(&code);
            }
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_core::yaml::parse;

    #[test]
    fn what_is_written_reads_the_same() {
        for text in [
            "a: 1\nb: '1'\nc: [ x, { d: e, f: [] }, [ 1, [ 2 ] ], {} ]\ng: ~\nh: \"\"\n",
            "a: |\n  x\n    y\n\n  z\nb: |-\n  x\n  y\nc: |+\n  x\n\n\nd: >\n  a b\n  c\n",
            "a: 'it''s'\nb: \"tab\\tbell\\x07 nl\\n\"\nc: '# no'\nd: 'x: y'\ne: '- a'\nf: 'a '\ng: ' a\n\n  b '\n",
            "a: !!int '5'\nb: !env x\nc: 2020-01-02\nd: 0x1F\ne: no\nf: '~'\ng: !!str 5\n'h: i': 1\n? 5\n: x\n",
            "- - 1\n  - a: b\n    c: d\n- []\n- \"\\u2028\"\n",
            "just text",
            "''",
            "{}",
            "[]",
        ] {
            let node = parse(text).unwrap();
            let written = to_yaml(&node);
            assert_eq!(parse(&written).unwrap(), node, "{written}");
            assert_eq!(to_yaml(&parse(&written).unwrap()), written);
        }
    }

    #[test]
    fn styles_are_kept() {
        assert_eq!(to_yaml(&parse("{ a: 'x', b: \"y\", c: z }").unwrap()), "a: 'x'\nb: \"y\"\nc: z\n");
    }
}

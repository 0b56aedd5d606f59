//! Config text with its variables unexpanded. `{ path: ${OUT} }` is no YAML, so each `${…}` becomes an opaque word
//! before the text is parsed and is put back into scalars and written text: what is stored, compared and shown never
//! holds a variable's value.

use crate::{
    Node,
    environment::{escaped, next},
};
use std::sync::Arc;
use weir_core::node::{Scalar, Style, Tag, Value};

/// The tag of a plain scalar that holds a variable; no tag that is written lacks a `!`.
pub const VARIABLE: &str = "variable";

/// The variables that were made words of.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    prefix: String,
    written: Vec<String>,
}

impl Tokens {
    /// Words that none of these texts holds.
    pub fn avoiding(texts: &[&str]) -> Self {
        let mut prefix = String::from("weirvariable");
        while texts.iter().any(|text| text.contains(&prefix)) {
            prefix.push('x');
        }
        Self { prefix, written: Vec::new() }
    }

    /// Makes words of the variables of a text.
    pub fn hide(&mut self, text: &str) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            let reference = next(rest).map(|(before, reference)| (before.len(), reference.written.len()));
            let escape = rest.match_indices("${{").find_map(|(at, mark)| {
                let inner = escaped(rest.get(at + mark.len()..)?)?;
                Some((at, inner.len() + 5))
            });
            let Some((at, length)) = [reference, escape].into_iter().flatten().min() else { break };
            hidden.push_str(rest.get(..at).unwrap_or_default());
            self.word(rest.get(at..at + length).unwrap_or_default(), &mut hidden);
            rest = rest.get(at + length..).unwrap_or_default();
        }
        hidden.push_str(rest);
        hidden
    }

    fn word(&mut self, written: &str, out: &mut String) {
        let index = self.written.iter().position(|known| known == written).unwrap_or_else(|| {
            self.written.push(written.to_owned());
            self.written.len() - 1
        });
        out.push_str(&self.prefix);
        out.push_str(&index.to_string());
        out.push('q');
    }

    /// Puts the variables back into a text.
    pub fn show(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while !self.prefix.is_empty()
            && let Some((before, after)) = rest.split_once(&self.prefix)
        {
            shown.push_str(before);
            let word = after.split_once('q').and_then(|(index, after)| {
                let written = self.written.get(index.parse::<usize>().ok()?)?;
                Some((written, after))
            });
            let (written, after) = word.unwrap_or((&self.prefix, after));
            shown.push_str(written);
            rest = after;
        }
        shown.push_str(rest);
        shown
    }

    /// Puts the variables back into the scalars and keys of a node. A plain scalar with a variable in it has the
    /// tag [`VARIABLE`]: what type it has is only known once the variable is.
    pub fn show_node(&self, node: &Node) -> Node {
        if self.written.is_empty() {
            return node.clone();
        }
        node.with_value(match node.value() {
            Value::Scalar(scalar) => {
                if !scalar.text.contains(&self.prefix) {
                    return node.clone();
                }
                let tag = if scalar.style == Style::Plain {
                    Tag::Other(VARIABLE.into())
                } else {
                    scalar.tag.clone()
                };
                Value::Scalar(Scalar { text: Arc::from(self.show(&scalar.text)), tag, style: scalar.style })
            }
            Value::List(items) => Value::List(items.iter().map(|item| self.show_node(item)).collect()),
            Value::Map(entries) => Value::Map(
                entries.iter().map(|(key, value)| (self.show_node(key), self.show_node(value))).collect(),
            ),
        })
    }
}

/// Reads a text with its variables unexpanded.
pub fn parse(text: &str) -> Result<Node, weir_core::yaml::YamlError> {
    let mut tokens = Tokens::avoiding(&[text]);
    let node = weir_core::yaml::parse(&tokens.hide(text))?;
    Ok(tokens.show_node(&node))
}

/// Lays a patch over a config, both with their variables unexpanded, and writes the result as YAML.
pub fn patch(base: &str, change: &str) -> Result<String, weir_core::yaml::YamlError> {
    let mut tokens = Tokens::avoiding(&[base, change]);
    let (base, change) = (tokens.hide(base), tokens.hide(change));
    let merged = crate::merge::patch(&weir_core::yaml::parse(&base)?, &weir_core::yaml::parse(&change)?);
    Ok(tokens.show(&crate::write::to_yaml(&merged)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_survive_parsing_and_writing() {
        let text = "a: { path: ${OUT}, n: ${N:3}, q: '${N}', e: \"x ${{E}} y\", ${KEY}: [ ${! x } ] }\n# ${COMMENT}\n";
        assert!(parse("a: { path: ${OUT} }").is_ok());
        let mut tokens = Tokens::avoiding(&[text]);
        let hidden = tokens.hide(text);
        assert_eq!(tokens.show(&hidden), text);
        let patched =
            patch("a: { path: ${OUT}, n: ${N:3}, q: '${N}' }\nb: weirvariable0q", "a: { n: ${M}, ${K}: 1 }")
                .unwrap();
        assert_eq!(patched, "a:\n  path: ${OUT}\n  n: ${M}\n  q: '${N}'\n  ${K}: 1\nb: weirvariable0q\n");
    }

    #[test]
    fn what_a_variable_may_become_is_told_apart_from_text() {
        assert_ne!(parse("a: ${N}").unwrap(), parse("a: '${N}'").unwrap());
        assert_eq!(parse("a:   ${N} # x").unwrap(), parse("{ a: ${N} }").unwrap());
        assert_eq!(parse("a: x-${N}").unwrap().get("a").unwrap().as_str(), Some("x-${N}"));
    }
}

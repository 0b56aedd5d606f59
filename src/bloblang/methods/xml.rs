//! Methods that read and write XML.

use super::strings::MAX_BYTES;
use super::target::{object, raw_bytes};
use crate::compat::xml;
use crate::error::Fault;
use crate::eval::Cx;
use crate::object::Object;
use crate::spec::{Args, Default, Param, Spec};
use crate::stack::deep;
use crate::text::lossy;
use crate::value::{Kind, Value};

pub(super) static FAMILY: &[Spec] = &[
    Spec::plugin(
        "parse_xml",
        "Parses XML into an object.",
        &[Param::bool("cast", "Whether texts that are numbers or booleans become such.")
            .default(Default::Bool(false))],
        parse_xml,
    ),
    Spec::plugin("format_xml", "Writes an object as XML; texts are not escaped.", FORMAT, format_xml),
];

const FORMAT: &[Param] = &[
    Param::string("indent", "What to indent with.").default(Default::String("    ")),
    Param::bool("no_indent", "Whether to write one line.").default(Default::Bool(false)),
    Param::string("root_tag", "Name of an element around all.").optional(),
];

fn parse_xml(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let bytes = raw_bytes(&target)?;
    cx.spend(bytes.len() as u64 / 8)?;
    cx.charge(bytes.len().saturating_mul(32))?;
    xml::parse(&lossy(&bytes), args.bool(0) == Some(true))
        .map_err(|error| Fault::new(format!("parsing value as XML: {error}")))
}

fn format_xml(cx: &mut Cx<'_>, target: Value, args: &Args<'_>) -> Result<Value, Fault> {
    let object = object(&target)?;
    let indent = (args.bool(1) != Some(true)).then(|| args.str(0).into_owned());
    let mut writer = Writer { cx, indent, out: String::new() };
    match (args.text(2), object.iter().next()) {
        (Some(root), _) => writer.element(&root.as_str(), &target, 0)?,
        (None, Some((key, only))) if object.len() == 1 && only.kind() != Kind::Array => {
            writer.element(&lossy(&key), &only, 0)?;
        }
        _ => writer.element("doc", &target, 0)?,
    }
    Ok(Value::bytes(writer.out.into_bytes()))
}

struct Writer<'a, 'b> {
    cx: &'a mut Cx<'b>,
    indent: Option<String>,
    out: String,
}

impl Writer<'_, '_> {
    fn line(&mut self, depth: usize) {
        let Some(indent) = &self.indent else { return };
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        for _ in 0..depth {
            self.out.push_str(indent);
        }
    }

    fn element(&mut self, name: &str, value: &Value, depth: usize) -> Result<(), Fault> {
        self.cx.spend(2 + depth as u64)?;
        if self.out.len() > MAX_BYTES {
            return Err(Fault::new("result is too large"));
        }
        if let Some(items) = value.to_array() {
            for item in items.iter() {
                deep(|| self.element(name, item, depth))?;
            }
            return Ok(());
        }
        self.line(depth);
        self.out.push('<');
        self.out.push_str(name);
        if let Some(object) = value.to_object() {
            return self.members(name, &object, depth);
        }
        self.text(name, value);
        Ok(())
    }

    /// The rest of an element that holds but a text.
    fn text(&mut self, name: &str, value: &Value) {
        let text = if value.is_null() { crate::text::Text::EMPTY } else { value.to_text() };
        if text.is_empty() {
            return self.out.push_str("/>");
        }
        self.out.push('>');
        self.out.push_str(&text.as_str());
        self.close(name);
    }

    fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// The rest of an element with attributes and children.
    fn members(&mut self, name: &str, object: &Object, depth: usize) -> Result<(), Fault> {
        let mut text = None;
        let mut children = Vec::new();
        for (key, member) in object.iter() {
            let scalar = !matches!(member.kind(), Kind::Array | Kind::Object);
            let key = lossy(&key).into_owned();
            match key.strip_prefix('-') {
                Some(attribute) if scalar && !attribute.is_empty() => {
                    let value = member.to_text();
                    self.out.extend([" ", attribute, "=\"", &value.as_str(), "\""]);
                }
                _ if scalar && key == "#text" => text = Some(member),
                _ => children.push((key, member)),
            }
        }
        if children.is_empty() {
            self.text(name, &text.unwrap_or_default());
            return Ok(());
        }
        self.out.push('>');
        if let Some(text) = text {
            self.out.push_str(&text.to_text().as_str());
        }
        for (key, member) in &children {
            deep(|| self.element(key, member, depth + 1))?;
        }
        self.line(depth);
        self.close(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named() {
        for (text, error) in [
            ("<a><b></a>", "xml.Decoder.Token() - XML syntax error on line 1: element <b> closed by </a>"),
            (
                "<a>\n&foo;</a>",
                "xml.Decoder.Token() - XML syntax error on line 1: invalid character entity &foo;",
            ),
            ("<a x=1/>", "XML syntax error on line 1: unquoted or missing attribute value in element"),
        ] {
            assert_eq!(xml::parse(text, false).unwrap_err(), error);
        }
        let bomb = "<a>".repeat(100_000);
        assert!(xml::parse(&bomb, false).unwrap_err().contains("nested"));
    }

    #[test]
    fn there_and_back() {
        let text = "<doc a=\"1\">\n  <x>1</x>\n  <x>\n    <y z=\"2\">t</y>\n  </x>\n  <w/>\n</doc>";
        let value = xml::parse(text, false).unwrap();
        let mut writer = Writer { cx: &mut Cx::detached(), indent: Some("  ".into()), out: String::new() };
        let doc = value.member(b"doc").unwrap();
        writer.element("doc", &doc, 0).unwrap();
        assert_eq!(
            writer.out,
            text.replace(
                "  <x>1</x>\n  <x>\n    <y z=\"2\">t</y>\n  </x>\n  <w/>",
                "  <w/>\n  <x>1</x>\n  <x>\n    <y z=\"2\">t</y>\n  </x>"
            )
        );
    }
}

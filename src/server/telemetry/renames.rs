//! `metrics.mapping`: a mapping that renames metrics, changes their labels, or drops them.

use std::{borrow::Cow, collections::BTreeMap};
use weir_bloblang::{Mapped, Message, Value};
use weir_core::{expression::Mapping, scratch::with_scratch};

/// A metric's labels, sorted by name.
pub(crate) type Labels<'a> = BTreeMap<Cow<'a, str>, Cow<'a, str>>;

/// The mapping of a service's config.
pub(crate) struct Renames(Mapping);

impl Renames {
    /// That of a text; an empty one is none.
    pub(crate) fn new(text: &str) -> Result<Option<Self>, String> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Mapping::parse(text)
            .map(|mapping| Some(Self(mapping)))
            .map_err(|error| format!("metrics.mapping: {error}"))
    }

    /// What a metric is called, and its labels; `None` where it is dropped. One that the mapping fails on keeps its
    /// name and loses its labels.
    pub(crate) fn apply<'a>(
        given: Option<&Self>,
        name: &'a str,
        labels: Labels<'a>,
    ) -> Option<(Cow<'a, str>, Labels<'a>)> {
        let Some(Self(mapping)) = given else { return Some((name.into(), labels)) };
        // A text that is no JSON could not be `this`.
        let mut message = Message::new(Value::from(name).to_json());
        for (label, value) in &labels {
            message.metadata_mut().set(label.as_ref(), Value::from(value.as_ref()));
        }
        let mapped = with_scratch(|scratch| mapping.map(std::slice::from_ref(&message), 0, scratch));
        let made = match mapped {
            Ok(Mapped::Dropped) => return None,
            Ok(Mapped::Message(made)) => made,
            Err(error) => {
                tracing::debug!("The mapping of metrics failed on '{name}': {error}");
                return Some((name.into(), Labels::new()));
            }
        };
        let renamed = match made.value() {
            Ok(value) => value.as_str().map(Cow::into_owned),
            // A text that the mapping made is the whole content.
            Err(_) => String::from_utf8(made.content().to_vec()).ok(),
        };
        let Some(renamed) = renamed else {
            tracing::debug!("The mapping of metrics gave no text for '{name}'");
            return Some((name.into(), labels));
        };
        let labels = made.metadata().iter();
        let labels = labels.map(|(label, value)| {
            (label.as_str().into_owned().into(), value.to_text().as_str().into_owned().into())
        });
        Some((renamed.into(), labels.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and labels after a mapping, as a text.
    fn renamed(mapping: &str) -> Option<String> {
        let labels = [("path", "root.input"), ("stream", "a")];
        let labels = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let renames = Renames::new(mapping).unwrap();
        let (name, labels) = Renames::apply(renames.as_ref(), "input_received", labels)?;
        let labels = labels.iter().map(|(name, value)| format!(" {name}={value}"));
        Some(format!("{name}{}", labels.collect::<String>()))
    }

    #[test]
    fn metrics_are_renamed_relabelled_and_dropped() {
        let cases = [
            ("root = \"x_\" + this", Some("x_input_received path=root.input stream=a")),
            ("meta path = deleted()\nmeta team = \"t\"", Some("input_received stream=a team=t")),
            ("root = this.replace_all(\"input\", @stream)", Some("a_received path=root.input stream=a")),
            ("root = if this.has_prefix(\"input\") { deleted() }", None),
            ("root = throw(\"no\")", Some("input_received")),
            ("root = 5", Some("input_received path=root.input stream=a")),
        ];
        for (mapping, expected) in cases {
            assert_eq!(renamed(mapping).as_deref(), expected, "{mapping}");
        }
        assert!(Renames::new("").unwrap().is_none());
        assert!(Renames::new("root = (").is_err());
    }
}

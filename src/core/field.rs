//! What a spec says about one field of a config. One declaration drives defaults, lint, docs and completions.

use crate::{kind::Kind, node::Node};

/// The type of a field's values.
#[derive(Debug, Clone, Copy)]
pub enum FieldType {
    /// Text; any scalar does.
    String,
    /// Text that is a duration such as `1h2m3.5s`.
    Duration,
    /// Text that is a Bloblang mapping or query.
    Mapping,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// True or false.
    Bool,
    /// Any value.
    Any,
    /// An object of these fields.
    Object(&'static [Field]),
    /// A child component.
    Component(Kind),
}

/// How a field holds its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// A list of them.
    List,
    /// A list of lists of them.
    ListOfLists,
    /// Named ones.
    Map,
}

/// Looks at a field's value, whatever its shape, and says what is wrong with it. It is asked about a list or map
/// as a whole and about each of its values.
pub type Check = fn(&Node) -> Vec<String>;

/// One field of a config.
#[allow(clippy::struct_excessive_bools, reason = "each is a word of the specs, set by its own builder")]
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its key; empty for the body of a component that is a single value.
    pub name: &'static str,
    /// Markdown, a sentence or more.
    pub doc: &'static str,
    /// The type of its values.
    pub ty: FieldType,
    /// How it holds them.
    pub shape: Shape,
    /// The default, as YAML.
    pub default: Option<&'static str>,
    /// Whether it may be absent without a default.
    pub optional: bool,
    /// Whether the docs fold it away.
    pub advanced: bool,
    /// Whether it is only kept for old configs.
    pub deprecated: bool,
    /// Whether its value is hidden wherever configs are shown.
    pub secret: bool,
    /// Whether its text may hold `${! }` expressions.
    pub interpolated: bool,
    /// The values it may have; empty: any.
    pub options: &'static [&'static str],
    /// Whether any other value is a lint; otherwise building finds out.
    pub closed: bool,
    /// A lint of its own.
    pub check: Option<Check>,
}

impl Field {
    /// A field of a type.
    pub const fn new(name: &'static str, doc: &'static str, ty: FieldType) -> Self {
        Self {
            name,
            doc,
            ty,
            shape: Shape::One,
            default: None,
            optional: false,
            advanced: false,
            deprecated: false,
            secret: false,
            interpolated: false,
            options: &[],
            closed: false,
            check: None,
        }
    }

    /// A text field.
    pub const fn string(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::String)
    }

    /// A duration such as `1s`.
    pub const fn duration(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Duration)
    }

    /// A Bloblang mapping or query.
    pub const fn mapping(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Mapping)
    }

    /// A whole number.
    pub const fn int(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Int)
    }

    /// A number.
    pub const fn float(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Float)
    }

    /// True or false.
    pub const fn bool(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Bool)
    }

    /// Any value.
    pub const fn any(name: &'static str, doc: &'static str) -> Self {
        Self::new(name, doc, FieldType::Any)
    }

    /// An object of fields.
    pub const fn object(name: &'static str, doc: &'static str, fields: &'static [Self]) -> Self {
        Self::new(name, doc, FieldType::Object(fields))
    }

    /// A child component of a kind.
    pub const fn component(name: &'static str, doc: &'static str, kind: Kind) -> Self {
        Self::new(name, doc, FieldType::Component(kind))
    }

    /// A child input.
    pub const fn input(name: &'static str, doc: &'static str) -> Self {
        Self::component(name, doc, Kind::Input)
    }

    /// A child output.
    pub const fn output(name: &'static str, doc: &'static str) -> Self {
        Self::component(name, doc, Kind::Output)
    }

    /// A child processor.
    pub const fn processor(name: &'static str, doc: &'static str) -> Self {
        Self::component(name, doc, Kind::Processor)
    }

    /// A list of child processors.
    pub const fn processors(name: &'static str, doc: &'static str) -> Self {
        Self::processor(name, doc).list()
    }

    /// A child scanner.
    pub const fn scanner(name: &'static str, doc: &'static str) -> Self {
        Self::component(name, doc, Kind::Scanner)
    }

    /// A child buffer.
    pub const fn buffer(name: &'static str, doc: &'static str) -> Self {
        Self::component(name, doc, Kind::Buffer)
    }

    /// A batch policy.
    pub const fn batching(name: &'static str, doc: &'static str) -> Self {
        Self::object(name, doc, BATCHING).optional()
    }

    /// Sets the default, written as YAML.
    #[must_use]
    pub const fn default(mut self, yaml: &'static str) -> Self {
        self.default = Some(yaml);
        self
    }

    /// May be absent.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// Folded away in the docs.
    #[must_use]
    pub const fn advanced(mut self) -> Self {
        self.advanced = true;
        self
    }

    /// Only kept for old configs.
    #[must_use]
    pub const fn deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    /// Hidden wherever configs are shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// Its text may hold `${! }` expressions.
    #[must_use]
    pub const fn interpolated(mut self) -> Self {
        self.interpolated = true;
        self
    }

    /// A list of such values.
    #[must_use]
    pub const fn list(mut self) -> Self {
        self.shape = Shape::List;
        self
    }

    /// A list of lists of such values.
    #[must_use]
    pub const fn list_of_lists(mut self) -> Self {
        self.shape = Shape::ListOfLists;
        self
    }

    /// Named values of this type.
    #[must_use]
    pub const fn map(mut self) -> Self {
        self.shape = Shape::Map;
        self
    }

    /// The only values it may have, compared without case: any other is a lint. Only for fields whose options the
    /// reference lints too; see [`suggestions`](Self::suggestions).
    #[must_use]
    pub const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self.closed = true;
        self
    }

    /// Values it may have that are documented but not linted.
    #[must_use]
    pub const fn suggestions(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// A lint of its own.
    #[must_use]
    pub const fn check(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// Whether a config without it is incomplete.
    pub const fn is_required(&self) -> bool {
        let by_type = !matches!(self.ty, FieldType::Component(_) | FieldType::Object(_))
            || matches!((self.ty, self.shape), (FieldType::Object(_), Shape::Map));
        by_type && self.default.is_none() && !self.optional && !self.deprecated
    }
}

/// The fields of a batch policy.
pub static BATCHING: &[Field] = &[
    Field::int("count", "Flush when this many messages are gathered; 0 disables this.").default("0"),
    Field::int("byte_size", "Flush when this many bytes are gathered; 0 disables this.").default("0"),
    Field::duration("period", "Flush an incomplete batch after this long, whatever its size.").default("''"),
    Field::mapping(
        "check",
        "A query that is asked of each added message, and whose `true` flushes the batch.",
    )
    .default("''"),
    Field::processors("processors", "Processors that each flushed batch goes through.").optional().advanced(),
];

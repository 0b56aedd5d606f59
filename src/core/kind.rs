//! The kinds of components.

use std::fmt;

/// A kind of component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Where messages come from.
    Input,
    /// What stands between input and pipeline.
    Buffer,
    /// A step of a pipeline.
    Processor,
    /// Where messages go.
    Output,
    /// A shared key-value store.
    Cache,
    /// A shared bound on how often something happens.
    RateLimit,
    /// How bytes are cut into messages.
    Scanner,
    /// Where metrics go.
    Metrics,
    /// Where spans go.
    Tracer,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::Buffer,
        Self::Processor,
        Self::Output,
        Self::Cache,
        Self::RateLimit,
        Self::Scanner,
        Self::Metrics,
        Self::Tracer,
    ];

    /// Its name in configs and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Buffer => "buffer",
            Self::Processor => "processor",
            Self::Output => "output",
            Self::Cache => "cache",
            Self::RateLimit => "rate_limit",
            Self::Scanner => "scanner",
            Self::Metrics => "metrics",
            Self::Tracer => "tracer",
        }
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Keys beside the component's own name that a component of this kind may have.
    pub const fn reserved(self) -> &'static [&'static str] {
        match self {
            Self::Input | Self::Output => &["type", "plugin", "meta", "label", "processors"],
            Self::Processor | Self::Cache | Self::RateLimit => &["type", "plugin", "meta", "label"],
            Self::Metrics => &["type", "plugin", "meta", "mapping"],
            Self::Buffer | Self::Scanner | Self::Tracer => &["type", "plugin", "meta"],
        }
    }

    /// The section of a config that holds resources of this kind.
    pub const fn resources(self) -> Option<&'static str> {
        match self {
            Self::Input => Some("input_resources"),
            Self::Processor => Some("processor_resources"),
            Self::Output => Some("output_resources"),
            Self::Cache => Some("cache_resources"),
            Self::RateLimit => Some("rate_limit_resources"),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

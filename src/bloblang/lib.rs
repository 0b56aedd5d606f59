//! The Bloblang mapping language: values, parser, compiler, evaluator.

#[cfg(test)]
mod catalogue;
mod compat;
mod compile;
#[cfg(feature = "compression")]
pub mod compression;
mod environment;
mod error;
mod eval;
#[cfg(test)]
mod findings;
mod functions;
#[cfg(test)]
mod generate;
mod interpolate;
mod json;
#[cfg(test)]
mod limits;
mod message;
mod metadata;
mod methods;
mod number;
mod object;
mod parse;
mod program;
#[cfg(test)]
mod properties;
pub mod replay;
mod schema;
pub mod spec;
mod stack;
mod text;
mod timestamp;
mod value;

pub use compat::regex::{compile as compile_regex, group_name as regex_group_name};
pub use compat::yaml::{is_float as is_yaml_float, unbroken_end as unbroken_yaml_end};
pub use environment::{Environment, Loader};
pub use error::Fault;
pub use eval::{Cx, Scratch, go_type};
pub use functions::set_variables;
pub use interpolate::Interpolated;
pub use json::{Doc, JsonError, Numbers, Unwritable};
pub use message::{Attachment, Context, Message, MessageError, SpanId, UNTAGGED};
pub use metadata::Metadata;
pub use methods::indented;
pub use number::{Narrow, Num, format_shortest};
pub use object::{Object, parse_object};
pub use parse::ParseError;
pub use program::{Class, Mapped, Mutated, Place, Plan, Program};
pub use schema::Schema;
pub use text::Text;
pub use timestamp::Timestamp;
pub use value::{ArrayProblem, Kind, PathError, Segment, Value, dot_path, split_dot_path};

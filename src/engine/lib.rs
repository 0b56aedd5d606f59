//! A stream assembled and run: components become nodes that work on frames, tasks pass the frames on, and the
//! whole ends in phases.
//!
//! [`Engine::build`] makes a [`Stream`] that opens nothing yet; [`Stream::start`] runs it. What is acknowledged,
//! replayed and counted is decided here, never in a component.

mod batching;
mod buffered;
mod builder;
mod chain;
mod families;
mod leaf_input;
mod leaf_output;
pub mod marks;
mod processed;
mod resources;
mod shop;
mod stream;
pub mod taps;
mod traced;

pub use builder::Engine;
pub use resources::{BuiltResource, Resources};
pub use stream::{End, Running, Stream};
pub use weir_core::view::View;

#[cfg(test)]
mod tests;

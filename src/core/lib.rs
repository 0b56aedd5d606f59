//! What every component and the engine share: messages in frames and their acknowledgement, the component
//! traits, configuration nodes, specs and lint. It knows no component and does no I/O.

pub use weir_bloblang as bloblang;

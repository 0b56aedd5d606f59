//! weir-engine.

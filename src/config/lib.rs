//! weir-config.

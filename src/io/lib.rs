//! weir-io.

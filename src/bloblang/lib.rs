//! weir-bloblang.

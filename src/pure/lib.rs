//! weir-pure.

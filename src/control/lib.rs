//! weir-control.

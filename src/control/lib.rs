//! What should run, and keeping it so: a durable store of desired state, a pure diff between that and what
//! runs, and a level-triggered reconciler. It knows an engine only through the traits of `runtime`.
//!
//! Invariants: an answered write is on disk; a write that fails changes nothing; one key is never reconciled twice
//! at once; a stream's failure, panic or slow stop delays no other stream.

mod checkpoints;
pub mod diff;
pub mod events;
mod fate;
pub mod files;
mod guard;
mod log;
pub mod ownership;
mod plan;
mod probation;
mod progress;
mod reconcile;
pub mod record;
mod restore;
pub mod runtime;
mod sealed;
pub mod service;
pub mod status;
pub mod store;
mod supervise;
mod table;
mod uses;
pub mod views;
mod write;

pub use reconcile::Options;
#[cfg(test)]
mod tests;

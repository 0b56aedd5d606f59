//! What became of generations: parts of their records.

use crate::record::Other;
use serde::{Deserialize, Serialize};

/// How a probation ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran as it should.
    Passed,
    /// It did not, for this reason.
    Failed(String),
}

/// What a new generation has to stand before it counts as healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Probation {
    /// How long it takes, in milliseconds.
    pub within: u64,
    /// Of a hundred messages of the generation before, those that had errors or were rejected.
    pub share_before: u64,
    /// How it ended; `None` while it goes on.
    pub outcome: Option<Outcome>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// Why a run is kept from starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Quarantined {
    /// The generation.
    pub generation: u64,
    /// The run's number.
    pub run: u64,
    /// Why.
    pub reason: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// Why an earlier generation was put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct RolledBack {
    /// The generation that failed its probation.
    pub from: u64,
    /// The generation that was put back.
    pub to: u64,
    /// How it failed.
    pub reason: String,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

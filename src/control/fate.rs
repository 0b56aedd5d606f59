//! What became of generations: parts of their records.

use crate::record::Other;
use serde::{Deserialize, Serialize};

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Past generations of each key.
    pub generations: u64,
    /// Revisions.
    pub revisions: u64,
    /// For how long both are kept at most, in milliseconds; zero is for ever.
    pub age: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { generations: 20, revisions: 1000, age: 0 }
    }
}

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

/// The API changed or deleted a stream that a file owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Override {
    /// Who did it.
    pub actor: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Why, if it was said.
    pub reason: Option<String>,
    /// When it ends by itself, in milliseconds since 1970.
    pub expires_at: Option<u64>,
    /// The generation that the file made.
    pub base: Option<u64>,
    /// Whether the stream was deleted: the record stays so that the file does not bring it back.
    pub deleted: bool,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

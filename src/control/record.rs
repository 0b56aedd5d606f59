//! What the store keeps: versioned records and their keys.

pub use crate::{
    fate::{Outcome, Override, Probation, Quarantined, Retention, RolledBack},
    sealed::{RecordError, newer, read, seal, unseal},
};

use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// The major version of every record written, its first field. A newer one is refused; unknown fields of this one are
/// kept.
pub const MAJOR: u32 = 1;

/// Fields that a later minor version wrote, carried along untouched.
pub type Other = BTreeMap<String, serde_json::Value>;

/// What a record describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A cache resource.
    Cache,
    /// A rate limit resource.
    RateLimit,
    /// A processor resource.
    Processor,
    /// An input resource.
    Input,
    /// An output resource.
    Output,
    /// A stream.
    #[default]
    Stream,
}

impl Kind {
    /// All of them, resources first: the order in which they start.
    pub const ALL: [Self; 6] =
        [Self::Cache, Self::RateLimit, Self::Processor, Self::Input, Self::Output, Self::Stream];

    /// Its name in paths and keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::RateLimit => "rate_limit",
            Self::Processor => "processor",
            Self::Input => "input",
            Self::Output => "output",
            Self::Stream => "stream",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// Names one stream or resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Stream, or which kind of resource.
    pub kind: Kind,
    /// Its identifier, free text.
    pub id: Arc<str>,
}

impl Key {
    /// A key of any kind.
    pub fn new(kind: Kind, id: impl Into<Arc<str>>) -> Self {
        Self { kind, id: id.into() }
    }

    /// It in a word, such as `cache:x`.
    pub fn name(&self) -> String {
        format!("{}:{}", self.kind.name(), self.id)
    }

    /// What is named so.
    pub fn parse(name: &str) -> Option<Self> {
        let (kind, id) = name.split_once(':')?;
        Some(Self::new(Kind::parse(kind)?, id))
    }

    /// The key of a stream.
    pub fn stream(id: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::Stream, id)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}'", self.kind.name(), self.id)
    }
}

/// How a text was submitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// YAML.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

/// Who decides what a stream should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Owner {
    /// The HTTP API.
    #[default]
    Api,
    /// A file.
    File {
        /// Its path as it was given.
        path: String,
        /// A fingerprint of its bytes when it was last taken over.
        hash: String,
    },
}

/// A file that could not be taken over; the last good text stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Rejected {
    /// A fingerprint of the bad file's bytes.
    pub hash: String,
    /// Why it was refused.
    pub error: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// Whether a stream should run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It should run.
    #[default]
    Running,
    /// It should not run but keep its position.
    Paused,
}

/// The wanted run: another number is another run of the same spec.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Run {
    /// Whether it should run.
    pub wanted: Wanted,
    /// Counts the runs asked for.
    pub number: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// The run that ended because its input ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Completed {
    /// The generation that ran.
    pub generation: u64,
    /// The run's number.
    pub run: u64,
    /// When it ended, in milliseconds since 1970.
    pub at: u64,
    /// How long it ran, in milliseconds.
    pub uptime: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// The write that made a generation: kept with it, so that its story needs no other record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Made {
    /// The revision.
    pub revision: u64,
    /// In milliseconds since 1970.
    pub time: u64,
    /// Who: a token's name, `file:PATH` or `anonymous`.
    pub actor: String,
    /// What was asked, such as `PUT`.
    pub verb: String,
    /// A remark of the actor.
    pub note: Option<String>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// What a stream or resource should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Desired {
    /// The record's major version.
    pub version: u32,
    /// What it is.
    pub kind: Kind,
    /// Its identifier.
    pub id: String,
    /// The text as submitted, variables unexpanded.
    pub text: String,
    /// How the text is written.
    pub format: Format,
    /// Accepted with lint errors: never linted again.
    pub chilled: bool,
    /// Of the canonical form: equal fingerprints are equal specs.
    pub fingerprint: String,
    /// Who decides.
    pub owner: Owner,
    /// The API's say over a file's stream.
    pub overridden: Option<Override>,
    /// The owner file's newest content, if it was refused.
    pub rejected: Option<Rejected>,
    /// Whether and how often it should run.
    pub run: Run,
    /// The run that ended by itself.
    pub completed: Option<Completed>,
    /// Checkpoints belong to this line of runs; zero when none may be taken over.
    pub lineage: u64,
    /// Counts the changes of this key's spec, across deletion and creation.
    pub generation: u64,
    /// The write that made this generation; unknown of those from before it was kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made: Option<Made>,
    /// The last generation before this one that ran as it should.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthy: Option<u64>,
    /// What this generation has to stand, or stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probation: Option<Probation>,
    /// It was put back after another generation failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// The run that is kept from starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Quarantined>,
    /// Of a past generation: the revision that deleted it. `None` when another generation followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<u64>,
    /// The revision that last changed it.
    pub revision: u64,
    /// In milliseconds since 1970.
    pub created_at: u64,
    /// In milliseconds since 1970.
    pub updated_at: u64,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

impl Desired {
    /// Its key.
    pub fn key(&self) -> Key {
        Key::new(self.kind, self.id.as_str())
    }

    /// The revision that made this generation.
    pub fn made_in(&self) -> u64 {
        self.made.as_ref().map_or(self.revision, |made| made.revision)
    }

    /// Why the wanted run is kept from starting, if it is.
    pub fn in_quarantine(&self) -> Option<&Quarantined> {
        let run = (self.generation, self.run.number);
        self.quarantined.as_ref().filter(|one| (one.generation, one.run) == run)
    }

    /// The past generations that others may go back to, whatever their age.
    pub fn spared(&self) -> [Option<u64>; 2] {
        [self.healthy, self.overridden.as_ref().and_then(|over| over.base)]
    }

    /// The probation that goes on.
    pub fn on_probation(&self) -> Option<&Probation> {
        self.probation.as_ref().filter(|probation| probation.outcome.is_none())
    }

    /// Whether it is listed: false for a file's stream that the API deleted.
    pub fn is_present(&self) -> bool {
        !self.overridden.as_ref().is_some_and(|o| o.deleted)
    }

    /// Whether there is anything to run: a file that was never any good has a record only to say why.
    pub fn has_spec(&self) -> bool {
        !self.fingerprint.is_empty()
    }

    /// Whether the wanted run has already ended by itself.
    pub fn is_completed(&self) -> bool {
        self.completed.as_ref().is_some_and(|c| c.generation == self.generation && c.run == self.run.number)
    }
}

/// What a change did to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// It did not exist.
    Create,
    /// It existed.
    Update,
    /// It is gone.
    Delete,
}

/// One change of a revision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// What.
    pub kind: Kind,
    /// Which.
    pub id: String,
    /// How.
    pub action: Verb,
    /// The generation before.
    pub before: Option<u64>,
    /// The generation after.
    pub after: Option<u64>,
}

/// One API call or one scan of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Revision {
    /// The record's major version.
    pub version: u32,
    /// Its number.
    pub revision: u64,
    /// In milliseconds since 1970.
    pub time: u64,
    /// Who: a token's name, `file:PATH` or `anonymous`.
    pub actor: String,
    /// What was asked, such as `PUT`.
    pub verb: String,
    /// A remark of the actor.
    pub note: Option<String>,
    /// What changed.
    pub changes: Vec<Changed>,
    /// Unknown fields.
    #[serde(flatten)]
    pub other: Other,
}

/// How far one component's source is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct StoredCheckpoint {
    /// The record's major version.
    pub version: u32,
    /// The stream.
    pub stream: String,
    /// The component's path.
    pub path: String,
    /// The line of runs it belongs to.
    pub lineage: u64,
    /// The component's own text.
    pub text: String,
}

/// The store's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Meta {
    /// The record's major version.
    pub version: u32,
    /// Counts every commit, checkpoints included.
    pub commit: u64,
    /// Counts the commits that changed what is desired.
    pub revision: u64,
}

/// The last generation of a deleted key, so that generations go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Grave {
    /// The record's major version.
    pub version: u32,
    /// What it was.
    pub kind: Kind,
    /// Its identifier.
    pub id: String,
    /// Its last generation.
    pub generation: u64,
    /// The revision that deleted it.
    pub revision: u64,
}

/// An identifier inside a key: no separator, no control character.
fn escape(id: &str) -> String {
    let mut out = String::with_capacity(id.len());
    for c in id.chars() {
        match c {
            '%' | '/' | '\0'..='\u{1f}' => {
                // Writing to a string cannot fail.
                let _written = write!(out, "%{:02X}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out
}

/// The keys of the store.
pub mod keys {
    use super::{Key, escape};

    /// Counters.
    pub const META: &str = "m/state";

    /// What is desired.
    pub fn desired(key: &Key) -> String {
        format!("d/{}/{}", key.kind.name(), escape(&key.id))
    }

    /// All revisions.
    pub const REVISIONS: &str = "r/";

    /// All past generations of all keys.
    pub const HISTORY: &str = "h/";

    /// All past generations of a key.
    pub fn history_of(key: &Key) -> String {
        format!("h/{}/{}/", key.kind.name(), escape(&key.id))
    }

    /// A past generation.
    pub fn history(key: &Key, generation: u64) -> String {
        format!("{}{generation:020}", history_of(key))
    }

    /// A revision.
    pub fn revision(revision: u64) -> String {
        format!("r/{revision:020}")
    }

    /// All checkpoints of a stream.
    pub fn checkpoints_of(stream: &str) -> String {
        format!("c/{}/", escape(stream))
    }

    /// A component's checkpoint.
    pub fn checkpoint(stream: &str, path: &str) -> String {
        format!("{}{}", checkpoints_of(stream), escape(path))
    }

    /// A deleted key's last generation.
    pub fn grave(key: &Key) -> String {
        format!("t/{}/{}", key.kind.name(), escape(&key.id))
    }
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// A duration in milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A stable 128-bit fingerprint (FNV-1a) of canonical bytes, in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    let hash = bytes.iter().fold(BASIS, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_survive_a_round_trip() {
        let json = r#"{"version":1,"id":"a","later":{"x":[1]},"run":{"wanted":"paused","number":3,"more":true},
            "owner":{"by":"file","path":"p","hash":"h"}}"#;
        let desired: Desired = serde_json::from_str(json).unwrap();
        assert_eq!(desired.run.wanted, Wanted::Paused);
        let again: Desired = read(&seal(&desired).unwrap()).unwrap();
        assert_eq!(again, desired);
        assert_eq!(again.other["later"], serde_json::json!({"x": [1]}));
        assert_eq!(again.run.other["more"], serde_json::json!(true));
    }

    #[test]
    fn ids_cannot_reach_into_each_others_keys() {
        let (a, b) = (Key::stream("a"), Key::stream("a/b"));
        assert!(!keys::history(&b, 1).starts_with(&keys::history_of(&a)));
        assert_ne!(keys::desired(&Key::stream("%2F")), keys::desired(&Key::stream("/")));
        assert_eq!(keys::desired(&Key::stream("é x")), "d/stream/é x");
    }

    #[test]
    fn fingerprints_are_stable() {
        assert_eq!(fingerprint(b""), "6c62272e07bb014262b821756295c58d");
        assert_ne!(fingerprint(b"a"), fingerprint(b"b"));
    }
}

//! The phases of streams as people see them.

use super::print::{BAD, SOON, WELL};

/// Each phase, its colour, and whether a stream stays in it until somebody changes something.
const PHASES: [(&str, &str, bool); 14] = [
    ("Pending", SOON, false),
    ("Starting", SOON, false),
    ("Running", WELL, false),
    ("Degraded", SOON, false),
    ("BackingOff", SOON, false),
    ("Paused", SOON, false),
    ("Stopping", SOON, false),
    ("Completed", WELL, true),
    ("Failed", BAD, true),
    ("Invalid", BAD, true),
    ("OnProbation", SOON, false),
    ("RolledBack", BAD, true),
    ("Quarantined", BAD, true),
    ("Stalled", BAD, false),
];

/// Their names.
pub(super) fn names() -> [&'static str; 14] {
    PHASES.map(|(name, _, _)| name)
}

/// The colour of a phase; none for what is no phase.
pub(super) fn colour(word: &str) -> Option<&'static str> {
    PHASES.iter().find_map(|(name, colour, _)| (*name == word).then_some(*colour))
}

/// Whether a stream stays in this phase by itself.
pub(super) fn is_final(word: &str) -> bool {
    PHASES.iter().any(|(name, _, last)| *name == word && *last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_control::status::Phase;

    #[test]
    fn every_phase_is_known() {
        // A new phase does not compile here until it is known above.
        let stays = |phase: Phase| match phase {
            Phase::Pending
            | Phase::Starting
            | Phase::Running
            | Phase::Degraded
            | Phase::BackingOff
            | Phase::Paused
            | Phase::Stopping
            | Phase::OnProbation
            | Phase::Stalled => false,
            Phase::Completed | Phase::Failed | Phase::Invalid | Phase::Quarantined | Phase::RolledBack => {
                true
            }
        };
        for phase in [Phase::BackingOff, Phase::Stalled, Phase::Quarantined, Phase::RolledBack] {
            let name = format!("{phase:?}");
            assert!(names().contains(&name.as_str()) && is_final(&name) == stays(phase), "{name}");
        }
    }
}

//! What differs between two texts, for people.

use similar::{ChangeTag, TextDiff};

/// The lines of both texts: those that are missing after `-`, those that are too many after `+`.
pub(super) fn lines(expected: &str, got: &str) -> String {
    let mut shown = String::new();
    for change in TextDiff::from_lines(expected, got).iter_all_changes() {
        shown.push_str(match change.tag() {
            ChangeTag::Delete => "- ",
            ChangeTag::Insert => "+ ",
            ChangeTag::Equal => "  ",
        });
        shown.push_str(change.value().trim_end_matches('\n'));
        shown.push('\n');
    }
    shown.truncate(shown.trim_end_matches('\n').len());
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_marked() {
        assert_eq!(super::lines("a\nb\n", "a\nc\n"), "  a\n- b\n+ c");
    }
}

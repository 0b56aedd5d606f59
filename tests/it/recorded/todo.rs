//! The list of cases that are known to fail: lines of `# reason`, each followed by the names it holds for.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

/// The reasons that are given when nobody has looked at a case yet.
pub(crate) const NOT_BUILT: &str = "component not built yet";
pub(crate) const DIFFERS: &str = "differs: to be done";

/// What a case is expected to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    Failure,
    /// Its outcome hangs on a clock.
    Either,
}

struct Entry {
    reason: String,
    either: bool,
}

/// The list, by case name.
#[derive(Default)]
pub(crate) struct Todo(BTreeMap<String, Entry>);

impl Todo {
    /// Reads the list; there may be none.
    pub(crate) fn read(path: &Path) -> Self {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::default(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    fn parse(text: &str) -> Self {
        let mut list = BTreeMap::new();
        let mut reason = String::new();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if let Some(text) = line.strip_prefix("# ") {
                text.clone_into(&mut reason);
                continue;
            }
            assert!(!reason.is_empty(), "todo.txt: {line} has no reason");
            let (name, either) = line.strip_prefix("? ").map_or((line, false), |name| (name, true));
            let before = list.insert(name.to_owned(), Entry { reason: reason.clone(), either });
            assert!(before.is_none(), "todo.txt: {name} is named twice");
        }
        Self(list)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn expects(&self, name: &str) -> Outcome {
        match self.0.get(name) {
            None => Outcome::Pass,
            Some(entry) if entry.either => Outcome::Either,
            Some(_) => Outcome::Failure,
        }
    }

    /// Takes in how a case went; a reason that somebody has written stays, and so do cases that may do either.
    pub(crate) fn note(&mut self, name: &str, passes: bool, reason: impl FnOnce() -> String) {
        let given = |text: &str| [NOT_BUILT, DIFFERS].into_iter().any(|end| text.ends_with(end));
        match self.0.get(name) {
            Some(entry) if entry.either || (!passes && !given(&entry.reason)) => {}
            _ if passes => drop(self.0.remove(name)),
            _ => drop(self.0.insert(name.to_owned(), Entry { reason: reason(), either: false })),
        }
    }

    fn text(&self) -> String {
        let mut groups = BTreeMap::<&str, Vec<String>>::new();
        for (name, entry) in &self.0 {
            let mark = if entry.either { "? " } else { "" };
            groups.entry(&entry.reason).or_default().push(format!("{mark}{name}\n"));
        }
        let sections = groups.iter().map(|(reason, names)| format!("# {reason}\n{}", names.concat()));
        sections.collect::<Vec<_>>().join("\n")
    }

    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.text()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn a_list_is_read_changed_and_written() {
    let mut todo = Todo::parse("# by hand\na\n? b\n\n# x y: differs: to be done\nc\nd\n");
    assert_eq!(todo.expects("a"), Outcome::Failure);
    assert_eq!(todo.expects("b"), Outcome::Either);
    assert_eq!(todo.expects("other"), Outcome::Pass);
    for (name, passes) in [("a", false), ("b", true), ("c", true), ("d", false), ("e", false), ("f", true)] {
        todo.note(name, passes, || format!("z: {NOT_BUILT}"));
    }
    assert_eq!(todo.text(), "# by hand\na\n? b\n\n# z: component not built yet\nd\ne\n");
}

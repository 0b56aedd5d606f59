//! What a mapping was compiled to, told to people: why it is fast, or slow.

use super::{Class, Place, Program};
use crate::compile::Expr;
use std::collections::BTreeMap;
use std::fmt;

/// A compiled mapping's plan; its text has a line for each part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How much of a message it touches.
    pub class: Class,
    /// What it may read of the message.
    pub reads: Vec<Place>,
    /// What it may write of the message.
    pub writes: Vec<Place>,
    /// Values that were found at compile time, as JSON.
    pub folded: Vec<String>,
    /// The functions and methods that are called for each message, and how often they stand there.
    pub calls: BTreeMap<&'static str, usize>,
    /// Those that depend on or change something outside the message.
    pub impure: Vec<&'static str>,
    /// Those that may take long, so that it runs apart from the stream's other work.
    pub blocking: Vec<&'static str>,
}

impl Program {
    /// What it was compiled to.
    pub fn plan(&self) -> Plan {
        let (mut folded, mut calls) = (Vec::new(), BTreeMap::new());
        let (mut impure, mut blocking) = (Vec::new(), Vec::new());
        let mut expr = |expr: &Expr| match expr {
            Expr::Folded(value) => folded.push(value.0.to_json()),
            Expr::Call(call) => {
                let spec = call.spec;
                *calls.entry(spec.name).or_default() += 1;
                for (all, is_so) in [(&mut impure, spec.traits.impure), (&mut blocking, spec.traits.blocks)] {
                    if is_so && !all.contains(&spec.name) {
                        all.push(spec.name);
                    }
                }
            }
            _ => {}
        };
        let maps = self.mapping.maps.iter().flat_map(|map| map.statements.iter());
        self.mapping
            .statements
            .iter()
            .chain(maps)
            .for_each(|statement| statement.walk(&mut |_| {}, &mut expr));
        let (reads, writes) = (distinct(self.reads()), distinct(self.writes()));
        Plan { class: self.class(), reads, writes, folded, calls, impure, blocking }
    }
}

/// Without those that another contains.
fn distinct(places: Vec<Place>) -> Vec<Place> {
    let mut kept: Vec<Place> = Vec::new();
    for place in places {
        if !kept.contains(&place) {
            kept.push(place);
        }
    }
    kept
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = match self.class {
            Class::Metadata => "metadata: the content goes on as it came, and is parsed only if it is read",
            Class::Root => "whole: the content is replaced at once, dropped, or goes on as it came",
            Class::Projection => "projection: a new document is built from what is read",
            Class::Edit => "edit: the document stays, only what is assigned is copied and changed",
        };
        let shown = |root: &str, places: &[Place]| {
            let one = |place: &Place| match (place.metadata, place.path.join(".")) {
                (true, path) if path.is_empty() => "all metadata".to_owned(),
                (true, path) => format!("@{path}"),
                (false, path) if path.is_empty() => root.to_owned(),
                (false, path) => format!("{root}.{path}"),
            };
            places.iter().map(one).collect::<Vec<_>>().join(", ")
        };
        let counted = |(name, count): (&&str, &usize)| match count {
            1 => (*name).to_owned(),
            count => format!("{name} ({count} times)"),
        };
        writeln!(f, "class     {class}")?;
        for (part, text) in [
            ("reads", shown("this", &self.reads)),
            ("writes", shown("root", &self.writes)),
            ("folded", self.folded.join(", ")),
            ("calls", self.calls.iter().map(counted).collect::<Vec<_>>().join(", ")),
            ("impure", self.impure.join(", ")),
            ("apart", self.blocking.join(", ")),
        ] {
            writeln!(f, "{part:10}{}", if text.is_empty() { "nothing" } else { &text })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{Environment, Program};

    #[test]
    fn a_plan_says_what_a_mapping_costs() {
        let source = "root = this\nroot.a = [this.b.uppercase(), 1 + 2]\nmeta n = count(\"c\")";
        let plan = Program::parse(source, &Environment::new()).unwrap().plan();
        assert_eq!(
            plan.to_string(),
            "class     edit: the document stays, only what is assigned is copied and changed\n\
             reads     this, this.b\n\
             writes    root, root.a, @n\n\
             folded    3\n\
             calls     count, uppercase\n\
             impure    count\n\
             apart     nothing\n"
        );
    }
}

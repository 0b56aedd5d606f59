//! Which parts of messages a mapping reads and writes, as far as can be told without running it.

use super::Program;
use crate::compile::{Base, Call, Expr, Key, Maps, Statement, Target, Test};
use crate::spec::Arg;
use crate::value::{Segment, Value, split_dot_path};

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whether it is in the metadata, not in the content.
    pub metadata: bool,
    /// Where; empty: all of it.
    pub path: Vec<String>,
}

impl Place {
    /// Whether this contains all of the other.
    pub fn contains(&self, other: &Self) -> bool {
        self.metadata == other.metadata && other.path.starts_with(&self.path)
    }

    fn content(path: &[Segment]) -> Self {
        Self { metadata: false, path: Vec::new() }.below(path)
    }

    fn metadata(key: Option<&str>) -> Self {
        Self { metadata: true, path: key.map(str::to_owned).into_iter().collect() }
    }

    fn below(mut self, path: &[Segment]) -> Self {
        self.path.extend(path.iter().map(|segment| segment.text().as_str().into_owned()));
        self
    }
}

impl Program {
    /// What it may read of the message; `content()` is not counted.
    pub fn reads(&self) -> Vec<Place> {
        let mut reader = Reader {
            maps: &self.mapping.maps,
            found: Vec::new(),
            this: vec![vec![Place::content(&[])]],
            named: Vec::new(),
            within: Vec::new(),
            left: MOST,
        };
        reader.statements(&self.mapping.statements);
        reader.found
    }

    /// What it may write of the message.
    pub fn writes(&self) -> Vec<Place> {
        let mut places = Vec::new();
        let mut written = |statement: &Statement| {
            let Statement::Assign { target, .. } = statement else { return };
            places.extend(match target {
                Target::Root => Some(Place::content(&[])),
                Target::Path(path) => Some(Place::content(path)),
                Target::Metadata(key) => {
                    Some(Place::metadata(key.as_ref().map(|key| key.as_str()).as_deref()))
                }
                Target::Variable(_) => None,
            });
        };
        self.mapping.statements.iter().for_each(|statement| statement.walk(&mut written, &mut |_| {}));
        places
    }
}

/// Most expressions looked at: maps that apply maps multiply.
const MOST: usize = 20_000;
/// Most places that one value may come from: alternatives multiply too.
const MOST_AT_ONCE: usize = 32;

/// Walks expressions with the places that their contexts stand for.
struct Reader<'a> {
    maps: &'a Maps,
    found: Vec<Place>,
    /// What `this` is, innermost last.
    this: Vec<Vec<Place>>,
    /// What lambdas captured, innermost last.
    named: Vec<(String, Vec<Place>)>,
    /// The maps being applied.
    within: Vec<String>,
    left: usize,
}

impl Reader<'_> {
    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { value, .. } => drop(self.expr(value)),
                Statement::If { branches, .. } => {
                    for (condition, statements) in branches {
                        condition.iter().for_each(|condition| drop(self.expr(condition)));
                        self.statements(statements);
                    }
                }
            }
        }
    }

    /// Notes what an expression reads and gives the places that its value may come from.
    fn expr(&mut self, expr: &Expr) -> Vec<Place> {
        let Some(left) = self.left.checked_sub(1) else { return Vec::new() };
        self.left = left;
        match expr {
            Expr::Field(field) => {
                let base = match &field.base {
                    Base::This => self.this.last().cloned(),
                    Base::Root => None,
                    Base::Named(_, name) => self
                        .named
                        .iter()
                        .rfind(|(known, _)| known == &**name)
                        .map(|(_, places)| places.clone()),
                };
                self.read(base.unwrap_or_default(), &field.path)
            }
            Expr::Get(get) => {
                let target = self.expr(&get.0);
                self.read(target, &get.1)
            }
            Expr::Metadata(key) => self.read(vec![Place::metadata(key.as_deref())], &[]),
            Expr::Map(map) => {
                let target = self.expr(&map.0);
                self.on(target, &map.1)
            }
            Expr::Lambda(lambda) => {
                let captured = self.this.pop().unwrap_or_default();
                let name = lambda.name.as_deref().unwrap_or_default().to_owned();
                self.named.push((name, captured.clone()));
                let places = self.expr(&lambda.body);
                self.named.pop();
                self.this.push(captured);
                places
            }
            Expr::If(chain) => {
                let mut places = Vec::new();
                for branch in &chain.0 {
                    self.expr(&branch.condition);
                    places.extend(self.expr(&branch.value));
                }
                places.extend(chain.1.iter().flat_map(|other| self.expr(other)));
                places
            }
            Expr::Match(chain) => {
                let target = match &chain.0 {
                    Some(target) => self.expr(target),
                    None => self.this.last().cloned().unwrap_or_default(),
                };
                let mut places = Vec::new();
                for case in &chain.1 {
                    if let Test::Query(test) = &case.test {
                        self.on(target.clone(), test);
                    }
                    places.extend(self.on(target.clone(), &case.value));
                }
                places
            }
            Expr::Binary(binary) => {
                let mut places = self.expr(&binary.left);
                places.extend(self.expr(&binary.right));
                places
            }
            Expr::Call(call) => self.call(call),
            Expr::Not(inner) => self.expr(inner),
            Expr::Array(items) => items.iter().flat_map(|item| self.expr(item)).collect(),
            Expr::Object(members) => {
                for (key, value) in members {
                    if let Key::Query(key) = key {
                        self.expr(key);
                    }
                    self.expr(value);
                }
                Vec::new()
            }
            Expr::Literal(_) | Expr::Folded(_) | Expr::Variable(..) => Vec::new(),
        }
    }

    fn call(&mut self, call: &Call) -> Vec<Place> {
        let text = match call.args.first() {
            Some(Arg::Value(Value::String(text))) => Some(text.as_str()).filter(|text| !text.is_empty()),
            _ => None,
        };
        let Some(target) = &call.target else {
            self.arguments(call, None);
            return match (call.spec.name, text) {
                ("json", None) => self.read(vec![Place::content(&[])], &[]),
                ("json", Some(path)) => self.read(vec![Place::content(&split_dot_path(&path))], &[]),
                ("meta" | "metadata" | "root_meta", key) => {
                    self.read(vec![Place::metadata(key.as_deref())], &[])
                }
                _ => Vec::new(),
            };
        };
        let target = self.expr(&target.0);
        match call.spec.name {
            "apply" => self.apply(text.as_deref().unwrap_or_default(), target.clone()),
            "or" => self.arguments(call, None),
            // The fallback sees the error's text.
            "catch" => self.arguments(call, Some(&Vec::new())),
            _ => self.arguments(call, Some(&target)),
        }
        target
    }

    /// Queries as arguments run on something made of the target, or where the call stands.
    fn arguments(&mut self, call: &Call, target: Option<&Vec<Place>>) {
        for argument in &call.args {
            match (argument, target) {
                (Arg::Query(query), Some(target)) => drop(self.on(target.clone(), &query.0)),
                (Arg::Query(query) | Arg::Dynamic(query), _) => drop(self.expr(&query.0)),
                (Arg::Absent | Arg::Value(_), _) => {}
            }
        }
    }

    fn apply(&mut self, name: &str, target: Vec<Place>) {
        let maps = self.maps;
        let Some(map) = maps.get(name).filter(|_| !self.within.iter().any(|known| known == name)) else {
            return;
        };
        self.within.push(name.to_owned());
        self.this.push(target);
        self.statements(&map.statements);
        self.this.pop();
        self.within.pop();
    }

    /// An expression with these places as its context.
    fn on(&mut self, context: Vec<Place>, expr: &Expr) -> Vec<Place> {
        self.this.push(context);
        let places = self.expr(expr);
        self.this.pop();
        places
    }

    fn read(&mut self, base: Vec<Place>, path: &[Segment]) -> Vec<Place> {
        let places: Vec<Place> = base.into_iter().take(MOST_AT_ONCE).map(|place| place.below(path)).collect();
        self.found.extend_from_slice(&places);
        places
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    fn shown(places: &[Place]) -> String {
        let text =
            |place: &Place| format!("{}{}", if place.metadata { "@" } else { "." }, place.path.join("."));
        places.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_and_writes() {
        for (source, reads, writes) in [
            ("root = this", ".", "."),
            ("root.a.b = this.c.d.uppercase()\nmeta x = @y", ".c.d @y", ".a.b @x"),
            ("let v = this.a\nif this.b == 1 { meta = {\"k\": $v} }", ".a .b", "@"),
            ("root = json(\"a.b\").get(\"c\") + metadata(\"k\").string()", ".a.b .a.b.c @k", "."),
            ("root = this.a.(this.b | x -> x.c)", ".a .a.b .a.c", "."),
            ("root = this.list.map_each(item -> item.id + this.n)", ".list .list.id .n", "."),
            ("root = match this.a { this.b > 1 => this.c, _ => 0 }", ".a .a.b .a.c", "."),
            ("root = this.a.or(this.b).catch(this.c)", ".a .b", "."),
            ("root = this.a.replace_all(this.b, \"\")", ".a .b", "."),
            ("map m { root = this.x.apply(\"m\") }\nroot = this.a.apply(\"m\")", ".a .a.x", "."),
            ("root = {\"a\": [this.a], (this.k): content()}", ".a .k", "."),
            ("root.a = root.b", "", ".a"),
        ] {
            let program = Program::parse(source, &Environment::new()).unwrap();
            assert_eq!(shown(&program.reads()), reads, "{source}");
            assert_eq!(shown(&program.writes()), writes, "{source}");
        }
    }

    #[test]
    fn what_multiplies_has_an_end() {
        let maps = |n: usize| {
            format!("map m{n} {{ root = [this.a.apply(\"m{0}\"), this.b.apply(\"m{0}\")] }}\n", n + 1)
        };
        let source = (0..40).map(maps).collect::<String>() + "root = this.apply(\"m0\")";
        for source in [source, format!("root = this{}", ".([this.a, this.b])".repeat(60))] {
            let program = Program::parse(&source, &Environment::new()).unwrap();
            assert!(program.reads().len() <= MOST * MOST_AT_ONCE, "{source}");
        }
    }
}

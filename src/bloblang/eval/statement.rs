//! Statements and maps.

use super::{Cx, MAX_MAPS, This, Variable, go};
use crate::compile::{Base, Expr, Map, Statement, StatementBranch, Target};
use crate::error::Fault;
use crate::object::Object;
use crate::parse::Mapping;
use crate::text::Text;
use crate::value::{Kind, Segment, Value};

/// Stack that must be left to enter a map, in bytes, and what is added if it is not.
const STACK_LEFT: usize = 1024 * 1024;
const STACK_MORE: usize = 16 * 1024 * 1024;
/// Members that a document built field by field gets room for.
const MEMBERS: usize = 8;
/// Units of work that entering a map is.
const MAP_COST: u64 = 10;

impl Cx<'_> {
    /// Runs statements; an error names the line of its statement.
    pub(crate) fn execute(&mut self, statements: &[Statement]) -> Result<(), Fault> {
        for statement in statements {
            let mut result = self.statement(statement);
            if self.fuel == 0 {
                result = Err(super::exhausted());
            }
            if let Err(fault) = result {
                let (Statement::Assign { line, .. } | Statement::If { line, .. }) = statement;
                return Err(fault.at_line(*line));
            }
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement) -> Result<(), Fault> {
        match statement {
            Statement::Assign { target, value: expr, .. } => {
                let value = self.run(expr)?;
                match target {
                    _ if matches!(value, Value::Nothing) => Ok(()),
                    Target::Variable(slot) => {
                        self.assign_variable(*slot, expr, value);
                        Ok(())
                    }
                    target => self.assign(target, value),
                }
            }
            Statement::If { branches, .. } => self.conditional(branches),
        }
    }

    fn conditional(&mut self, branches: &[StatementBranch]) -> Result<(), Fault> {
        for (n, (condition, statements)) in branches.iter().enumerate() {
            if let Some(condition) = condition {
                let result = self.run(condition);
                let value = result
                    .map_err(|fault| fault.context(format!("failed to check if condition {}", n + 1)))?;
                match value.as_bool() {
                    Some(true) => {}
                    Some(false) => continue,
                    None => return Err(go::not_a_bool(condition, &value)),
                }
            }
            return statements.iter().try_for_each(|statement| self.statement(statement));
        }
        Ok(())
    }

    fn assign(&mut self, target: &Target, value: Value) -> Result<(), Fault> {
        match target {
            Target::Root => {
                self.keep_tree();
                self.root = Some(value);
                Ok(())
            }
            Target::Path(path) => self.assign_path(path, value),
            Target::Metadata(key) => self.assign_metadata(key.as_ref(), value),
            Target::Variable(_) => Ok(()),
        }
    }

    fn assign_variable(&mut self, slot: u32, expr: &Expr, value: Value) {
        let variable = match value {
            Value::Delete => None,
            value => Some(match self.aliased(expr, &value) {
                Some(path) => Variable::Alias(path),
                None => Variable::Value(value),
            }),
        };
        if let Some(known) = self.variables.as_mut().and_then(|all| all.get_mut(slot as usize)) {
            *known = variable;
        }
    }

    /// The path in the tree under mutation that an expression leads to, if what is there can be edited.
    fn aliased(&self, expr: &Expr, value: &Value) -> Option<Box<[Segment]>> {
        if !matches!(self.tree, Some(This::Root)) || !self.below.is_empty() {
            return None;
        }
        if let Expr::Variable(slot, _) = expr
            && let Some(Some(Variable::Alias(path))) = self.variables.as_ref()?.get(*slot as usize)
        {
            return Some(path.clone());
        }
        let Expr::Field(field) = expr else { return None };
        let live = match field.base {
            Base::This => matches!(self.this, This::Root),
            Base::Root => true,
            Base::Named(..) => false,
        };
        let edited = matches!(value.kind(), Kind::Object | Kind::Array);
        let gathered = field.path.iter().any(|segment| segment.text().as_bytes() == b"*");
        (live && edited && !gathered).then(|| field.path.clone())
    }

    /// Before a write at `path`: variables whose container it replaces keep what they hold.
    fn freeze(&mut self, path: &[Segment], deletes: bool) {
        let Some(variables) = &mut self.variables else { return };
        let Some(root) = self.below.first().unwrap_or(&self.root) else { return };
        let same = |a: &Segment, b: &Segment| a.text() == b.text();
        for variable in variables.iter_mut().flatten() {
            let Variable::Alias(alias) = variable else { continue };
            let common = path.iter().zip(alias.iter()).take_while(|(a, b)| same(a, b)).count();
            let replaced = common == path.len();
            // An item appended makes a new array, one deleted moves those behind it.
            let appended =
                common == alias.len() && path.get(common).is_some_and(|next| next.text().as_bytes() == b"-");
            let moved = deletes && common + 1 == path.len();
            if replaced || appended || moved {
                *variable = Variable::Value(root.get_path(alias).unwrap_or_default());
            }
        }
    }

    fn assign_path(&mut self, path: &[Segment], value: Value) -> Result<(), Fault> {
        let replaces = match self.root.as_ref().map(Value::kind) {
            Some(Kind::Null | Kind::Nothing) | None => true,
            Some(Kind::Array) => path.first().is_some_and(|segment| segment.text().as_bytes() == b"-"),
            Some(_) => false,
        };
        let deletes = matches!(value, Value::Delete);
        self.charge(64)?;
        if replaces {
            self.keep_tree();
        } else if matches!(self.tree, Some(This::Root)) && self.below.is_empty() {
            self.freeze(path, deletes);
        }
        let root = self.root.get_or_insert(Value::Nothing);
        if matches!(root.kind(), Kind::Null | Kind::Nothing) {
            *root = Value::object(Object::with_capacity(MEMBERS));
        }
        if deletes {
            root.delete_path(path);
            return Ok(());
        }
        root.set_path(path, value).map_err(|error| Fault::new(error.to_string()))
    }

    /// Before a mutation replaces its root: `this` and `json()` go on seeing the old tree.
    fn keep_tree(&mut self) {
        if !self.below.is_empty() || !matches!(self.tree, Some(This::Root)) {
            return;
        }
        self.freeze(&[], false);
        let Some(root) = &self.root else { return };
        let old = This::Value(root.clone());
        for this in self.outer.iter_mut().chain([&mut self.this]) {
            if matches!(this, This::Root) {
                *this = old.clone();
            }
        }
        self.tree = Some(old);
    }

    fn assign_metadata(&mut self, key: Option<&Text>, value: Value) -> Result<(), Fault> {
        if !self.below.is_empty() {
            return Err(Fault::new("unable to assign metadata in the current context"));
        }
        let Some(metadata) = &mut self.metadata else {
            return Err(Fault::new("unable to assign metadata in the current context"));
        };
        match (key, value) {
            (Some(key), Value::Delete) => {
                metadata.remove(&key.as_str());
            }
            (Some(key), value) => {
                value.weigh().map_err(|excess| Fault::new(excess.to_string()))?;
                metadata.set(key.clone(), value);
            }
            (None, Value::Delete) => metadata.clear(),
            (None, value) => {
                let Some(object) = value.to_object() else {
                    let kind = go::go_type(&value);
                    return Err(Fault::new(format!(
                        "setting root meta object requires object value, received: {kind}"
                    )));
                };
                value.weigh().map_err(|excess| Fault::new(excess.to_string()))?;
                metadata.clear();
                for (key, value) in object.iter() {
                    metadata.set(Text::from(key), value);
                }
            }
        }
        Ok(())
    }

    /// Applies a named map to a value.
    pub(super) fn apply(&mut self, name: &str, value: Value) -> Result<Value, Fault> {
        let map = self.maps.get(name).ok_or_else(|| Fault::new(format!("map {name} was not found")))?;
        self.spend(MAP_COST)?;
        if self.depth >= MAX_MAPS {
            return Err(Fault::too_many_maps(&map.describe(), MAX_MAPS));
        }
        self.depth += 1;
        let result = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || self.enter(map, value));
        self.depth -= 1;
        result
    }

    /// Runs a mapping of its own on a value, without message, metadata or anything of this one.
    pub(super) fn embed(&mut self, mapping: &Mapping, value: Value) -> Result<Value, Fault> {
        self.spend(MAP_COST)?;
        if self.depth >= MAX_MAPS {
            return Err(Fault::too_many_maps("", MAX_MAPS));
        }
        let mut inner = Cx::query(&[], 0);
        inner.maps = &mapping.maps;
        inner.variables = Some(std::iter::repeat_with(|| None).take(mapping.variables.len()).collect());
        inner.root = Some(Value::Nothing);
        inner.below.push(None);
        inner.this = This::Value(value);
        inner.depth = self.depth + 1;
        inner.fuel = self.fuel;
        inner.memory = self.memory;
        let result = stacker::maybe_grow(STACK_LEFT, STACK_MORE, || inner.execute(&mapping.statements));
        self.fuel = inner.fuel;
        self.memory = inner.memory;
        match result {
            Ok(()) => Ok(inner.root.unwrap_or(Value::Nothing)),
            Err(fault) => Err(fault.innermost_line()),
        }
    }

    fn enter(&mut self, map: &Map, value: Value) -> Result<Value, Fault> {
        let variables = self.variables.replace(std::iter::repeat_with(|| None).take(map.variables).collect());
        self.below.push(self.root.replace(Value::Nothing));
        let result = self.within(value, |cx| cx.execute(&map.statements));
        let built = std::mem::replace(&mut self.root, self.below.pop().flatten());
        self.variables = variables;
        match result {
            Ok(()) => Ok(built.unwrap_or(Value::Nothing)),
            Err(fault) => Err(fault.innermost_line()),
        }
    }
}

//! Expressions.

use smallvec::SmallVec;

use super::{Cx, This, Variable, go, operators};
use crate::compile::coerce;
use crate::compile::{Base, Binary, Branch, Call, Case, Expr, Field, Key, Lambda, Operator, Test};
use crate::error::Fault;
use crate::object::Object;
use crate::spec::{Arg, Args, Body, ParamKind, Params};
use crate::text::Text;
use crate::value::{Kind, Value};

impl Cx<'_> {
    /// The value of an expression.
    pub(crate) fn run(&mut self, expr: &Expr) -> Result<Value, Fault> {
        match expr {
            Expr::Literal(value) => Ok(value.clone()),
            Expr::Folded(folded) => Ok(folded.0.clone()),
            Expr::Field(field) => self.field(field),
            Expr::Get(get) => {
                let value = self.run(&get.0)?;
                self.reach(&value, &get.1)
            }
            Expr::Variable(slot, name) => self.variable(*slot, name),
            Expr::Metadata(key) => self.new_metadata(key.as_deref()),
            Expr::Array(items) => self.array(items),
            Expr::Object(members) => self.object(members),
            Expr::Not(inner) => self.not(inner),
            Expr::Binary(binary) => self.binary(binary),
            Expr::If(chain) => self.condition(&chain.0, chain.1.as_ref()),
            Expr::Match(chain) => self.matching(chain.0.as_ref(), &chain.1),
            Expr::Lambda(lambda) => self.lambda(lambda),
            Expr::Map(map) => {
                let value = self.run(&map.0)?;
                self.call_expr(&map.1, value)
            }
            Expr::Call(call) => self.call_spec(call),
        }
    }

    /// Runs an expression with a value as its context.
    #[inline]
    pub(super) fn call_expr(&mut self, expr: &Expr, value: Value) -> Result<Value, Fault> {
        let Expr::Lambda(lambda) = expr else { return self.within(value, |cx| cx.run(expr)) };
        if lambda.name.is_none() {
            return self.run(&lambda.body);
        }
        self.names.push(value);
        let result = self.run(&lambda.body);
        self.names.pop();
        result
    }

    /// A lambda where no value was given: it captures the context, and sees the one that this covers.
    fn lambda(&mut self, lambda: &Lambda) -> Result<Value, Fault> {
        let value = self.this(&[]).cloned().map_err(|fault| {
            fault.context(format!("failed to capture context {}", lambda.name.as_deref().unwrap_or("_")))
        })?;
        let covered = self.outer.pop().map(|outer| std::mem::replace(&mut self.this, outer));
        if lambda.name.is_some() {
            self.names.push(value);
        }
        let result = self.run(&lambda.body);
        if lambda.name.is_some() {
            self.names.pop();
        }
        if let Some(covered) = covered {
            self.outer.push(std::mem::replace(&mut self.this, covered));
        }
        result
    }

    fn field(&mut self, field: &Field) -> Result<Value, Fault> {
        let base = match &field.base {
            Base::This => self.this(&field.path)?,
            Base::Root => {
                let root = self.root.as_ref();
                root.ok_or_else(|| Fault::new("unable to reference `root` from this context"))?
            }
            Base::Named(above, name) => {
                let at = self.names.len().checked_sub(above + 1);
                let value = at.and_then(|at| self.names.get(at));
                value.ok_or_else(|| Fault::new(format!("named context {name} was not found")))?
            }
        };
        if base.multiplies(&field.path) {
            let base = base.clone();
            return self.reach(&base, &field.path);
        }
        Ok(base.get_path(&field.path).unwrap_or_default())
    }

    fn variable(&mut self, slot: u32, name: &str) -> Result<Value, Fault> {
        let Some(variables) = &self.variables else { return Err(Fault::new("variables were undefined")) };
        match variables.get(slot as usize) {
            Some(Some(Variable::Value(value))) => Ok(value.clone()),
            Some(Some(Variable::Alias(path))) => {
                Ok(self.base_root().and_then(|root| root.get_path(path)).unwrap_or_default())
            }
            _ => Err(Fault::new(format!("variable '{name}' undefined"))),
        }
    }

    fn new_metadata(&mut self, key: Option<&str>) -> Result<Value, Fault> {
        let Some(metadata) = &self.metadata else {
            return Err(Fault::new("metadata cannot be queried in this context"));
        };
        if let Some(key) = key {
            return Ok(metadata.get(key).cloned().unwrap_or_default());
        }
        let mut object = Object::with_capacity(metadata.len());
        for (key, value) in metadata.iter() {
            object.insert(key.clone(), value.clone());
        }
        Ok(Value::object(object))
    }

    fn array(&mut self, items: &[Expr]) -> Result<Value, Fault> {
        self.charge(40 + 24 * items.len())?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let value = self.run(item)?;
            if !matches!(value, Value::Delete | Value::Nothing) {
                values.push(value);
            }
        }
        Ok(Value::from(values))
    }

    fn object(&mut self, members: &[(Key, Expr)]) -> Result<Value, Fault> {
        self.charge(40 + 64 * members.len())?;
        let mut object = Object::with_capacity(members.len());
        for (key, value) in members {
            let key = match key {
                Key::Literal(key) => key.clone(),
                Key::Query(query) => {
                    let key = self.run(query).map_err(|fault| fault.context("failed to resolve key"))?;
                    match key.kind() {
                        Kind::String | Kind::Bytes => Text::from(key.as_bytes().unwrap_or_default()),
                        _ => {
                            let kind = go::go_type(&key);
                            return Err(Fault::new(format!("mapping returned invalid key type: {kind}")));
                        }
                    }
                }
            };
            let value =
                self.run(value).map_err(|fault| fault.context(format!("failed to resolve '{key}' value")))?;
            if !matches!(value, Value::Delete | Value::Nothing) {
                object.insert(key, value);
            }
        }
        Ok(Value::object(object))
    }

    fn not(&mut self, inner: &Expr) -> Result<Value, Fault> {
        let value = self.run(inner)?;
        match value.as_bool() {
            Some(truth) => Ok(Value::Bool(!truth)),
            None => Err(Fault::expected("bool", &value).from_source(&inner.source())),
        }
    }

    fn binary(&mut self, binary: &Binary) -> Result<Value, Fault> {
        match binary.operator {
            Operator::Coalesce => match self.run(&binary.left) {
                Ok(value) if !value.is_absent() => Ok(value),
                _ => self.run(&binary.right),
            },
            Operator::And => Ok(Value::Bool(self.truth(&binary.left)? && self.truth(&binary.right)?)),
            Operator::Or => Ok(Value::Bool(self.truth(&binary.left)? || self.truth(&binary.right)?)),
            operator => {
                let left = self.run(&binary.left)?;
                // A literal is looked at where it stands.
                if let Some(right) = binary.right.literal() {
                    let value = operators::operate(operator, &left, right, &binary.left, &binary.right)?;
                    return self.keep(value);
                }
                let right = self.run(&binary.right)?;
                if matches!(operator, Operator::Equal | Operator::NotEqual) {
                    self.walk(&left)?;
                }
                let value = operators::operate(operator, &left, &right, &binary.left, &binary.right)?;
                self.keep(value)
            }
        }
    }

    fn truth(&mut self, expr: &Expr) -> Result<bool, Fault> {
        let value = self.run(expr)?;
        value.truth().ok_or_else(|| Fault::expected("bool", &value))
    }

    /// Whether the condition of an if-expression holds; null counts as false.
    fn holds(&mut self, condition: &Expr, label: impl Fn() -> String) -> Result<bool, Fault> {
        let value = self.run(condition).map_err(|fault| fault.context(label()))?;
        match value.as_bool() {
            Some(truth) => Ok(truth),
            None if value.is_null() => Ok(false),
            None => Err(go::not_a_bool(condition, &value)),
        }
    }

    fn condition(&mut self, branches: &[Branch], otherwise: Option<&Expr>) -> Result<Value, Fault> {
        for (n, branch) in branches.iter().enumerate() {
            let label = || match n {
                0 => "failed to check if condition".to_owned(),
                n => format!("failed to check if condition {n}"),
            };
            if self.holds(&branch.condition, label)? {
                return self.run(&branch.value);
            }
        }
        otherwise.map_or(Ok(Value::Nothing), |expr| self.run(expr))
    }

    fn matching(&mut self, target: Option<&Expr>, cases: &[Case]) -> Result<Value, Fault> {
        let value = match target {
            Some(target) => self.run(target)?,
            None => self.this(&[]).cloned().unwrap_or_default(),
        };
        self.within(value, |cx| {
            for (n, case) in cases.iter().enumerate() {
                let met = match &case.test {
                    Test::Always => true,
                    Test::Equals(literal) => match &cx.this {
                        This::Value(value) => value.equals(literal),
                        _ => false,
                    },
                    Test::Query(query) => {
                        let result = cx.run(query);
                        let value = result
                            .map_err(|fault| fault.context(format!("failed to check match case {n}")))?;
                        value.as_bool() == Some(true)
                    }
                };
                if met {
                    return cx.run(&case.value);
                }
            }
            Ok(Value::Nothing)
        })
    }

    fn call_spec(&mut self, call: &Call) -> Result<Value, Fault> {
        if call.dynamic {
            return self.call_dynamic(call);
        }
        let args = Args { given: &call.args, resolved: &[], prepared: call.prepared.as_ref() };
        self.invoke(call, &args)
    }

    #[inline]
    fn invoke(&mut self, call: &Call, args: &Args<'_>) -> Result<Value, Fault> {
        match (call.spec.body, &call.target) {
            (Body::Method(run), Some(target)) => {
                let value = self.run(&target.0)?;
                let result = run(self, value, args).and_then(|value| self.keep(value));
                if call.spec.traits.sourced { result.map_err(|fault| target.blame(fault)) } else { result }
            }
            // Of these, what is built is built by others.
            (Body::Lazy(run), Some(target)) => run(self, target, args),
            (Body::Function(run), _) => run(self, args).and_then(|value| self.keep(value)),
            (_, None) => Err(Fault::new("method without a target")),
        }
    }

    /// Evaluates the arguments first, then the call as if they were literals.
    fn call_dynamic(&mut self, call: &Call) -> Result<Value, Fault> {
        let mut resolved: SmallVec<[Option<Value>; 4]> = SmallVec::with_capacity(call.args.len());
        let mut dynamic = 0;
        for (n, arg) in call.args.iter().enumerate() {
            let Arg::Dynamic(query) = arg else {
                resolved.push(None);
                continue;
            };
            let (name, kind) = match call.spec.params {
                Params::Fixed(params) => {
                    params.get(n).map_or(("", ParamKind::Any), |param| (param.name, param.kind))
                }
                Params::Variadic => ("", ParamKind::Any),
            };
            let value = self.run(&query.0).and_then(|value| coerce(kind, value)).map_err(|fault| {
                let what = if call.target.is_some() { "method" } else { "function" };
                // Unnamed arguments are called by their position among the evaluated ones.
                let name = if name.is_empty() { dynamic.to_string() } else { name.to_owned() };
                fault
                    .context(format!("failed to extract input arg '{name}'"))
                    .context(format!("{what} '{}'", call.spec.name))
            })?;
            dynamic += 1;
            resolved.push(Some(value));
        }
        let args = Args { given: &call.args, resolved: &resolved, prepared: None };
        let Some(prepare) = call.spec.prepare else { return self.invoke(call, &args) };
        let prepared = prepare(&args)?;
        self.invoke(call, &Args { prepared: Some(&prepared), ..args })
    }
}

//! Queries: what stands right of an assignment.

use super::{Best, Fail, MAX_DEPTH, Parsed, Parser, check_depth};
use crate::compile::{self, Argument, Branch, Case, Expr, Key, Operator, Test};
use crate::text::Text;
use crate::value::{Segment, Value};

/// Operators in the order they are tried.
const OPERATORS: [(&str, Operator); 14] = [
    ("+", Operator::Add),
    ("-", Operator::Subtract),
    ("/", Operator::Divide),
    ("*", Operator::Multiply),
    ("%", Operator::Modulo),
    ("&&", Operator::And),
    ("||", Operator::Or),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    (">", Operator::Greater),
    ("<", Operator::Less),
    ("|", Operator::Coalesce),
];

impl Parser<'_> {
    /// A query, blanks before it allowed.
    pub(super) fn query(&mut self, at: usize) -> Parsed<Expr> {
        self.deeper(at, |parser| parser.arithmetic(parser.source.blanks(at)))
    }

    fn arithmetic(&mut self, at: usize) -> Parsed<Expr> {
        let mut operands = Vec::new();
        let mut operators = Vec::new();
        let mut next = at;
        let end = loop {
            let negative = self.source.char(next, '-').ok().map(|end| self.source.trivia(end));
            let (operand, end) = self.operand(negative.unwrap_or(next))?;
            operands.push((negative.is_some(), operand));
            let Some((operator, after)) = self.operator(self.source.blanks(end)) else { break end };
            if operators.len() >= MAX_DEPTH {
                return Err(Fail::fatal(at, "expression is nested too deeply"));
            }
            operators.push(operator);
            next = self.source.trivia(after);
        };
        let mut exprs = Vec::with_capacity(operands.len());
        for (negative, operand) in operands {
            exprs.push(if negative {
                let zero = Expr::Literal(Value::Int(0));
                compile::arithmetic(vec![zero, operand], &[Operator::Subtract])
                    .map_err(|text| Fail::fatal(at, text))?
            } else {
                operand
            });
        }
        let expr = compile::arithmetic(exprs, &operators).map_err(|text| Fail::fatal(at, text))?;
        check_depth(at, &expr)?;
        Ok((expr, end))
    }

    fn operator(&self, at: usize) -> Option<(Operator, usize)> {
        OPERATORS.iter().find_map(|(text, operator)| Some((*operator, self.source.term(at, text).ok()?)))
    }

    /// One operand: a primary with everything that hangs on it by dots.
    fn operand(&mut self, at: usize) -> Parsed<Expr> {
        let negated = self.source.char(at, '!').ok().map(|end| self.source.blanks(end));
        let start = negated.unwrap_or(at);
        let (mut expr, mut end) = self.primary(start).map_err(|fail| fail.named("query"))?;
        let mut links = 0;
        while let Ok(dot) = self.source.char(end, '.') {
            links += 1;
            if links > MAX_DEPTH {
                return Err(Fail::fatal(at, "expression is nested too deeply"));
            }
            (expr, end) = self.tail(expr, self.source.trivia(dot)).map_err(Fail::required)?;
        }
        Ok((if negated.is_some() { Expr::Not(Box::new(expr)) } else { expr }, end))
    }

    fn primary(&mut self, at: usize) -> Parsed<Expr> {
        let mut best = Best::default();
        let alternatives: [fn(&mut Self, usize) -> Parsed<Expr>; 9] = [
            Self::match_expression,
            Self::if_expression,
            Self::lambda,
            Self::brackets,
            Self::literal,
            Self::function,
            Self::metadata,
            Self::variable,
            Self::field,
        ];
        for alternative in alternatives {
            if let Some(parsed) = best.take(alternative(self, at))? {
                return Ok(parsed);
            }
        }
        Err(best.fail(at))
    }

    fn tail(&mut self, target: Expr, at: usize) -> Parsed<Expr> {
        // The three forms differ by what comes first, so the target need not be given back.
        let mut best = Best::default();
        if self.source.peek(at) == Some('(') {
            let inner = self.source.trivia(at + 1);
            let parsed = self.query(inner).and_then(|(expr, end)| {
                let end = self.source.char(self.source.trivia(end), ')')?;
                Ok((expr, end))
            });
            if let Some((query, end)) = best.take(parsed)? {
                return Ok((compile::map(target, query), end));
            }
        }
        best.take(self.source.char(at, '(').map(|end| ((), end)).map_err(|fail| fail.named("method")))?;
        let call = self.source.snake(at, "method").and_then(|(name, end)| {
            let (arguments, end) = self.arguments(end)?;
            Ok(((name, arguments), end))
        });
        if let Some(((name, arguments), end)) = best.take(call)? {
            let expr = compile::method(self.environment, self.build, &name, target, arguments)
                .map_err(|text| Fail::fatal(end, text))?;
            return Ok((expr, end));
        }
        let mut segment = Best::default();
        if let Some((name, end)) = segment.take(self.source.name(at, "field path"))? {
            return Ok((compile::get(target, vec![Segment::new(name)]), end));
        }
        if let Some((key, end)) = segment.take(self.source.quoted(at))? {
            return Ok((compile::get(target, vec![Segment::new(Text::from(key))]), end));
        }
        best.take::<()>(Err(segment.fail(at).named("field path")))?;
        Err(best.fail(at))
    }

    fn match_expression(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.some_blanks(self.source.term(at, "match")?)?;
        let (target, end) = match self.query(start) {
            Ok((target, end)) => (Some(target), end),
            Err(fail) if fail.fatal.is_some() => return Err(fail),
            Err(_) => (None, start),
        };
        let (cases, end) = self
            .delimited(
                self.source.trivia(end),
                |parser, at| Ok(parser.source.trivia(parser.source.char(at, '{')?)),
                Self::case,
                |parser, at| {
                    let at = parser.source.blanks(at);
                    let mut best = Best::default();
                    for end in [parser.source.char(at, ','), parser.source.line_break(at)] {
                        if let Some(((), end)) = best.take(end.map(|end| ((), end)))? {
                            return Ok(parser.source.trivia(end));
                        }
                    }
                    Err(best.fail(at))
                },
                |parser, at| parser.source.char(parser.source.trivia(at), '}'),
            )
            .map_err(Fail::required)?;
        Ok((Expr::Match(Box::new((target, cases.into()))), end))
    }

    fn case(&mut self, at: usize) -> Parsed<Case> {
        let mut best = Best::default();
        let arrow = |parser: &Self, end: usize| parser.source.term(parser.source.blanks(end), "=>");
        let any = self.source.char(at, '_').map_err(|fail| fail.named("match case"));
        let any = any.and_then(|end| Ok((Test::Always, arrow(self, end)?)));
        let (test, end) = if let Some(parsed) = best.take(any)? {
            parsed
        } else {
            let query = self.query(at).map_err(|fail| fail.named("match case"));
            let query = query.and_then(|(expr, end)| Ok((Test::from(expr), arrow(self, end)?)));
            let Some(parsed) = best.take(query)? else { return Err(best.fail(at)) };
            parsed
        };
        let (value, end) = self.query(end)?;
        Ok((Case { test, value }, end))
    }

    fn if_expression(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.some_blanks(self.source.term(at, "if")?)?;
        let (first, mut end) = self.branch(start)?;
        let mut branches = vec![first];
        loop {
            let next = self.source.term(self.source.trivia(end), "else if");
            let Ok(start) = next.and_then(|end| self.source.some_blanks(end)) else { break };
            let branch;
            (branch, end) = self.branch(start)?;
            branches.push(branch);
            if branches.len() > MAX_DEPTH {
                return Err(Fail::fatal(at, "expression is nested too deeply"));
            }
        }
        let mut otherwise = None;
        if let Ok(start) = self.source.term(self.source.trivia(end), "else") {
            let body;
            (body, end) = self.body(start)?;
            otherwise = Some(body);
        }
        Ok((Expr::If(Box::new((branches.into(), otherwise))), end))
    }

    /// A condition and the query in braces it leads to.
    fn branch(&mut self, at: usize) -> Parsed<Branch> {
        let (condition, end) = self.query(at).map_err(Fail::required)?;
        let (value, end) = self.body(end)?;
        Ok((Branch { condition, value }, end))
    }

    fn body(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.char(self.source.trivia(at), '{').map_err(Fail::required)?;
        let (value, end) = self.query(self.source.trivia(start)).map_err(Fail::required)?;
        let end = self.source.char(self.source.trivia(end), '}').map_err(Fail::required)?;
        Ok((value, end))
    }

    fn lambda(&mut self, at: usize) -> Parsed<Expr> {
        let (name, end) = self.source.name(at, "function")?;
        let head = self.source.some_blanks(end).and_then(|end| self.source.term(end, "->"));
        let start =
            head.and_then(|end| self.source.some_blanks(end)).map_err(|fail| fail.named("function"))?;
        let captures = name != "_";
        if captures {
            if self.names.contains(&name) {
                return Err(Fail::fatal(at, format!("context label `{name}` would shadow a parent context")));
            }
            if name == "root" || name == "this" {
                return Err(Fail::fatal(at, format!("context label `{name}` is not allowed")));
            }
            self.names.push(name.clone());
        }
        let body = self.query(start).map_err(Fail::required);
        if captures {
            self.names.pop();
        }
        let (body, end) = body?;
        if let Expr::Lambda(inner) = &body {
            let text = format!(
                "it would be in poor taste to capture the same context under both '{name}' and '{}'",
                inner.name.as_deref().unwrap_or("_")
            );
            return Err(Fail::fatal(at, text));
        }
        let name = captures.then(|| name.into());
        Ok((Expr::Lambda(Box::new(compile::Lambda { name, body })), end))
    }

    fn brackets(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.char(at, '(').map_err(|fail| fail.named("function"))?;
        let (expr, end) = self.query(self.source.trivia(start))?;
        let end = self.source.char(self.source.trivia(end), ')');
        Ok((expr, end.map_err(|fail| fail.named("closing bracket").required())?))
    }

    fn literal(&mut self, at: usize) -> Parsed<Expr> {
        let mut best = Best::default();
        for (word, value) in [("true", Value::Bool(true)), ("false", Value::Bool(false))] {
            if let Ok(end) = self.source.term(at, word) {
                return Ok((Expr::Literal(value), end));
            }
        }
        if let Some((number, end)) = best.take(self.source.number(at))? {
            return Ok((Expr::Literal(number), end));
        }
        for parsed in [self.source.triple_quoted(at), self.source.quoted(at)] {
            if let Some((text, end)) = best.take(parsed)? {
                return Ok((Expr::Literal(Value::String(Text::from(text))), end));
            }
        }
        if let Ok(end) = self.source.term(at, "null") {
            return Ok((Expr::Literal(Value::Null), end));
        }
        if let Some(parsed) = best.take(self.array(at))? {
            return Ok(parsed);
        }
        if let Some(parsed) = best.take(self.object(at))? {
            return Ok(parsed);
        }
        Err(best.fail(at))
    }

    fn array(&mut self, at: usize) -> Parsed<Expr> {
        let (items, end) = self.delimited(
            at,
            |parser, at| Ok(parser.source.trivia(parser.source.char(at, '[')?)),
            |parser, at| parser.query(at).map_err(|fail| fail.named("object")),
            Self::comma,
            |parser, at| parser.source.char(parser.source.trivia(at), ']'),
        )?;
        Ok((compile::array(items), end))
    }

    fn comma(&mut self, at: usize) -> Result<usize, Fail> {
        Ok(self.source.trivia(self.source.char(self.source.blanks(at), ',')?))
    }

    fn object(&mut self, at: usize) -> Parsed<Expr> {
        let (members, end) = self.delimited(
            at,
            |parser, at| Ok(parser.source.trivia(parser.source.char(at, '{')?)),
            Self::member,
            Self::comma,
            |parser, at| parser.source.char(parser.source.trivia(at), '}'),
        )?;
        Ok((compile::object(members).map_err(|text| Fail::fatal(at, text))?, end))
    }

    fn member(&mut self, at: usize) -> Parsed<(Key, Expr)> {
        let mut best = Best::default();
        let quoted = self.source.quoted(at).map(|(text, end)| (Key::Literal(Text::from(text)), end));
        let (key, end) = if let Some(parsed) = best.take(quoted)? {
            parsed
        } else {
            let query = self.query(at).map(|(expr, end)| (Key::Query(expr), end));
            let query = query.map_err(|fail| fail.named("object"));
            let Some(parsed) = best.take(query)? else { return Err(best.fail(at)) };
            parsed
        };
        let start = self.source.char(self.source.blanks(end), ':')?;
        let (value, end) = self.query(self.source.trivia(start)).map_err(|fail| fail.named("object"))?;
        Ok(((key, value), end))
    }

    fn function(&mut self, at: usize) -> Parsed<Expr> {
        let (name, end) = self.source.snake(at, "function")?;
        let (mut arguments, end) = self.arguments(end)?;
        if name == "file_rel" {
            self.beside_the_mapping(&mut arguments);
        }
        if name == "var"
            && let [Argument { name: _, value: Expr::Literal(Value::String(variable)) }] = &*arguments
        {
            let name = variable.as_str().into_owned();
            let slot = self.slot(&name);
            return Ok((Expr::Variable(slot, name.into()), end));
        }
        let expr = compile::function(self.environment, self.build, &name, arguments);
        Ok((expr.map_err(|text| Fail::fatal(end, text))?, end))
    }

    /// Makes a literal path relative to the folder of the mapping's file.
    fn beside_the_mapping(&self, arguments: &mut [Argument]) {
        let is_path = |argument: &&mut Argument| argument.name.as_deref().is_none_or(|name| name == "path");
        if let Some(Argument { value: Expr::Literal(Value::String(path)), .. }) =
            arguments.iter_mut().find(is_path)
        {
            let full = self.folder.join(&*path.as_str());
            *path = full.as_os_str().as_encoded_bytes().into();
        }
    }

    fn arguments(&mut self, at: usize) -> Parsed<Vec<Argument>> {
        self.delimited(
            at,
            |parser, at| {
                let open = parser.source.char(at, '(').map_err(|fail| fail.named("function arguments"))?;
                Ok(parser.source.trivia(open))
            },
            |parser, at| parser.argument(at).map_err(|fail| fail.named("function argument").required()),
            |parser, at| parser.comma(at).map_err(|fail| fail.named("comma").required()),
            |parser, at| {
                let end = parser.source.char(parser.source.trivia(at), ')');
                end.map_err(|fail| fail.named("closing bracket").required())
            },
        )
    }

    fn argument(&mut self, at: usize) -> Parsed<Argument> {
        let mut best = Best::default();
        let head = self
            .source
            .snake(at, "snake-case")
            .and_then(|(name, end)| Ok((name, self.source.char(end, ':')?)));
        if let Some((name, end)) = best.take(head)? {
            let value = self.query(self.source.blanks(end));
            let (value, end) = value.map_err(|fail| fail.named("argument value").required())?;
            return Ok((Argument { name: Some(name), value }, end));
        }
        let query = self.query(at).map(|(value, end)| (Argument { name: None, value }, end));
        if let Some(parsed) = best.take(query)? {
            return Ok(parsed);
        }
        Err(best.fail(at))
    }

    fn metadata(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.char(at, '@').map_err(|fail| fail.named("metadata path"))?;
        if let Ok((name, end)) = self.source.name(start, "metadata path") {
            return Ok((Expr::Metadata(Some(name.into())), end));
        }
        match self.source.quoted(start) {
            Ok((key, end)) => {
                let key = String::from_utf8_lossy(&key).into_owned();
                Ok((Expr::Metadata((!key.is_empty()).then(|| key.into())), end))
            }
            Err(fail) if fail.fatal.is_some() => Err(fail),
            Err(_) => Ok((Expr::Metadata(None), start)),
        }
    }

    fn variable(&mut self, at: usize) -> Parsed<Expr> {
        let start = self.source.char(at, '$').map_err(|fail| fail.named("variable path"))?;
        let (name, end) = self.source.name(start, "variable path")?;
        Ok((Expr::Variable(self.slot(&name), name.into()), end))
    }

    fn field(&mut self, at: usize) -> Parsed<Expr> {
        let (name, end) = self.source.name(at, "field path")?;
        let expr = match &*name {
            "this" => compile::field(compile::Base::This, Vec::new()),
            "root" => compile::field(compile::Base::Root, Vec::new()),
            _ => match self.names.iter().rev().position(|known| *known == name) {
                Some(depth) => compile::field(compile::Base::Named(depth, name.into()), Vec::new()),
                None => compile::field(compile::Base::This, vec![Segment::new(name)]),
            },
        };
        Ok((expr, end))
    }

    /// Items between a start and a stop; a delimiter may follow the last one.
    pub(super) fn delimited<T>(
        &mut self,
        at: usize,
        start: impl Fn(&mut Self, usize) -> Result<usize, Fail>,
        item: impl Fn(&mut Self, usize) -> Parsed<T>,
        delimiter: impl Fn(&mut Self, usize) -> Result<usize, Fail>,
        stop: impl Fn(&mut Self, usize) -> Result<usize, Fail>,
    ) -> Parsed<Vec<T>> {
        let mut next = start(self, at)?;
        let mut items = Vec::new();
        loop {
            match item(self, next) {
                Ok((parsed, end)) => {
                    items.push(parsed);
                    next = end;
                }
                Err(fail) => return stop(self, next).map(|end| (items, end)).map_err(|_| fail),
            }
            match delimiter(self, next) {
                Ok(end) => next = end,
                Err(mut fail) => {
                    return match stop(self, next) {
                        Ok(end) => Ok((items, end)),
                        Err(other) => {
                            fail.join(other);
                            Err(fail)
                        }
                    };
                }
            }
        }
    }
}

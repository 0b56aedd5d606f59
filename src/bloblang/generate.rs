//! Programs of valid syntax, made from any bytes: for the property tests here and for the fuzz targets.

// By the parent, for a fuzz target includes this file and has another one.
use super::Environment;
use super::spec::{Absent, ParamKind, Params, Spec};

/// A function or method to call, and what its parameters take: a letter each.
pub(crate) struct Callable {
    /// Name of it.
    pub(crate) name: &'static str,
    /// `s`tring, `i`nteger, `f`loat, `b`ool, `a`rray, `o`bject, `q`uery, `t`imestamp, or `x` for anything.
    pub(crate) params: String,
    /// How many of the parameters must be given.
    pub(crate) required: usize,
}

fn callable(spec: &'static Spec) -> Callable {
    let Params::Fixed(params) = spec.params else {
        return Callable { name: spec.name, params: "xxx".to_owned(), required: 0 };
    };
    let letter = |kind: ParamKind| match kind {
        ParamKind::String => 's',
        ParamKind::Int => 'i',
        ParamKind::Float => 'f',
        ParamKind::Bool => 'b',
        ParamKind::Array => 'a',
        ParamKind::Object => 'o',
        ParamKind::Timestamp => 't',
        ParamKind::Query { scalars: false } => 'q',
        ParamKind::Any | ParamKind::Query { scalars: true } => 'x',
    };
    Callable {
        name: spec.name,
        params: params.iter().map(|param| letter(param.kind)).collect(),
        required: params.iter().filter(|param| matches!(param.absent, Absent::Required)).count(),
    }
}

/// The functions and the methods that give the same every time, and soon.
pub(crate) fn callables(environment: &Environment) -> (Vec<Callable>, Vec<Callable>) {
    let tame = |spec: &&'static Spec| !spec.traits.impure && !spec.traits.blocks;
    let mut functions: Vec<_> = environment.functions().filter(tame).map(callable).collect();
    let mut methods: Vec<_> = environment.methods().filter(tame).map(callable).collect();
    functions.sort_by_key(|callable| callable.name);
    methods.sort_by_key(|callable| callable.name);
    (functions, methods)
}

/// Chooses by bytes; when they run out, always the first and simplest.
struct Chooser<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl Chooser<'_> {
    fn below(&mut self, count: usize) -> usize {
        let byte = usize::from(self.bytes.next().copied().unwrap_or(0));
        let more = if count > 256 { usize::from(self.bytes.next().copied().unwrap_or(0)) << 8 } else { 0 };
        (byte | more) % count.max(1)
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        list.get(self.below(list.len())).copied()
    }

    fn text(&mut self, list: &[&'static str]) -> &'static str {
        self.pick(list).unwrap_or_default()
    }

    fn is_spent(&self) -> bool {
        self.bytes.len() == 0
    }
}

const PATHS: &[&str] = &[
    "this",
    "this.a",
    "this.b.c",
    "this.list",
    "this.list.0",
    "this.\"*\"",
    "@k",
    "$v",
    "root",
    "root.a",
    "json()",
    "content()",
    "item",
    "item.tally",
    "item.value",
];
const LITERALS: &[&str] = &[
    "null",
    "0",
    "1",
    "-1",
    "2.5",
    "\"\"",
    "\"abc\"",
    "true",
    "false",
    "[]",
    "{}",
    "9223372036854775807",
    "0.0",
    "[3,1,2]",
    "{\"a\":{\"b\":[1]}}",
    "\"é<&>\\u0000\"",
    "\"2024-02-29T12:34:56.789Z\"",
    "deleted()",
    "nothing()",
    "range(0, 5)",
    "\"a\\xff\"",
    "\"x\".bytes()",
    "0.ts_tz(\"UTC\")",
    "\"inf\".number()",
    "\"18446744073709551615\".uint64()",
    "\"[1,{\\\"a\\\":[2.50,null]}]\"",
    "\"a: &x [1]\\nb: *x\\n\"",
    "\"<a b='1'>c<d/></a>\"",
    "\"a,b\\n1,\\\"2\\\"\\n\"",
];
const STRINGS: &[&str] = &[
    "\"a\"",
    "\"\"",
    "\"a.b.*\"",
    "\"%v %05d\"",
    "\"(a|b)+\"",
    "\"UTC\"",
    "\"2006-01-02\"",
    "\"%Y\"",
    "\"base64\"",
    "\"md5\"",
    "\"gzip\"",
    "\"root = this\"",
    "\"P1DT2H\"",
    "\"m\"",
    "\"$..a\"",
    "\"word\"",
    "\"[^a-z]*?\\\\b\"",
    "\"(?P<n>.)|$\"",
    "\"$1${n}\"",
    "\"0123456789abcdef\"",
    "\"%.*[2]d%q\"",
    "\"{\\\"items\\\":{\\\"$ref\\\":\\\"#\\\"}}\"",
    "\"zstd\"",
    "\"gcm\"",
];
const INTEGERS: &[&str] = &["0", "1", "-1", "2", "7", "1000000000", "9223372036854775807", "1.5"];
const OPERATORS: &[&str] = &["+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "|"];
const TARGETS: &[&str] =
    &["root", "root.a", "root.b.c", "root.list.\"-\"", "root.list.0", "a", "meta k", "meta", "let v"];

/// A mapping.
pub(crate) fn program(bytes: &[u8], functions: &[Callable], methods: &[Callable]) -> String {
    let mut choose = Chooser { bytes: bytes.iter() };
    let mut out = String::from("map m {\n  root = this\n}\nlet v = this.list\n");
    for _ in 0..8 {
        if choose.below(6) == 5 {
            out.push_str("if ");
            query(&mut choose, functions, methods, 2, &mut out);
            out.push_str(" {\n  ");
            statement(&mut choose, functions, methods, &mut out);
            out.push_str("}\n");
        } else {
            statement(&mut choose, functions, methods, &mut out);
        }
        if choose.is_spent() {
            break;
        }
    }
    out
}

fn statement(choose: &mut Chooser<'_>, functions: &[Callable], methods: &[Callable], out: &mut String) {
    out.push_str(choose.text(TARGETS));
    out.push_str(" = ");
    query(choose, functions, methods, 4, out);
    out.push('\n');
}

fn query(
    choose: &mut Chooser<'_>,
    functions: &[Callable],
    methods: &[Callable],
    depth: usize,
    out: &mut String,
) {
    let inner = |choose: &mut Chooser<'_>, out: &mut String| {
        query(choose, functions, methods, depth.saturating_sub(1), out);
    };
    match if depth == 0 { choose.below(2) } else { choose.below(12) } {
        0 => out.push_str(choose.text(PATHS)),
        1 => out.push_str(choose.text(LITERALS)),
        2 => {
            out.push('(');
            inner(choose, out);
            out.push(' ');
            out.push_str(choose.text(OPERATORS));
            out.push(' ');
            inner(choose, out);
            out.push(')');
        }
        3 => {
            out.push_str("if ");
            inner(choose, out);
            out.push_str(" { ");
            inner(choose, out);
            out.push_str(" } else { ");
            inner(choose, out);
            out.push_str(" }");
        }
        4 => {
            out.push_str("match ");
            inner(choose, out);
            out.push_str(" { 1 => ");
            inner(choose, out);
            out.push_str(", this == \"abc\" => ");
            inner(choose, out);
            out.push_str(", _ => ");
            inner(choose, out);
            out.push_str(" }");
        }
        5 => {
            out.push('[');
            inner(choose, out);
            out.push_str(", ");
            inner(choose, out);
            out.push(']');
        }
        6 => {
            out.push_str("{\"x\": ");
            inner(choose, out);
            out.push_str(", \"a\": ");
            inner(choose, out);
            out.push('}');
        }
        7 if !functions.is_empty() => {
            if let Some(function) = functions.get(choose.below(functions.len())) {
                call(choose, functions, methods, function, depth, out);
            }
        }
        _ => {
            out.push('(');
            inner(choose, out);
            out.push(')');
            for _ in 0..=choose.below(3) {
                out.push('.');
                if let Some(method) = methods.get(choose.below(methods.len())) {
                    call(choose, functions, methods, method, depth, out);
                }
            }
        }
    }
}

fn call(
    choose: &mut Chooser<'_>,
    functions: &[Callable],
    methods: &[Callable],
    callable: &Callable,
    depth: usize,
    out: &mut String,
) {
    out.push_str(callable.name);
    out.push('(');
    let optional = callable.params.len().saturating_sub(callable.required);
    let given = callable.required + choose.below(optional + 1);
    for (n, kind) in callable.params.chars().take(given).enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        match kind {
            's' => out.push_str(choose.text(STRINGS)),
            'i' | 'f' => out.push_str(choose.text(INTEGERS)),
            'b' => out.push_str(choose.text(&["true", "false"])),
            'a' => out.push_str(choose.text(&["[]", "[\"a\",\"b\"]", "[\"a\",1]"])),
            'o' => out.push_str(choose.text(&["{}", "{\"a\":1}"])),
            't' => out.push_str(choose.text(&["\"2024-02-29T12:34:56Z\"", "0", "1.5"])),
            'q' => {
                out.push_str("item -> ");
                query(choose, functions, methods, depth.saturating_sub(1).min(2), out);
            }
            _ => query(choose, functions, methods, depth.saturating_sub(1).min(1), out),
        }
    }
    out.push(')');
}

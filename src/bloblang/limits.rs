//! No mapping takes time or memory without bound: each of these ends with an error that says why.

use crate::environment::Environment;
use crate::eval::Scratch;
use crate::message::Message;
use crate::program::{Mapped, Program};

/// The content that a mapping makes of another, or the error.
pub(crate) fn outcome(source: &str, content: &str) -> String {
    let program = match Program::parse(source, &Environment::new()) {
        Ok(program) => program,
        Err(error) => return error.to_string(),
    };
    let batch = [Message::new(content.as_bytes().to_vec())];
    match program.map(&batch, 0, &mut Scratch::default()) {
        Ok(Mapped::Message(message)) => String::from_utf8_lossy(message.content()).into_owned(),
        Ok(Mapped::Dropped) => "dropped".to_owned(),
        Err(fault) => fault.to_string(),
    }
}

const DOUBLED: &str = "let a = range(0, 64).fold(\"x\", item -> [item.tally, item.tally])\n";
const NESTED: &str = "let b = range(0, 20000).fold(\"x\", item -> {\"a\": item.tally})\n";
const WORK: &str = "exceeded the work";
const LARGE: &str = "value exceeds the limit";
const DEEP: &str = "nested deeper than";

/// Mappings, and what their errors say. `$a`, `$b` and `$path` stand for what is made above.
const ROWS: &[(&str, &str)] = &[
    // Work.
    ("root = range(0, 10000000).map_each(v -> v * 2)", WORK),
    ("map m { root = this.apply(\"m\") }\nroot = this.apply(\"m\")", "maximum allowed stacks"),
    ("map m { root = [this.apply(\"m\").catch(0), this.apply(\"m\")] }\nroot = this.apply(\"m\")", WORK),
    ("root = range(0, 3000).map_each(a -> range(0, 3000).map_each(b -> a * b)).catch(0)", WORK),
    ("root = range(0, 100000000)", "range of more than"),
    // Strings.
    ("root = \"x\".repeat(9223372036854775807)", "exceeds the limit"),
    ("root = \"xx\".repeat(9223372036854775807)", "exceeds the limit"),
    ("root = range(0, 64).fold(\"x\", item -> item.tally + item.tally)", "exceeds the limit"),
    ("root = range(0, 64).fold(\"x\", item -> item.tally.repeat(2))", WORK),
    ("root = range(0, 10000).map_each(v -> \"x\".repeat(100000).uppercase())", WORK),
    ("root = \"x\".repeat(100000).replace_all(\"\", \"y\".repeat(100000))", "exceeds the limit"),
    ("root = \"x\".repeat(100000).replace_all(\"x\", \"y\".repeat(100000))", "exceeds the limit"),
    ("root = \"x\".repeat(100000).re_replace_all(\"x\", \"y\".repeat(100000))", "too large"),
    ("root = range(0, 100000).map_each(v -> \"x\".repeat(99)).join(\"y\".repeat(100000))", "limit"),
    ("root = \"x\".repeat(20000000).split(\"\")", WORK),
    ("root = \"x\".repeat(20000000).re_find_all(\".\")", WORK),
    ("root = \"x,\".repeat(1500000).parse_csv(parse_header_row: false)", "more than 1048576 fields"),
    ("root = \"[],\".repeat(900000).format_json().length()", "2700002"),
    ("root = \"%[1]1000000d\".repeat(1000).format(1)", "exceeds the limit"),
    ("root = \"%.*d\".format(9223372036854775807, 1)", "%!(BADPREC)1"),
    ("root = \"x\".repeat(200000).compress(\"gzip\").decompress(\"gzip\").length()", "200000"),
    ("root = bytes(9223372036854775807)", "must be between"),
    // Arrays and objects.
    ("root = range(0, 64).fold([1], item -> item.tally.concat(item.tally))", WORK),
    ("root = range(0, 64).fold([1], item -> item.tally.append(1).merge(item.tally))", WORK),
    ("root = range(0, 5000).map_each(v -> range(0, 5000))", WORK),
    ("root = range(0, 100000).enumerated().length()", "100000"),
    ("root = range(0, 500).fold({}, item -> item.tally.merge({\"a\": item.tally})).type()", "object"),
    // Values that share their parts.
    ("root = $a", LARGE),
    ("root.b = $a", LARGE),
    ("meta b = $a", LARGE),
    ("root = $a.string()", LARGE),
    ("root = $a.bytes()", LARGE),
    ("root = $a.format_json()", LARGE),
    ("root = $a.format_yaml()", LARGE),
    ("root = $a.format_msgpack()", LARGE),
    ("root = {\"a\": $a}.format_xml()", WORK),
    ("root = \"%v\".format($a)", LARGE),
    ("root = $a == range(0, 64).fold(\"x\", item -> [item.tally, item.tally])", LARGE),
    ("root = [$a].contains($a)", LARGE),
    ("root = [$a].find($a)", LARGE),
    ("root = $a.collapse()", WORK),
    ("root = $a.infer_schema()", WORK),
    ("root = $a.diff($a)", LARGE),
    ("root = $a.json_path(\"$..*\")", LARGE),
    ("root = if $a { 1 }", "non-boolean"),
    ("if $a { root = 1 }", "non-boolean"),
    ("root = \"a\".replace_all_many($a)", "invalid"),
    (
        "root = $a.\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\".\"*\"",
        LARGE,
    ),
    ("root = $a.get(\"*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*.*\")", LARGE),
    // Values nested within one another.
    ("root = $b", DEEP),
    ("root = $b.string()", DEEP),
    ("root = $b == $b", DEEP),
    ("root = $b.merge($b)", DEEP),
    ("root = $b.assign($b)", DEEP),
    ("root = $b.collapse()", WORK),
    ("root = $b.format_yaml()", DEEP),
    ("root = $b.infer_schema()", DEEP),
    ("root = $b.format_msgpack()", DEEP),
    ("root = if $b { 1 }", "non-boolean"),
    ("root = range(0, 100000).fold(null, item -> [item.tally]).length()", "1"),
    // Paths and patterns.
    ("root = this.get($path)", "path of more than"),
    ("root = this.exists($path)", "path of more than"),
    ("root = this.without($path)", "path of more than"),
    ("root = \"a\".re_match(\"((((a{10}){10}){10}){10})\")", "invalid repeat count"),
    ("root = \"a\".re_match(\"(\".repeat(2000) + \")\".repeat(2000))", "nests too deeply"),
    ("root = \"a\".re_match(\"\\\\pL{900}\".repeat(20))", "too large"),
    ("root = \"a\".re_match(\"(a|a)*\".repeat(100000))", "too large"),
    ("root = \"a\".repeat(100000).re_match(\"(a*)*b\")", "false"),
    ("root = (\"[\".repeat(20000)).parse_json()", "max depth"),
    ("root = (\"[\".repeat(20000)).parse_yaml()", "fail"),
    ("root = (\"<a>\".repeat(20000)).parse_xml()", "deeper"),
    ("root = \"\\x91\".repeat(20000).bytes().parse_msgpack()", "fail"),
    (
        "root = (\"a: &a [x,x,x,x,x,x,x,x,x]\\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\").parse_yaml()",
        "fail",
    ),
    ("root = (\"(\".repeat(100000)).bloblang(\"root = \" + \"(\".repeat(100000))", "too deeply"),
];

#[test]
fn all_ends() {
    let mut wrong = Vec::new();
    let many = "a.".repeat(20_000);
    for (source, want) in ROWS {
        let made = [
            ("$a", DOUBLED.to_owned()),
            ("$b", NESTED.to_owned()),
            ("$path", format!("let path = \"{many}\"\n")),
        ];
        let made = made.into_iter().filter(|(name, _)| source.contains(name)).map(|(_, text)| text);
        let got = outcome(&(made.collect::<String>() + source), "{}");
        if !got.contains(want) {
            wrong.push(format!("{source}\nwant {want}\n got {}", got.chars().take(300).collect::<String>()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_dropped_on_the_way_does_not_count() {
    // Ten times as much is built as may be kept.
    let joined = "root = range(0, 20000).fold(\"\", item -> item.tally + \"ten bytes,\").length()";
    assert_eq!(outcome(joined, "{}"), "200000");
    let appended = "root = range(0, 2000).fold([], item -> item.tally.append(item.value)).length()";
    assert_eq!(outcome(appended, "{}"), "2000");
}

//! What random mappings beside the reference (`tests/bench/differential.py`) have found.

use crate::limits::outcome;

/// A mapping, a content, and what comes of it.
const ROWS: &[(&str, &str, &str)] = &[
    // Arithmetic on numbers looks at timestamps as text, division does not.
    (
        r#"root = "a" * 0.ts_tz("UTC")"#,
        "{}",
        "line 1 char 8: cannot multiply types string (from string literal) and string (from method ts_tz)",
    ),
    (
        r#"root = [] / 0.ts_tz("UTC")"#,
        "{}",
        "line 1 char 8: cannot divide types array (from array literal) and timestamp (from method ts_tz)",
    ),
    // What is known when a mapping is built is looked at then.
    (
        r#"root = 1.ts_tz("UTC").ts_sub("aXbXc")"#,
        "{}",
        r#"line 1 char 38: field t2: parsing time "aXbXc" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "aXbXc" as "2006""#,
    ),
    (
        r#"root = env("NO_SUCH_VARIABLE").ts_parse("2006")"#,
        "{}",
        "line 1 char 48: expected string value, got null",
    ),
    (r#"root = env("NO_SUCH_VARIABLE", true).ts_parse("2006").catch("x")"#, "{}", "x"),
    (
        r#"root = "a".decrypt_aes("x", "0123456789abcdef", "0123456789abcdef")"#,
        "{}",
        "line 1 char 68: unrecognized decryption type: x",
    ),
    ("if true {\n  root.a = 1\n} else if true {\n  root.a 5\n}", "{}", "line 3 char 3: expected line break"),
    // Targets of other kinds.
    (r#"root = 0.ts_tz("UTC").parse_logfmt()"#, "{}", r#"{"1970-01-01T00:00:00Z":true}"#),
    (
        "root = this.a.timestamp()",
        r#"{"a":1e400}"#,
        r#"failed assignment (line 1): field `this.a`: parsing time "1e400" as "2006-01-02T15:04:05.999999999Z07:00": cannot parse "1e400" as "2006""#,
    ),
    (
        r#"root = 5.uuid_v5("nope")"#,
        "{}",
        r#"failed assignment (line 1): number literal: invalid ns uuid: "nope""#,
    ),
    (r#"root = null.uuid_v5("nope")"#, "{}", "null"),
    (
        r#"root = deleted().json_schema("""{"type":"string"}""").catch(e -> e)"#,
        "{}",
        "delete: (root) invalid type. expected: string, given: null",
    ),
    (r#"root = nothing().json_schema("""{"enum":[null]}""").type()"#, "{}", "nothing"),
    (
        "root.a = this.a\nroot.a.0.b.c = 1",
        r#"{"a":[1]}"#,
        "failed assignment (line 2): unable to set target path a.0.b.c as the value of a was a non-object type (array)",
    ),
    ("root = tracing_id()", "{}", "00000000000000000000000000000000"),
    ("root = [3.log10(), 14.log10()]", "{}", "[0.4771212547196624,1.1461280356782382]"),
    (
        "root = [this.a, -this.a].map_each(v -> [v.number().round(), v.number().ceil()])",
        r#"{"a":9223372036854775808}"#,
        "[[9223372036854776000,9223372036854776000],[-9223372036854775808,-9223372036854775808]]",
    ),
    (
        "root = 1709210096.float32().uppercase()",
        "{}",
        "failed assignment (line 1): expected string value, got number from method float32 (1.7092101e+09)",
    ),
    // Regular expressions.
    (r#"root = this.a.re_find_object("(?P<n>a)(?P<n>b)")"#, r#"{"a":"ab"}"#, r#"{"0":"ab","n":"b"}"#),
    (r#"root = this.a.re_replace_all("(?P<n>a)|(?P<n>b)", "<$n>")"#, r#"{"a":"ab"}"#, "<a><b>"),
    (
        r#"root = "a".re_match("x\xff")"#,
        "{}",
        "line 1 char 29: error parsing regexp: invalid UTF-8: `\u{fffd}`",
    ),
    // YAML.
    (
        r#"root = ["A😀é", {"😀":"é"}].format_yaml().string()"#,
        "{}",
        "- \"A\\U0001F600é\"\n- \"\\U0001F600\": é\n",
    ),
    (r#"root = ["x".bytes(), "y\xe2"].format_yaml().string()"#, "{}", "- - 120\n- !!binary eeI=\n"),
    (
        r#"root = "a: 1\n\n\nb: 2\na: 4\nb: 5".parse_yaml()"#,
        "{}",
        "failed assignment (line 1): string literal: failed to parse value as YAML: yaml: unmarshal errors:\n  line 5: mapping key \"a\" already defined at line 1\n  line 6: mapping key \"b\" already defined at line 4",
    ),
    (
        r#"root = "a: 1\nb:\n  c: 2\n  c: 3\na: 4\n".parse_yaml()"#,
        "{}",
        "failed assignment (line 1): string literal: failed to parse value as YAML: yaml: unmarshal errors:\n  line 5: mapping key \"a\" already defined at line 1",
    ),
];

#[test]
fn all_is_as_the_reference_has_it() {
    let wrong = ROWS.iter().filter_map(|(source, content, want)| {
        let got = outcome(source, content);
        (got != *want).then(|| format!("{source}\nwant {want}\n got {got}"))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

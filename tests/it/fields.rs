//! The fields of every component are the reference's, but for those listed here with the reason.

use crate::harness::WEIR;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    process::Command,
};

/// By path: what is known of a field, in words.
type Facts = BTreeMap<String, String>;

/// Fields that differ on purpose: component, field, and why.
const OTHERWISE: &[(&str, &str, &str)] = &[
    ("metrics/influxdb", "precision", "its values are listed"),
    ("processor/compress", "algorithm", "zstd works there too, though it is not listed"),
    ("processor/decompress", "algorithm", "zstd works there too, though it is not listed"),
];

/// What `weir list` says of fields, put as `components.json` puts it.
fn facts(fields: &[Value], above: &str, facts: &mut Facts) {
    for field in fields {
        let text = |key: &str| field[key].as_str().unwrap_or_default();
        let kind = match text("kind") {
            "array" => "[]",
            "2darray" => "[][]",
            "map" => "{}",
            _ => "",
        };
        let is_plain = matches!(text("type"), "string" | "int" | "float" | "bool" | "unknown");
        let mut words = format!("{}{kind}", text("type"));
        for (key, word) in [
            ("is_advanced", " advanced"),
            ("is_deprecated", " deprecated"),
            ("is_optional", " optional"),
            ("is_secret", " secret"),
            ("interpolated", " interpolated"),
            ("bloblang", " bloblang"),
        ] {
            // A default, or what an object or component has of itself, says it already.
            let said = word == " optional"
                && (field.get("default").is_some() || field["is_deprecated"] == true || !is_plain);
            if field[key] == true && !said {
                words.push_str(word);
            }
        }
        if let Some(options) = field["options"].as_array() {
            let sorted: BTreeSet<_> = options.iter().filter_map(Value::as_str).collect();
            write!(words, " of {}", serde_json::to_string(&sorted).unwrap()).unwrap();
        }
        if let Some(default) = field.get("default") {
            write!(words, " = {default}").unwrap();
        }
        let path = format!("{above}{}", text("name"));
        if let Some(children) = field["children"].as_array() {
            self::facts(children, &format!("{path}."), facts);
        }
        facts.insert(path, words);
    }
}

#[test]
fn the_fields_of_every_component_are_the_references() {
    let theirs: BTreeMap<String, Facts> =
        serde_json::from_str(include_str!("../conformance/components.json")).unwrap();
    let done = Command::new(WEIR).args(["list", "--format", "json-full-scrubbed"]).output().unwrap();
    let listed: Value = serde_json::from_slice(&done.stdout).unwrap();
    let components = listed.as_object().unwrap().values().filter_map(Value::as_array).flatten();
    let (mut wrong, mut used, mut seen) = (Vec::new(), BTreeSet::new(), 0);
    for component in components.filter(|component| component.get("config").is_some()) {
        let name = format!("{}/{}", component["type"].as_str().unwrap(), component["name"].as_str().unwrap());
        let theirs = theirs.get(&name).unwrap_or_else(|| panic!("{name}: not in components.json"));
        let (mut ours, config) = (Facts::new(), &component["config"]);
        match config["children"].as_array() {
            Some(children) if config["kind"] == "scalar" => facts(children, "", &mut ours),
            None if config["type"] == "object" && config["kind"] == "scalar" => {}
            _ => facts(std::slice::from_ref(config), "", &mut ours),
        }
        for path in theirs.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
            let (theirs, ours) = (theirs.get(path), ours.get(path));
            let listed = OTHERWISE.iter().position(|(of, field, _)| *of == name && field == path);
            match listed {
                _ if theirs == ours => {}
                Some(at) => {
                    used.insert(at);
                }
                None => wrong.push(format!("{name} {path}:\n  theirs {theirs:?}\n  ours   {ours:?}")),
            }
        }
        seen += 1;
    }
    assert!(seen > 100, "only {seen} components");
    assert!(wrong.is_empty(), "{} fields differ:\n{}", wrong.len(), wrong.join("\n"));
    let idle: Vec<_> = (0..OTHERWISE.len()).filter(|at| !used.contains(at)).map(|at| OTHERWISE[at]).collect();
    assert!(idle.is_empty(), "these do not differ: {idle:?}");
}

//! What holds for every component, every file and every example.

use crate::harness::WEIR;
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};
use weir_config::stream::StreamConfig;
use weir_core::{http::NoHttp, kind::Kind, registry::Registry, yaml};
use weir_engine::{Engine, Resources};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn registry() -> Registry {
    Registry::new(&[weir_pure::TABLE, weir_io::TABLE])
}

/// All files below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let pattern = format!("{}/**/*.{extension}", folder.display());
    glob::glob(&pattern).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_component_describes_itself() {
    let registry = registry();
    let mut seen = 0;
    for kind in Kind::ALL {
        for outline in registry.outlines(kind) {
            let name = outline.name;
            seen += 1;
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{kind} {name}: odd name"
            );
            assert!(outline.summary.ends_with('.'), "{kind} {name}: the summary is a sentence");
        }
    }
    assert!(seen > 50, "only {seen} components");
}

#[test]
fn a_component_is_a_file_or_folder_of_its_name() {
    let registry = registry();
    for kind in Kind::ALL {
        for outline in registry.outlines(kind) {
            let found = ["pure", "io"].iter().any(|layer| {
                let place = root().join("src").join(layer).join(kind.name()).join(outline.name);
                place.is_dir() || place.with_extension("rs").is_file()
            });
            assert!(found, "{kind} {}: no file of that name", outline.name);
        }
    }
}

#[test]
fn every_component_file_is_in_a_table() {
    let registry = registry();
    for layer in ["pure", "io"] {
        for kind in Kind::ALL {
            let folder = root().join("src").join(layer).join(kind.name());
            let below = files(&folder, "rs").into_iter();
            let specs = below.filter(|file| fs::read_to_string(file).unwrap().contains("static SPEC: "));
            for file in specs {
                let named = if file.ends_with("mod.rs") { file.parent().unwrap() } else { &file };
                let name = named.file_stem().unwrap().to_str().unwrap();
                assert!(registry.outline(kind, name).is_some(), "{} is in no table", file.display());
            }
        }
    }
}

#[test]
fn no_source_file_is_over_600_lines() {
    for folder in ["src", "tests"] {
        for file in files(&root().join(folder), "rs") {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= 600, "{}: {lines} lines", file.display());
        }
    }
}

#[test]
fn components_never_see_the_engine_nor_each_other() {
    for (layer, forbidden) in [
        ("bloblang", vec!["weir-", "tokio"]),
        ("core", vec!["weir-config", "weir-pure", "weir-io", "weir-engine", "weir-control", "weir-server"]),
        ("pure", vec!["weir-io", "weir-engine", "weir-control", "weir-config", "weir-server"]),
        ("io", vec!["weir-pure", "weir-engine", "weir-control", "weir-config", "weir-server"]),
        ("engine", vec!["weir-pure", "weir-io", "weir-control", "weir-server"]),
    ] {
        let manifest = fs::read_to_string(root().join("src").join(layer).join("Cargo.toml")).unwrap();
        let dependencies =
            manifest.split("[dependencies]").nth(1).unwrap().split("[dev-dependencies]").next().unwrap();
        for name in forbidden {
            let breach = dependencies.lines().find(|line| line.starts_with(name));
            assert_eq!(breach, None, "src/{layer} depends on it");
        }
    }
}

#[test]
fn every_example_lints() {
    let mut examples = files(&root().join("examples"), "yaml");
    examples.sort();
    assert!(examples.len() >= 5);
    let done = Command::new(WEIR).arg("lint").args(&examples).current_dir(root()).output().unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}

#[test]
fn every_example_passes_its_unit_tests() {
    let done = Command::new(WEIR).args(["test", "examples/..."]).current_dir(root()).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.lines().filter(|line| line.ends_with("succeeded")).count() >= 25, "{said}");
}

/// A config in which a component of a kind stands where it may.
fn around(kind: Kind, component: &serde_json::Value) -> serde_json::Value {
    let labelled = || {
        let mut component = component.clone();
        component["label"] = "example".into();
        serde_json::json!([component])
    };
    match kind {
        Kind::Processor => serde_json::json!({ "pipeline": { "processors": [component] } }),
        Kind::Cache => serde_json::json!({ "cache_resources": labelled() }),
        Kind::RateLimit => serde_json::json!({ "rate_limit_resources": labelled() }),
        Kind::Scanner => {
            serde_json::json!({ "input": { "file": { "paths": ["in"], "scanner": component } } })
        }
        _ => serde_json::json!({ kind.name(): component }),
    }
}

#[test]
fn the_examples_of_every_component_lint() {
    let (registry, folder) = (registry(), tempfile::tempdir().unwrap());
    let mut paths = Vec::new();
    for kind in Kind::ALL {
        for outline in registry.outlines(kind) {
            for (number, example) in outline.examples.iter().enumerate() {
                let body: serde_json::Value = serde_yaml::from_str(example.config)
                    .unwrap_or_else(|error| panic!("{kind} {}: {}: {error}", outline.name, example.title));
                let config = around(kind, &serde_json::json!({ outline.name: body }));
                let path = folder.path().join(format!("{}_{}_{number}.yaml", kind.name(), outline.name));
                fs::write(&path, config.to_string()).unwrap();
                paths.push(path);
            }
        }
    }
    assert!(paths.len() > 20, "only {} examples", paths.len());
    let done = Command::new(WEIR).arg("lint").args(&paths).output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&said));
}

/// Stands in for a resource that an example names.
fn stand_in(engine: &Engine, kind: &str, label: &str) {
    let (kind, config) = match kind {
        "cache" => (Kind::Cache, "memory: {}"),
        "rate limit" => (Kind::RateLimit, "local: {}"),
        "processor" => (Kind::Processor, "noop: {}"),
        "input" => (Kind::Input, "generate: { mapping: root = 1 }"),
        _ => (Kind::Output, "drop: {}"),
    };
    engine.put_resource(kind, label, &yaml::parse(config).unwrap()).unwrap();
}

fn build(engine: &Engine, kind: Kind, name: &str, body: &serde_json::Value) -> Result<(), String> {
    let component = serde_json::json!({ name: body });
    let built = if matches!(kind, Kind::Cache | Kind::RateLimit) {
        engine.put_resource(kind, "example", &yaml::parse(&component.to_string()).unwrap())
    } else {
        let node = yaml::parse(&around(kind, &component).to_string()).unwrap();
        let config = StreamConfig::read(&node, &engine.registry).map_err(|error| error.to_string())?;
        engine.build("example", &config, &HashMap::new()).map(drop)
    };
    built.map_err(|error| error.to_string())
}

#[test]
fn every_example_is_valid_by_the_json_schema() {
    let done = Command::new(WEIR).args(["list", "--format", "jsonschema"]).output().unwrap();
    let schema: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let problems = |text: &str| {
        let expanded = weir_config::environment::expand(text, &|_| None).unwrap();
        let config: serde_json::Value = serde_yaml::from_str(&expanded.text).unwrap();
        validator
            .iter_errors(&config)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect::<Vec<_>>()
    };
    for file in files(&root().join("examples"), "yaml") {
        assert_eq!(problems(&fs::read_to_string(&file).unwrap()), [""; 0], "{}", file.display());
    }
    for wrong in [
        "input: { generate: {} }",
        "output: { drop: {}, processors: [ { nonesuch: {} } ] }",
        "pipeline: { threads: many }",
        "cache_resources: [ { label: a, memory: { default_tll: 1s } } ]",
    ] {
        assert!(!problems(wrong).is_empty(), "{wrong}");
    }
}

#[tokio::test]
async fn the_examples_of_every_component_build() {
    let engine = Engine {
        registry: Arc::new(registry()),
        resources: Resources::default(),
        pipes: Arc::default(),
        http: Arc::new(NoHttp),
        strict: false,
        tracer: None,
    };
    let missing = regex::Regex::new(r"(\w+(?: limit)?) resource '([^']+)' was not found").unwrap();
    let mut failed = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Metrics | Kind::Tracer)) {
        for outline in engine.registry.outlines(kind) {
            for example in outline.examples {
                let place = format!("{kind} {}: {}", outline.name, example.title);
                let body: serde_json::Value = serde_yaml::from_str(example.config).unwrap();
                // Each label that it names takes one more attempt.
                let mut built = Err(String::new());
                for _ in 0..5 {
                    built = build(&engine, kind, outline.name, &body);
                    let Some(named) = built.as_ref().err().and_then(|error| missing.captures(error)) else {
                        break;
                    };
                    stand_in(&engine, &named[1], &named[2]);
                }
                // Files that an example reads at build are not here.
                let absent = ["No such file", "requires at least one input file path"];
                if let Err(error) = built
                    && !absent.iter().any(|text| error.contains(text))
                {
                    failed.push(format!("{place}: {error}"));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn the_finite_examples_run() {
    for (name, lines) in [("batches", 3), ("routing", 1)] {
        let config = root().join("examples").join(name).with_extension("yaml");
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("examples/data");
        fs::create_dir_all(&data).unwrap();
        fs::copy(root().join("examples/data/input.ndjson"), data.join("input.ndjson")).unwrap();
        let done = Command::new(WEIR)
            .args(["run", "--log.level", "off"])
            .arg(&config)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(text.lines().count(), lines, "{name}: {text}");
    }
}

//! `switch`: a scanner by the source's name.

use regex::bytes::Regex;
use serde::Deserialize;
use std::sync::Arc;
use weir_bloblang::compile_regex;
use weir_core::{
    build_error::BuildError,
    error::Error,
    field::Field,
    node::Node,
    registry::ScannerSpec,
    scanner::{Scan, Scanner},
    spec::{Body, Example, Status},
};

pub(super) static SPEC: ScannerSpec = ScannerSpec {
    name: "switch",
    summary: "Chooses a scanner by the name of each source.",
    description: "The first whose pattern matches is taken; one without a pattern matches every name. A source that none \
                  matches is refused.",
    status: Status::Stable,
    body: Body::List(Field::object(
        "",
        "The choices, in order.",
        &[
            Field::string("re_match_name", "A regular expression for the name.").optional(),
            Field::scanner("scanner", "The scanner."),
        ],
    )),
    examples: &[Example {
        title: "By ending",
        config: "[ { re_match_name: '\\.csv$', scanner: { csv: {} } }, { scanner: { lines: {} } } ]",
    }],
    build: |node, context| {
        let mut choices = Vec::new();
        for (index, config) in node.read::<Vec<Config>>()?.into_iter().enumerate() {
            let pattern = config.re_match_name.map(|pattern| compile_regex(&pattern)).transpose();
            let pattern =
                pattern.map_err(|error| BuildError::new(error).at("re_match_name").at(index.to_string()))?;
            let scanner = context.scanner(&format!("switch.{index}.scanner"), &config.scanner)?;
            choices.push((pattern, scanner));
        }
        Ok(Box::new(Switch(choices)))
    },
};

#[derive(Deserialize)]
struct Config {
    re_match_name: Option<String>,
    scanner: Node,
}

struct Switch(Vec<(Option<Regex>, Arc<dyn Scanner>)>);

impl Scanner for Switch {
    fn open(&self, name: &str) -> Result<Box<dyn Scan>, Error> {
        let matches = |pattern: &Option<Regex>| {
            pattern.as_ref().is_none_or(|pattern| pattern.is_match(name.as_bytes()))
        };
        match self.0.iter().find(|(pattern, _)| matches(pattern)) {
            Some((_, scanner)) => scanner.open(name),
            None => Err(Error::failed("source details did not match against any scanners")),
        }
    }
}

//! Resources of the service config and of files (`-r`): what they hold, and what of it is installed.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
};
use tokio::runtime::Handle;
use weir_config::{LintOptions, Node, file::Source, sections, service::Resources};
use weir_core::kind::Kind;
use weir_engine::Engine;

/// The files that arguments stand for, in path order.
pub(crate) fn paths(arguments: &[String]) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for argument in arguments {
        if argument.contains(['*', '?', '[']) {
            all.extend(glob::glob(argument).into_iter().flatten().filter_map(Result::ok));
        } else {
            all.push(PathBuf::from(argument));
        }
    }
    let mut seen = HashSet::new();
    all.retain(|path| seen.insert(path.clone()));
    all
}

/// A resource's kind and label.
type Label = (Kind, String);

/// Resources that do not come over the API.
pub(crate) struct ResourceFiles {
    own: Resources,
    arguments: Vec<String>,
    /// What is installed, as canonical text.
    installed: BTreeMap<Label, Node>,
    data: Handle,
    started: bool,
}

impl ResourceFiles {
    /// Those of the service config and of these files. Replaced ones are closed on `data`.
    pub(crate) fn new(own: &Resources, arguments: &[String], data: Handle) -> Self {
        Self {
            own: own.clone(),
            arguments: arguments.to_vec(),
            installed: BTreeMap::new(),
            data,
            started: false,
        }
    }

    /// Reads all files again and makes what they hold so: new and changed resources are built, those that are gone
    /// are removed. The first time a named file that cannot be read is an error; a bad resource never is.
    pub(crate) fn scan(
        &mut self,
        engine: &Engine,
        lookup: &dyn Fn(&str) -> Option<String>,
        chilled: bool,
    ) -> Result<(), String> {
        let mut wanted: BTreeMap<Label, (String, Node)> = BTreeMap::new();
        let mut kept: HashSet<Label> = HashSet::new();
        collect(&self.own, "the service config", &mut wanted);
        for path in paths(&self.arguments) {
            let shown = path.display().to_string();
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if !self.started => {
                    return Err(format!("resource file {shown} cannot be read: {error}"));
                }
                Err(_) => continue,
            };
            match read(&text, engine, lookup, chilled) {
                Ok(resources) => collect(&resources, &shown, &mut wanted),
                Err(reason) => {
                    tracing::error!("Resource file {shown} is refused: {reason}");
                    // A file that is being edited keeps what it had.
                    kept.extend(self.installed.keys().cloned());
                }
            }
        }
        self.started = true;
        let _entered = self.data.enter();
        self.installed.retain(|label, _| {
            let stays = wanted.contains_key(label) || kept.contains(label);
            if !stays {
                engine.remove_resource(label.0, &label.1);
            }
            stays
        });
        self.install(engine, wanted);
        Ok(())
    }

    /// Builds what changed. Resources may use each other in any order, so that those which fail are tried again
    /// as long as others succeed.
    fn install(&mut self, engine: &Engine, wanted: BTreeMap<Label, (String, Node)>) {
        let mut left: Vec<(Label, String, Node)> = wanted
            .into_iter()
            .filter(|(label, (_, node))| self.installed.get(label) != Some(node))
            .map(|(label, (from, node))| (label, from, node))
            .collect();
        loop {
            let before = left.len();
            let mut failed = Vec::new();
            for (label, from, node) in left {
                match engine.put_resource(label.0, &label.1, &node) {
                    Ok(()) => {
                        self.installed.insert(label, node);
                    }
                    Err(error) => failed.push((label, from, node, error)),
                }
            }
            if failed.is_empty() {
                return;
            }
            if failed.len() == before {
                for ((kind, label), from, _, error) in failed {
                    tracing::error!("The {kind} resource '{label}' of {from} cannot be built: {error}");
                }
                return;
            }
            left = failed.into_iter().map(|(label, from, node, _)| (label, from, node)).collect();
        }
    }
}

fn read(
    text: &str,
    engine: &Engine,
    lookup: &dyn Fn(&str) -> Option<String>,
    chilled: bool,
) -> Result<Resources, String> {
    let source = Source::read(text, lookup).map_err(|error| error.to_string())?;
    let lints = source.lint(sections::RESOURCES, &engine.registry, LintOptions::default(), true);
    let lints: Vec<String> = lints.iter().map(ToString::to_string).collect();
    if !lints.is_empty() && !chilled {
        return Err(lints.join("; "));
    }
    Ok(Resources::read(&source.node))
}

/// Adds resources by kind and label; of two with one label the first counts.
fn collect(resources: &Resources, from: &str, wanted: &mut BTreeMap<Label, (String, Node)>) {
    let kinds = [
        (Kind::Cache, &resources.caches),
        (Kind::RateLimit, &resources.rate_limits),
        (Kind::Processor, &resources.processors),
        (Kind::Input, &resources.inputs),
        (Kind::Output, &resources.outputs),
    ];
    for (kind, nodes) in kinds {
        for node in nodes {
            let label = node.get("label").and_then(Node::as_str).unwrap_or_default().to_owned();
            if label.is_empty() {
                tracing::error!("A {kind} resource of {from} has no label: nobody can use it");
                continue;
            }
            if let Some((first, _)) = wanted.get(&(kind, label.clone())) {
                tracing::error!("The {kind} resource '{label}' of {from} is ignored: {first} has it already");
                continue;
            }
            wanted.insert((kind, label), (from.to_owned(), node.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_resources_with_one_label_the_first_counts() {
        let node = weir_core::yaml::parse(
            "cache_resources: [ { label: a, memory: {} }, { label: a, lru: {} }, { memory: {} } ]",
        )
        .unwrap();
        let mut wanted = BTreeMap::new();
        collect(&Resources::read(&node), "x", &mut wanted);
        assert_eq!(wanted.len(), 1);
        assert!(wanted[&(Kind::Cache, "a".to_owned())].1.get("memory").is_some());
    }

    #[test]
    fn named_files_stay_and_globs_are_expanded_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "").unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(paths(&[at("*.yaml"), at("a.yaml"), at("none.yaml")]).len(), 2);
    }
}

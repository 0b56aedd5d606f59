//! Resources of the service config and of files (`-r`): what they hold, and that the store and the engine hold it too.

use crate::{
    api::{Streams, Text},
    files::{self, Facts, Found, StreamFile},
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use weir_config::{LintOptions, Node, file::Source, sections, service::Resources, tokens, write::to_yaml};
use weir_control::{
    files::{Content, FileMember, Scan},
    record::{Key, Kind as RecordKind, Owner, fingerprint},
    service::WriteOptions,
    store::committer::{FILES, Origin},
};
use weir_core::kind::Kind;
use weir_engine::Engine;

/// How long changed resources may take to be there before those that need them are tried.
const THERE_WITHIN: Duration = Duration::from_secs(10);

/// How many faults a condition names.
const SHOWN: usize = 10;

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

/// A resource as a file has it.
#[derive(Debug, Clone)]
struct Resource {
    /// Where it is written.
    from: String,
    /// With its variables expanded.
    node: Node,
    /// With its variables unexpanded.
    bare: Node,
}

/// Resources by kind and label.
type Wanted = BTreeMap<Label, Resource>;

/// The resources of a file, as they are and with their variables unexpanded.
fn read(
    bytes: &[u8],
    engine: &Engine,
    lookup: &dyn Fn(&str) -> Option<String>,
    chilled: bool,
) -> Result<(Resources, Resources), String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "yaml: invalid UTF-8".to_owned())?;
    let source = Source::read(text, lookup).map_err(|error| error.to_string())?;
    let lints = source.lint(sections::RESOURCES, &engine.registry, LintOptions::default(), true);
    let lints: Vec<String> = lints.iter().map(ToString::to_string).collect();
    if !lints.is_empty() && !chilled {
        return Err(lints.join("; "));
    }
    let bare = tokens::parse(text).map_err(|error| error.to_string())?;
    Ok((Resources::read(&source.node), Resources::read(&bare)))
}

/// Adds resources by kind and label; of two with one label the first counts. Gives back what is wrong.
fn collect(resources: &Resources, bare: &Resources, from: &str, wanted: &mut Wanted) -> Vec<String> {
    let kinds = [
        (Kind::Cache, &resources.caches, &bare.caches),
        (Kind::RateLimit, &resources.rate_limits, &bare.rate_limits),
        (Kind::Processor, &resources.processors, &bare.processors),
        (Kind::Input, &resources.inputs, &bare.inputs),
        (Kind::Output, &resources.outputs, &bare.outputs),
    ];
    let mut faults = Vec::new();
    for (kind, nodes, bares) in kinds {
        for (node, bare) in nodes.iter().zip(bares) {
            let label = node.get("label").and_then(Node::as_str).unwrap_or_default().to_owned();
            if label.is_empty() {
                faults.push(format!("A {kind} resource of {from} has no label: nobody can use it"));
            } else if let Some(first) = wanted.get(&(kind, label.clone())) {
                faults.push(format!(
                    "The {kind} resource '{label}' of {from} is ignored: {} has it already",
                    first.from
                ));
            } else {
                let resource = Resource { from: from.to_owned(), node: node.clone(), bare: bare.clone() };
                wanted.insert((kind, label), resource);
            }
        }
    }
    faults
}

fn unreadable(path: &Path, error: &str) -> String {
    format!("resource file {} cannot be read: {error}", path.display())
}

/// Gives an engine without a store the resources of a service config and of files. A file that cannot be read is an
/// error, a bad resource is not.
pub(crate) fn install(
    own: &Resources,
    arguments: &[String],
    engine: &Engine,
    lookup: &dyn Fn(&str) -> Option<String>,
    chilled: bool,
) -> Result<(), String> {
    let mut wanted = Wanted::new();
    let mut faults = collect(own, own, "the config", &mut wanted);
    for path in paths(arguments) {
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error.to_string()))?;
        let shown = path.display().to_string();
        match read(&bytes, engine, lookup, chilled) {
            Ok((resources, bare)) => faults.extend(collect(&resources, &bare, &shown, &mut wanted)),
            Err(reason) => faults.push(format!("Resource file {shown} is refused: {reason}")),
        }
    }
    faults.iter().for_each(|fault| tracing::error!("{fault}"));
    // Resources may use each other in any order: those that fail are tried again as long as others succeed.
    loop {
        let before = wanted.len();
        let mut failed = Vec::new();
        wanted.retain(|(kind, label), resource| {
            let built = engine.put_resource(*kind, label, &resource.node);
            let fault = built.err().map(|error| {
                format!("The {kind} resource '{label}' of {} cannot be built: {error}", resource.from)
            });
            let stays = fault.is_some();
            failed.extend(fault);
            stays
        });
        if wanted.is_empty() || wanted.len() == before {
            failed.iter().for_each(|fault| tracing::error!("{fault}"));
            return Ok(());
        }
    }
}

/// Where named files are, such as those of resources.
pub(crate) struct Places(Vec<String>);

impl Places {
    /// Those that arguments stand for.
    pub(crate) fn new(arguments: Vec<String>) -> Self {
        Self(arguments)
    }

    /// Looks at all of them.
    pub(crate) fn find(&self) -> Found {
        let mut found = Found::default();
        for path in paths(&self.0) {
            found.take(&path, None, String::new());
        }
        found
    }
}

/// The resources of a service's config.
pub(crate) struct Own {
    /// As they are.
    pub(crate) resources: Resources,
    /// With their variables unexpanded.
    pub(crate) bare: Resources,
    /// The config's path.
    pub(crate) path: String,
}

/// Resources that do not come over the API, kept in the store under the names of their files.
pub(crate) struct ResourceFiles {
    own: Arc<Own>,
    places: Arc<Places>,
    chilled: bool,
    facts: Facts,
    complaints: BTreeSet<String>,
}

impl ResourceFiles {
    /// Those of a service config and of files. A named file that cannot be read is an error.
    pub(crate) fn new(own: Own, arguments: &[String], chilled: bool) -> Result<Self, String> {
        for path in paths(arguments) {
            files::read(&path).map_err(|error| unreadable(&path, &error))?;
        }
        let (facts, complaints) = (Facts::new(), BTreeSet::new());
        Ok(Self {
            own: Arc::new(own),
            places: Arc::new(Places::new(arguments.to_vec())),
            chilled,
            facts,
            complaints,
        })
    }

    /// Where the files are.
    pub(crate) fn places(&self) -> Arc<Places> {
        Arc::clone(&self.places)
    }

    /// The files as they were taken over.
    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Takes all files over at the start.
    pub(crate) async fn take_all(&mut self, streams: &Streams) -> Result<(), String> {
        let found = self.places.find();
        self.take(streams, found, &BTreeSet::new()).await
    }

    /// Takes what was found over in one commit, except for files that have not settled: what these held before stays.
    pub(crate) async fn take(
        &mut self,
        streams: &Streams,
        found: Found,
        restless: &BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        let mut left = usize::MAX;
        loop {
            let (streams_, own, chilled) = (streams.clone(), Arc::clone(&self.own), self.chilled);
            let (files, restless) = (found.files.clone(), restless.clone());
            let read = move || read_all(&streams_, &own, &files, &restless, chilled);
            let read = tokio::task::spawn_blocking(read).await;
            let (members, faults) = read.map_err(|error| error.to_string())?;
            let origin = Origin { actor: FILES.into(), verb: "SCAN".into(), note: None };
            let options = WriteOptions { origin, wait: Some(THERE_WITHIN), ..WriteOptions::default() };
            let scan = Scan { members, missing: Vec::new() };
            let scanned = streams
                .service
                .set_resource_files(scan, &options)
                .await
                .map_err(|error| format!("the resource files cannot be taken over: {error}"))?;
            // What failed may have needed what is only there now.
            if scanned.rejected.is_empty() || scanned.rejected.len() >= left {
                // A bad file has been named as a whole.
                let named = |reason: &str| faults.iter().any(|fault| fault.ends_with(reason));
                let refused = scanned.rejected.into_iter().filter(|(_, reason)| !named(reason));
                let refused =
                    refused.map(|(path, reason)| format!("A resource of {path} is refused: {reason}"));
                let faults = refused.chain(faults.iter().cloned()).collect();
                self.say(streams, faults);
                break;
            }
            left = scanned.rejected.len();
        }
        let mut facts = found.facts;
        for path in restless {
            match self.facts.remove(path) {
                Some(fact) => facts.insert(path.clone(), fact),
                None => facts.remove(path),
            };
        }
        self.facts = facts;
        Ok(())
    }

    /// Says what is wrong, once.
    fn say(&mut self, streams: &Streams, faults: BTreeSet<String>) {
        faults.difference(&self.complaints).for_each(|fault| tracing::error!("{fault}"));
        let shown: Vec<&str> = faults.iter().map(String::as_str).take(SHOWN).collect();
        streams.service.raise("ResourcesRefused", (!shown.is_empty()).then(|| shown.join("; ")));
        self.complaints = faults;
    }
}

/// What all files say, and what is wrong with them.
fn read_all(
    streams: &Streams,
    own: &Own,
    files: &[StreamFile],
    restless: &BTreeSet<PathBuf>,
    chilled: bool,
) -> (Vec<FileMember>, Vec<String>) {
    let (engine, lookup) = (streams.runtime.engine(), &*streams.lookup);
    let Own { resources, bare, path } = own;
    let mut wanted = Wanted::new();
    let mut faults = collect(resources, bare, path, &mut wanted);
    let mut members = Vec::new();
    for StreamFile { path, .. } in files {
        let shown = path.display().to_string();
        let before = |content: &dyn Fn() -> Content| {
            let owned = owned_by(streams, &shown).into_iter();
            let member = |(key, hash)| FileMember { key, path: shown.clone(), hash, content: content() };
            owned.map(member).collect::<Vec<_>>()
        };
        if restless.contains(path) {
            members.extend(before(&|| Content::Same));
            continue;
        }
        let bytes = files::read(path);
        match bytes.and_then(|bytes| read(&bytes, engine, lookup, chilled)) {
            Ok((resources, bare)) => faults.extend(collect(&resources, &bare, &shown, &mut wanted)),
            // A bad file keeps what it had.
            Err(reason) => {
                faults.push(format!("Resource file {shown} is refused: {reason}"));
                members.extend(before(&|| Content::Bad(reason.clone())));
            }
        }
    }
    for ((kind, label), Resource { from, node, bare }) in wanted {
        let Some(record) = RecordKind::parse(kind.name()) else { continue };
        let (source, node) = (to_yaml(&bare), node.with("label", Node::string(label.as_str())));
        let key = Key::new(record, label);
        let hash = fingerprint(source.as_bytes());
        let text = Text { source, node, bare };
        let submission = streams.resource_ready(key.clone(), kind, text, chilled);
        members.push(FileMember { key, path: from, hash, content: Content::Spec(submission) });
    }
    (members, faults)
}

/// The resources that came from a file, with the hashes that they are known by.
fn owned_by(streams: &Streams, file: &str) -> Vec<(Key, String)> {
    let kinds = RecordKind::ALL.into_iter().filter(|kind| *kind != RecordKind::Stream);
    let all = kinds.flat_map(|kind| streams.service.list(kind));
    all.filter_map(|view| match &view.desired?.owner {
        Owner::File { path, hash } if path == file => Some((view.key, hash.clone())),
        _ => None,
    })
    .collect()
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
        let mut wanted = Wanted::new();
        let resources = Resources::read(&node);
        assert_eq!(collect(&resources, &resources, "x", &mut wanted).len(), 2);
        assert_eq!(wanted.len(), 1);
        assert!(wanted[&(Kind::Cache, "a".to_owned())].node.get("memory").is_some());
    }

    #[test]
    fn named_files_stay_and_globs_are_expanded_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.yaml"), "").unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(paths(&[at("*.yaml"), at("a.yaml"), at("none.yaml")]).len(), 2);
    }
}

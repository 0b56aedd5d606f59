//! Watching files: told of changes by the system, looking for itself now and then, and patient with files that are
//! still being written.

use crate::{
    api::Streams,
    files::{Fact, Facts, Found, Identity, Sources, StreamFile, first_of_each, member},
    resource_files::{Places, ResourceFiles},
};
use notify::{RecursiveMode, Watcher};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use weir_control::{
    files::{Content, FileMember, Scan, Scanned},
    record::Key,
    service::WriteOptions,
    store::committer::{FILES, Origin},
};

/// How long a file must stay as it is before it is read.
const SETTLED: Duration = Duration::from_millis(400);
/// How long files that have settled wait for others that have not.
const LATEST: Duration = Duration::from_secs(1);
/// How long a file may go on changing before that is said.
const RESTLESS: Duration = Duration::from_secs(10);
/// The least pause between two looks.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before a change that was heard of is looked at.
const LONGEST_PAUSE: Duration = Duration::from_millis(400);
/// The least pause until the next look when nothing was heard.
const UNHEARD: Duration = Duration::from_secs(1);
/// How many faults a condition names.
const SHOWN: usize = 10;
/// How long to wait after a scan that could not be stored.
const REFUSED: Duration = Duration::from_secs(5);

/// A place that differs from what was taken over.
#[derive(Debug)]
struct Pending {
    /// How it was seen last.
    fact: Option<Fact>,
    /// Since when it is so.
    since: Instant,
    /// Since when it differs.
    began: Instant,
}

/// Tells files that have settled from those that are being written.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    pending: HashMap<PathBuf, Pending>,
    /// Since when something waits.
    since: Option<Instant>,
}

/// What is to be done about what was seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is as it was taken over.
    Same,
    /// Something is changing: look again soon.
    Wait,
    /// Take over what was seen, but not these.
    Take(BTreeSet<PathBuf>),
}

/// Whether a place lies in a folder of which nothing can be known.
fn is_hidden(path: &Path, seen: &Facts) -> bool {
    path.ancestors().skip(1).any(|folder| seen.get(folder) == Some(&Fact::Missing))
}

impl Settling {
    /// Compares what is seen now with what was taken over.
    pub(crate) fn look(&mut self, now: Instant, seen: &Facts, taken: &Facts) -> Verdict {
        let gone = taken.keys().filter(|path| !seen.contains_key(*path) && !is_hidden(path, seen));
        let new = seen.iter().filter(|(path, fact)| taken.get(*path) != Some(fact)).map(|(path, _)| path);
        let differing: BTreeSet<&PathBuf> = new.chain(gone).collect();
        self.pending.retain(|path, _| differing.contains(path));
        for path in differing {
            let fact = seen.get(path);
            match self.pending.get_mut(path) {
                Some(pending) if pending.fact.as_ref() == fact => {}
                Some(pending) => (pending.fact, pending.since) = (fact.cloned(), now),
                None => {
                    let pending = Pending { fact: fact.cloned(), since: now, began: now };
                    self.pending.insert(path.clone(), pending);
                }
            }
        }
        if self.pending.is_empty() {
            self.since = None;
            return Verdict::Same;
        }
        let since = *self.since.get_or_insert(now);
        let restless = self.pending.iter().filter(|(_, pending)| now - pending.since < SETTLED);
        let restless: BTreeSet<PathBuf> = restless.map(|(path, _)| path.clone()).collect();
        // One file that never comes to rest must not keep the others waiting.
        let late = now - since >= LATEST && restless.len() < self.pending.len();
        if !restless.is_empty() && !late {
            return Verdict::Wait;
        }
        self.since = (!restless.is_empty()).then_some(now);
        Verdict::Take(restless)
    }

    /// What has not come to rest for long.
    fn never_still(&self, now: Instant) -> impl Iterator<Item = &Path> {
        let long = move |pending: &Pending| now - pending.began > RESTLESS;
        self.pending.iter().filter(move |(_, pending)| long(pending)).map(|(path, _)| path.as_path())
    }
}

/// Hears of changes in folders.
struct Notices {
    watcher: Option<notify::RecommendedWatcher>,
    folders: BTreeMap<PathBuf, Identity>,
    heard: Arc<Notify>,
    deaf: bool,
}

impl Notices {
    fn new() -> Self {
        let heard = Arc::new(Notify::new());
        let ears = Arc::clone(&heard);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                ears.notify_one();
            }
        });
        let mut notices = Self { watcher: None, folders: BTreeMap::new(), heard, deaf: false };
        match watcher {
            Ok(watcher) => notices.watcher = Some(watcher),
            Err(error) => notices.complain(&error),
        }
        notices
    }

    fn complain(&mut self, error: &notify::Error) {
        if !std::mem::replace(&mut self.deaf, true) {
            tracing::warn!(
                "The system does not tell of all changes of files ({error}): they are looked for instead"
            );
        }
    }

    /// Listens to these folders and to no others. What changed before it listened is looked at once more.
    fn follow(&mut self, folders: &[&BTreeMap<PathBuf, Identity>]) {
        let Some(mut watcher) = self.watcher.take() else { return };
        self.folders.retain(|folder, identity| {
            let stays = folders.iter().any(|folders| folders.get(folder) == Some(identity));
            if !stays {
                // The system has forgotten a folder that is gone by itself.
                drop(watcher.unwatch(folder));
            }
            stays
        });
        for (folder, identity) in folders.iter().copied().flatten() {
            if self.folders.contains_key(folder) {
                continue;
            }
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder.clone(), *identity);
                    self.heard.notify_one();
                }
                // It went away since it was looked at.
                Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {
                    self.heard.notify_one();
                }
                Err(error) => self.complain(&error),
            }
        }
        self.watcher = Some(watcher);
    }
}

/// What became of a file when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    /// It was taken over.
    Taken,
    /// It cannot be read as a config.
    Bad(String),
    /// It cannot be built, as long as resources stay as they are.
    Unbuilt,
}

/// The stream files as they were taken over.
pub(crate) struct StreamFiles {
    sources: Arc<Sources>,
    chilled: bool,
    facts: Facts,
    outcomes: HashMap<StreamFile, Outcome>,
    /// What was said of bad files: it is not said again.
    refused: HashMap<PathBuf, String>,
    /// What was said of files and folders that are left out, which no stream's status shows.
    left_out: HashMap<PathBuf, String>,
    /// The state of the resources when files were built last.
    resources: u64,
}

impl StreamFiles {
    /// Nothing yet of these places.
    pub(crate) fn new(sources: Sources, chilled: bool) -> Self {
        Self {
            sources: Arc::new(sources),
            chilled,
            facts: Facts::new(),
            outcomes: HashMap::new(),
            refused: HashMap::new(),
            left_out: HashMap::new(),
            resources: 0,
        }
    }

    /// Takes all files over without waiting for them to settle: those that change meanwhile are seen later.
    pub(crate) async fn take_all(&mut self, streams: &Streams) -> Result<(), String> {
        let sources = Arc::clone(&self.sources);
        let found = tokio::task::spawn_blocking(move || sources.find()).await;
        self.take(streams, found.map_err(|error| error.to_string())?, &BTreeSet::new()).await
    }

    /// Takes what was found over in one commit, except for files that have not settled.
    async fn take(
        &mut self,
        streams: &Streams,
        found: Found,
        restless: &BTreeSet<PathBuf>,
    ) -> Result<(), String> {
        let resources = streams.service.resource_changes();
        let mut facts = found.facts.clone();
        for path in restless {
            match self.facts.get(path) {
                Some(fact) => facts.insert(path.clone(), fact.clone()),
                None => facts.remove(path),
            };
        }
        let missing: Vec<PathBuf> = found.missing().map(Path::to_owned).collect();
        // What stays hidden is neither gone nor new when it comes back.
        let hidden = self.facts.iter().filter(|(path, _)| is_hidden(path, &found.facts));
        facts.extend(hidden.map(|(path, fact)| (path.clone(), fact.clone())));
        let mut left_out: HashMap<PathBuf, String> = found.complaints.into_iter().collect();
        let said = self.left_out.iter().filter(|(path, _)| restless.contains(*path));
        left_out.extend(said.map(|(path, text)| (path.clone(), text.clone())));
        let mut files = found.files;
        // A file that is being replaced is missing for a moment.
        let away = self.outcomes.keys().filter(|file| restless.contains(&file.path));
        files.extend(away.filter(|file| !found.facts.contains_key(&file.path)).cloned());
        files.retain(|file| facts.contains_key(&file.path));
        files.sort();
        let (files, doubles) = first_of_each(files);
        for (double, first) in doubles {
            let text = format!(
                "Stream file {} is ignored: {} has the id '{}' already",
                double.path.display(),
                first.display(),
                double.id
            );
            left_out.insert(double.path, text);
        }
        let (mut members, mut to_read) = (Vec::with_capacity(files.len()), Vec::new());
        for file in &files {
            let unchanged = self.facts.get(&file.path) == facts.get(&file.path);
            let content = match self.outcomes.get(file).filter(|_| unchanged) {
                Some(Outcome::Taken) => Content::Same,
                Some(Outcome::Bad(reason)) => Content::Bad(reason.clone()),
                _ => {
                    to_read.push((file.clone(), facts.get(&file.path).cloned()));
                    continue;
                }
            };
            let (key, path) = (Key::stream(file.id.as_str()), file.path.display().to_string());
            let stored = if matches!(content, Content::Bad(_)) { streams.service.stored(&key) } else { None };
            let hash = stored.and_then(|stored| Some(stored.rejected.as_ref()?.hash.clone()));
            members.push(FileMember { key, path, hash: hash.unwrap_or_default(), content });
        }
        members.extend(read_all(streams, to_read, self.chilled).await?);
        let mut outcomes: HashMap<String, Outcome> = HashMap::new();
        for member in &members {
            if let Content::Bad(reason) = &member.content {
                outcomes.insert(member.path.clone(), Outcome::Bad(reason.clone()));
            }
        }
        let origin = Origin { actor: FILES.into(), verb: "SCAN".into(), note: None };
        let options = WriteOptions { origin, ..WriteOptions::default() };
        let Scanned { written, rejected } = streams
            .service
            .set_files(Scan { members, missing }, &options)
            .await
            .map_err(|error| format!("the stream files cannot be taken over: {error}"))?;
        let mut refused = HashMap::new();
        for (path, reason) in rejected {
            refused.insert(PathBuf::from(&path), format!("Stream file {path} is refused: {reason}"));
            outcomes.entry(path).or_insert(Outcome::Unbuilt);
        }
        if !written.touched.is_empty() {
            let (changed, revision) = (written.touched.len(), written.revision);
            tracing::info!(revision, "Files changed {changed} streams");
        }
        say(&mut self.refused, refused);
        say(&mut self.left_out, left_out);
        self.raise(streams);
        let mut outcome = |file: &StreamFile| outcomes.remove(&file.path.display().to_string());
        let taken = files.into_iter().map(|file| (outcome(&file).unwrap_or(Outcome::Taken), file));
        self.outcomes = taken.map(|(outcome, file)| (file, outcome)).collect();
        (self.facts, self.resources) = (facts, resources);
        Ok(())
    }

    /// Says which files never come to rest.
    fn say_restless(&mut self, streams: &Streams, settling: &Settling, now: Instant) {
        for path in settling.never_still(now) {
            if !self.left_out.contains_key(path) {
                let text = format!("Stream file {} keeps changing: it is read once it rests", path.display());
                tracing::warn!("{text}");
                self.left_out.insert(path.to_owned(), text);
                self.raise(streams);
            }
        }
    }

    /// Says that a scan could not be stored.
    fn say_refused(&mut self, streams: &Streams, error: String) {
        if self.left_out.get(Path::new("")) != Some(&error) {
            tracing::error!("{error}; it is tried again");
            self.left_out.insert(PathBuf::new(), error);
            self.raise(streams);
        }
    }

    /// Shows what is left out among the conditions.
    fn raise(&self, streams: &Streams) {
        let mut texts: Vec<&str> = self.left_out.values().map(String::as_str).collect();
        texts.sort_unstable();
        let more = texts.len().saturating_sub(SHOWN);
        texts.truncate(SHOWN);
        let more = if more > 0 { format!("; and {more} more") } else { String::new() };
        let message = texts.join("; ") + &more;
        streams.service.raise("FilesLeftOut", Some(message).filter(|message| !message.is_empty()));
    }

    /// Whether something that could not be built may be built now.
    fn may_be_built(&self, streams: &Streams) -> bool {
        self.resources != streams.service.resource_changes()
            && self.outcomes.values().any(|outcome| *outcome == Outcome::Unbuilt)
    }
}

/// Says what was not said before.
fn say(before: &mut HashMap<PathBuf, String>, now: HashMap<PathBuf, String>) {
    let new = now.iter().filter(|(path, text)| before.get(*path) != Some(text));
    new.for_each(|(_, text)| tracing::error!("{text}"));
    *before = now;
}

/// Reads files on as many threads as there are cores.
async fn read_all(
    streams: &Streams,
    files: Vec<(StreamFile, Option<Fact>)>,
    chilled: bool,
) -> Result<Vec<FileMember>, String> {
    let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let share = files.len().div_ceil(cores).max(1);
    let shares: Vec<_> = files
        .chunks(share)
        .map(|files| {
            let (streams, files) = (streams.clone(), files.to_vec());
            tokio::task::spawn_blocking(move || {
                let read = |(file, fact): &(StreamFile, Option<Fact>)| {
                    member(&streams, file, fact.as_ref(), chilled)
                };
                files.iter().map(read).collect::<Vec<_>>()
            })
        })
        .collect();
    let mut members = Vec::new();
    for share in shares {
        members.extend(share.await.map_err(|error| error.to_string())?);
    }
    Ok(members)
}

/// Waits until files differ from how they were taken over, and have come to rest.
pub(crate) async fn changed(places: &Arc<Places>, taken: &mut Facts) {
    let mut settling = Settling::default();
    loop {
        sleep(PAUSE).await;
        let places = Arc::clone(places);
        let Ok(found) = tokio::task::spawn_blocking(move || places.find()).await else { continue };
        if matches!(settling.look(Instant::now(), &found.facts, taken), Verdict::Take(_)) {
            *taken = found.facts;
            return;
        }
    }
}

/// Watches the files of resources and streams for ever.
pub(crate) async fn watch(streams: &Streams, mut resources: ResourceFiles, mut files: StreamFiles) {
    let mut notices = Notices::new();
    let heard = Arc::clone(&notices.heard);
    let (mut of_resources, mut of_files) = (Settling::default(), Settling::default());
    loop {
        let places = (resources.places(), Arc::clone(&files.sources));
        let begun = Instant::now();
        let looked = tokio::task::spawn_blocking(move || {
            let found = (places.0.find(), places.1.find());
            notices.follow(&[&found.0.folders, &found.1.folders]);
            (found, notices)
        });
        let Ok(((resources_found, found), ears)) = looked.await else {
            return tracing::error!("Files are watched no more: a look at them panicked");
        };
        notices = ears;
        let (now, took) = (Instant::now(), begun.elapsed());
        let first = of_resources.look(now, &resources_found.facts, resources.facts());
        let mut taken = Ok(());
        if let Verdict::Take(restless) = &first {
            taken = resources.take(streams, resources_found, restless).await;
        }
        let second = match of_files.look(now, &found.facts, &files.facts) {
            Verdict::Same if files.may_be_built(streams) => Verdict::Take(BTreeSet::new()),
            verdict => verdict,
        };
        let missing = found.missing().next().is_some();
        files.say_restless(streams, &of_files, now);
        if let Verdict::Take(restless) = &second {
            taken = taken.and(files.take(streams, found, restless).await);
        }
        if let Err(error) = taken {
            files.say_refused(streams, error);
            sleep(REFUSED).await;
        } else if first == Verdict::Same && second == Verdict::Same {
            // Looking costs little, however many files there are.
            let rest = (took * 10).clamp(PAUSE, LONGEST_PAUSE);
            sleep(rest).await;
            let unheard = if missing { UNHEARD / 2 } else { UNHEARD };
            let until = unheard.max(took * 300).saturating_sub(rest);
            // That nothing was heard is a reason to look, too.
            drop(timeout(until, heard.notified()).await);
        } else {
            let restless = of_files.never_still(now).next().is_some();
            sleep(if restless { LONGEST_PAUSE } else { (took * 4).clamp(PAUSE, LONGEST_PAUSE) }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(files: &[(&str, u64)]) -> Facts {
        let fact = |length| Fact::File { identity: (1, 1), length, changed: (0, 0) };
        files.iter().map(|(path, length)| (PathBuf::from(path), fact(*length))).collect()
    }

    fn taken_without(paths: &[&str]) -> Verdict {
        Verdict::Take(paths.iter().map(PathBuf::from).collect())
    }

    #[test]
    fn a_file_is_taken_once_it_stays_as_it_is() {
        let (mut settling, begin) = (Settling::default(), Instant::now());
        let mut look = |after: u64, seen: &[(&str, u64)]| {
            settling.look(begin + Duration::from_millis(after), &facts(seen), &facts(&[("a", 1)]))
        };
        assert_eq!(look(0, &[("a", 1)]), Verdict::Same);
        assert_eq!(look(100, &[("a", 2)]), Verdict::Wait);
        assert_eq!(look(450, &[("a", 3)]), Verdict::Wait);
        assert_eq!(look(800, &[("a", 3)]), Verdict::Wait);
        assert_eq!(look(850, &[("a", 3)]), taken_without(&[]));
        // An editor that writes anew what was there has changed nothing.
        assert_eq!(look(900, &[]), Verdict::Wait);
        assert_eq!(look(1000, &[("a", 1)]), Verdict::Same);
        assert_eq!(look(1100, &[]), Verdict::Wait);
        assert_eq!(look(1500, &[]), taken_without(&[]));
    }

    #[test]
    fn a_file_that_never_rests_keeps_no_other_waiting() {
        let (mut settling, begin) = (Settling::default(), Instant::now());
        let taken = facts(&[("busy", 0), ("other", 0)]);
        let mut verdicts = Vec::new();
        for step in 0..12 {
            let seen = facts(&[("busy", step + 1), ("other", 1)]);
            verdicts.push(settling.look(begin + Duration::from_millis(100 * step), &seen, &taken));
        }
        assert!(verdicts[..10].iter().all(|verdict| *verdict == Verdict::Wait));
        assert_eq!(verdicts[10], taken_without(&["busy"]));
        assert_eq!(verdicts[11], Verdict::Wait);
        assert_eq!(settling.never_still(begin + Duration::from_secs(11)).count(), 2);
    }

    #[test]
    fn what_lies_in_a_missing_folder_is_not_gone() {
        let (mut settling, begin) = (Settling::default(), Instant::now());
        let mut seen = facts(&[("y/b", 1)]);
        seen.insert("x".into(), Fact::Missing);
        let mut taken = facts(&[("x/a", 1), ("y/b", 1)]);
        assert_eq!(settling.look(begin, &seen, &taken), Verdict::Wait);
        taken.insert("x".into(), Fact::Missing);
        assert_eq!(settling.look(begin, &seen, &taken), Verdict::Same);
    }
}

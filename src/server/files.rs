//! Stream files: where they are, what they are called, and what tells that one has changed.

use crate::api::{Refusal, Streams};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};
use weir_control::{
    files::{Content, FileMember},
    record::{Key, Owner, fingerprint},
};

/// How deep folders are walked.
const MAX_DEPTH: usize = 32;
/// Files taken at most; more are a mistake such as `/`.
const MAX_FILES: usize = 100_000;
/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// A stream file and the id of its stream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The stream's id.
    pub(crate) id: String,
}

/// What tells a folder from another of its name.
pub(crate) type Identity = (u64, u64);

/// What is known of a place without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A file, and what is another once its content is.
    File { identity: Identity, length: u64, changed: (i64, i64) },
    /// Something that cannot be read as a file, and why.
    Odd(String),
    /// A folder that is gone, empty or shut.
    Missing,
}

/// What is known of all places.
pub(crate) type Facts = BTreeMap<PathBuf, Fact>;

/// What a look found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The files in path order.
    pub(crate) files: Vec<StreamFile>,
    /// What is known of them, and of folders that are missing.
    pub(crate) facts: Facts,
    /// The folders that were looked into, to be told of changes there.
    pub(crate) folders: BTreeMap<PathBuf, Identity>,
    /// What is wrong beside the files themselves.
    pub(crate) complaints: BTreeMap<PathBuf, String>,
}

impl Found {
    /// Folders from which nothing can be known: what came from there stays.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &Path> {
        self.facts.iter().filter(|(_, fact)| **fact == Fact::Missing).map(|(path, _)| path.as_path())
    }
}

/// What one argument of the command line stands for.
#[derive(Debug)]
enum Source {
    Glob(String),
    Folder(PathBuf),
    File(PathBuf),
}

/// The places of stream files as they were at the start: a folder that vanishes later still is one.
#[derive(Debug)]
pub(crate) struct Sources(Vec<Source>);

impl Sources {
    /// Those of arguments. One that names nothing is refused; a glob may match nothing.
    pub(crate) fn new(arguments: &[String]) -> Result<Self, String> {
        arguments.iter().map(|argument| source(argument)).collect::<Result<_, _>>().map(Self)
    }

    /// Looks at all places.
    pub(crate) fn find(&self) -> Found {
        let mut found = Found::default();
        for source in &self.0 {
            match source {
                Source::Glob(pattern) => {
                    for path in glob::glob(pattern).into_iter().flatten().filter_map(Result::ok) {
                        if !path.is_dir() {
                            found.take(&path, None, named_by_file(&path));
                        }
                    }
                }
                Source::File(path) => found.take(path, None, named_by_file(path)),
                Source::Folder(root) => {
                    let before = found.files.len();
                    Walk { root, found: &mut found }.folder(root, &mut Vec::new());
                    if found.files.len() == before {
                        found.facts.insert(root.clone(), Fact::Missing);
                    }
                }
            }
        }
        found.files.sort();
        found.files.dedup();
        found
    }
}

fn source(argument: &str) -> Result<Source, String> {
    let path = PathBuf::from(argument);
    match fs::metadata(&path) {
        Ok(known) if known.is_dir() => Ok(Source::Folder(path)),
        Ok(_) => Ok(Source::File(path)),
        Err(_) if argument.contains(['*', '?', '[']) => match glob::Pattern::new(argument) {
            Ok(_) => Ok(Source::Glob(argument.to_owned())),
            Err(error) => Err(format!("{argument}: {error}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("stream path {argument} does not exist: create it or leave it out"))
        }
        Err(error) => Err(format!("stream path {argument} cannot be read: {error}")),
    }
}

fn identity(known: &fs::Metadata) -> Identity {
    (known.dev(), known.ino())
}

/// What is known of a path; `None` when there is nothing.
pub(crate) fn fact(path: &Path) -> Option<Fact> {
    let known = match fs::metadata(path) {
        Ok(known) => known,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Some(Fact::Odd(error.to_string())),
        // A link to nothing is there, and what vanished meanwhile is not.
        Err(_) => return path.is_symlink().then(|| Fact::Odd("it is a link to nothing".into())),
    };
    let kind = known.file_type();
    let odd = [(kind.is_dir(), "folder"), (kind.is_fifo(), "named pipe"), (kind.is_socket(), "socket")]
        .into_iter()
        .find_map(|(is, name)| is.then_some(name));
    Some(match odd {
        None if kind.is_file() => Fact::File {
            identity: identity(&known),
            length: known.len(),
            // Unlike its modification, a file's change cannot be set back.
            changed: (known.ctime(), known.ctime_nsec()),
        },
        _ => Fact::Odd(format!("it is a {}, not a file", odd.unwrap_or("device"))),
    })
}

impl Found {
    /// Takes a file up, unless it has vanished meanwhile.
    pub(crate) fn take(&mut self, path: &Path, known: Option<&fs::DirEntry>, id: String) {
        if self.files.len() >= MAX_FILES {
            let text = format!("there are more than {MAX_FILES} stream files; the rest is left out");
            self.complaints.insert(PathBuf::new(), text);
            return;
        }
        let Some(fact) = fact(path) else { return };
        // A file may be changed where a link leads to, and named files lie in folders that are not walked.
        if known.is_none_or(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()))
            && let Ok(real) = path.canonicalize()
            && let (Some(here), Some(there)) = (path.parent(), real.parent())
        {
            self.watch(if here.as_os_str().is_empty() { Path::new(".") } else { here });
            self.watch(there);
        }
        self.facts.insert(path.to_owned(), fact);
        self.files.push(StreamFile { path: path.to_owned(), id });
    }

    fn watch(&mut self, folder: &Path) {
        if !self.folders.contains_key(folder)
            && let Ok(known) = fs::metadata(folder)
        {
            self.folders.insert(folder.to_owned(), identity(&known));
        }
    }
}

/// A walk through a folder and those below.
struct Walk<'a> {
    root: &'a Path,
    found: &'a mut Found,
}

impl Walk<'_> {
    /// `above`: the folders on the way here.
    fn folder(&mut self, folder: &Path, above: &mut Vec<Identity>) {
        let opened = fs::metadata(folder).and_then(|known| Ok((identity(&known), fs::read_dir(folder)?)));
        let (identity, entries) = match opened {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.complain(folder, &format!("cannot be read: {error}; its streams are kept as they are"));
                self.found.facts.insert(folder.to_owned(), Fact::Missing);
                return;
            }
        };
        if above.contains(&identity) {
            return self.complain(folder, "is a link to a folder above it, and is left out");
        }
        if above.len() >= MAX_DEPTH {
            return self.complain(folder, &format!("lies deeper than {MAX_DEPTH} folders, and is left out"));
        }
        self.found.folders.insert(folder.to_owned(), identity);
        above.push(identity);
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_folder =
                entry.file_type().is_ok_and(|kind| kind.is_dir() || (kind.is_symlink() && path.is_dir()));
            if is_folder {
                // Kubernetes keeps the versions of a mounted map in such folders.
                if !name.starts_with("..") {
                    self.folder(&path, above);
                }
                continue;
            }
            let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
            if stem.is_none_or(|stem| stem.ends_with("_benthos_test")) {
                continue;
            }
            let below = path.strip_prefix(self.root).unwrap_or(&path);
            let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
            self.found.take(&path, Some(&entry), without_suffix(&parts.join("_")).to_owned());
        }
        above.pop();
    }

    fn complain(&mut self, folder: &Path, text: &str) {
        self.found.complaints.insert(folder.to_owned(), format!("Folder {} {text}", folder.display()));
    }
}

fn named_by_file(path: &Path) -> String {
    without_suffix(&path.file_name().unwrap_or_default().to_string_lossy()).to_owned()
}

fn without_suffix(name: &str) -> &str {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}

/// The files whose ids no file before them has, and the others with the first of their id.
pub(crate) fn first_of_each(files: Vec<StreamFile>) -> (Vec<StreamFile>, Vec<(StreamFile, PathBuf)>) {
    let (mut first, mut doubles) = (Vec::with_capacity(files.len()), Vec::new());
    let mut seen: HashMap<String, PathBuf> = HashMap::with_capacity(files.len());
    for file in files {
        if let Some(other) = seen.get(&file.id) {
            doubles.push((file, other.clone()));
        } else {
            seen.insert(file.id.clone(), file.path.clone());
            first.push(file);
        }
    }
    (first, doubles)
}

/// Reads a file as a member of the set.
pub(crate) fn member(streams: &Streams, file: &StreamFile, fact: Option<&Fact>, chilled: bool) -> FileMember {
    let (key, path) = (Key::stream(file.id.as_str()), file.path.display().to_string());
    let bytes = match fact {
        Some(Fact::Odd(reason)) => Err(reason.clone()),
        _ => read(&file.path),
    };
    let hash = match &bytes {
        Ok(bytes) => fingerprint(bytes),
        Err(reason) => fingerprint(reason.as_bytes()),
    };
    let owner = Owner::File { path: path.clone(), hash: hash.clone() };
    let stored = streams.service.stored(&key);
    // What was accepted once is neither parsed nor linted again.
    let same = stored.is_some_and(|stored| stored.owner == owner && stored.rejected.is_none());
    let content = match bytes {
        Ok(_) if same => Content::Same,
        Ok(bytes) => match streams.file_submission(&file.id, &bytes, chilled) {
            Ok(submission) => Content::Spec(submission),
            Err(Refusal::Error(text)) => Content::Bad(text),
            Err(Refusal::Lints(lints)) => Content::Bad(lints.join("; ")),
        },
        Err(reason) => Content::Bad(reason),
    };
    FileMember { key, path, hash, content }
}

/// Reads a file whole, and nothing that is not one: it never waits.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    file.map_err(|error| error.to_string()).and_then(|file| read_whole(&file))
}

fn read_whole(file: &File) -> Result<Vec<u8>, String> {
    let known = file.metadata().map_err(|error| error.to_string())?;
    if !known.is_file() {
        return Err("it is not a file".into());
    }
    let too_large = |length: u64| format!("it has {length} bytes, at most {MAX_BYTES} are read");
    if known.len() > MAX_BYTES {
        return Err(too_large(known.len()));
    }
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn lay(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn found(arguments: &[String]) -> Found {
        Sources::new(arguments).unwrap().find()
    }

    fn ids(arguments: &[String]) -> Vec<String> {
        found(arguments).files.into_iter().map(|file| file.id).collect()
    }

    #[test]
    fn a_folder_names_streams_by_their_paths() {
        let folder = lay(&[
            "one.yaml",
            "two.yml",
            "sub/deep/x.yaml",
            "three.json",
            ".hidden.yaml",
            "up.YAML",
            "a_benthos_test.yaml",
            "..data/one.yaml",
        ]);
        let argument = folder.path().display().to_string();
        let mut found = ids(std::slice::from_ref(&argument));
        found.sort();
        assert_eq!(found, [".hidden", "one", "sub_deep_x", "two"]);
    }

    #[test]
    fn files_and_globs_name_streams_by_the_file_alone() {
        let folder = lay(&["s/a.yaml", "s/x/b.yaml", "s/c.json", "s/d_benthos_test.yaml"]);
        let at = |path: &str| folder.path().join(path).display().to_string();
        assert_eq!(ids(&[at("s/**/*.yaml")]), ["a", "d_benthos_test", "b"]);
        assert_eq!(ids(&[at("s/c.json")]), ["c.json"]);
        assert_eq!(ids(&[at("s/none*.yaml")]), Vec::<String>::new());
        assert!(Sources::new(&[at("s/nope.yaml")]).is_err());
        assert!(Sources::new(&[at("s/none*.yaml")]).is_ok());
    }

    #[test]
    fn of_two_files_with_one_id_the_first_counts() {
        let folder = lay(&["a/x.yaml", "b/x.yaml"]);
        let at = |path: &str| folder.path().join(path).display().to_string();
        let (first, doubles) = first_of_each(found(&[at("b"), at("a")]).files);
        assert_eq!(first.len(), 1);
        assert!(first[0].path.ends_with("a/x.yaml"));
        assert!(doubles[0].0.path.ends_with("b/x.yaml"));
        assert!(doubles[0].1.ends_with("a/x.yaml"));
    }

    #[test]
    fn links_are_followed_but_never_in_a_circle() {
        let folder = lay(&["s/a.yaml", "elsewhere/b.yaml"]);
        let at = |path: &str| folder.path().join(path);
        symlink("..", at("s/up")).unwrap();
        symlink(".", at("s/self")).unwrap();
        symlink("../elsewhere", at("s/linked")).unwrap();
        symlink("loop.yaml", at("s/loop.yaml")).unwrap();
        symlink("nothing", at("s/none.yaml")).unwrap();
        let found = found(&[at("s").display().to_string()]);
        let ids: Vec<_> = found.files.iter().map(|file| file.id.as_str()).collect();
        assert_eq!(ids, ["a", "linked_b", "loop", "none", "up_elsewhere_b"]);
        assert!(matches!(&found.facts[&at("s/loop.yaml")], Fact::Odd(_)));
        assert!(matches!(&found.facts[&at("s/none.yaml")], Fact::Odd(_)));
        let complaints: Vec<_> = found.complaints.keys().collect();
        assert_eq!(complaints, [&at("s/self"), &at("s/up/s")]);
    }

    #[test]
    fn what_is_no_file_says_so_and_an_empty_folder_is_missing() {
        let folder = lay(&["s/a.txt"]);
        let at = |path: &str| folder.path().join(path);
        let made = std::process::Command::new("mkfifo").arg(at("s/pipe.yaml")).status().unwrap();
        assert!(made.success());
        let _socket = std::os::unix::net::UnixListener::bind(at("s/socket.yaml")).unwrap();
        let seen = found(&[at("s").display().to_string()]);
        let odd =
            |name: &str| matches!(&seen.facts[&at(name)], Fact::Odd(text) if text.contains("not a file"));
        assert!(odd("s/pipe.yaml") && odd("s/socket.yaml"), "{seen:?}");
        assert!(read(&at("s/pipe.yaml")).is_err());
        fs::remove_file(at("s/pipe.yaml")).unwrap();
        fs::remove_file(at("s/socket.yaml")).unwrap();
        let empty = found(&[at("s").display().to_string()]);
        assert_eq!(empty.missing().collect::<Vec<_>>(), [at("s")]);
    }
}

//! Stream files: which there are, what they are called, and when they have changed.

use crate::api::{Refusal, Streams};
use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use weir_control::{
    files::FileMember,
    record::{Key, fingerprint},
};

/// How deep folders are walked.
const MAX_DEPTH: usize = 32;
/// Files taken at most; more are a mistake such as `/`.
const MAX_FILES: usize = 100_000;
/// The largest file that is read.
const MAX_BYTES: u64 = 64 << 20;

/// A stream file and the id of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamFile {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// The stream's id.
    pub(crate) id: String,
}

/// What one argument of the command line stands for.
enum Source<'a> {
    Glob(&'a str),
    Path(&'a Path),
}

fn source(argument: &str) -> Source<'_> {
    if argument.contains(['*', '?', '[']) && !Path::new(argument).exists() {
        Source::Glob(argument)
    } else {
        Source::Path(Path::new(argument))
    }
}

/// Refuses arguments that name nothing; a glob may match nothing.
pub(crate) fn check(arguments: &[String]) -> Result<(), String> {
    for argument in arguments {
        match source(argument) {
            Source::Path(path) => {
                fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            }
            Source::Glob(pattern) => {
                glob::Pattern::new(pattern).map_err(|error| format!("{pattern}: {error}"))?;
            }
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!("stream path {} does not exist: create it or leave it out", path.display())
        }
        _ => format!("stream path {} cannot be read: {error}", path.display()),
    }
}

/// The stream files that arguments stand for, in path order, each id once; those of a second file with the same id
/// are told apart.
pub(crate) fn find(arguments: &[String]) -> (Vec<StreamFile>, Vec<StreamFile>) {
    let mut all = Vec::new();
    for argument in arguments {
        match source(argument) {
            Source::Glob(pattern) => {
                let found = glob::glob(pattern)
                    .map(|found| found.filter_map(Result::ok).collect())
                    .unwrap_or_default();
                let files: Vec<PathBuf> = found;
                all.extend(files.into_iter().filter(|path| path.is_file()).map(|path| named_by_file(&path)));
            }
            Source::Path(path) if path.is_dir() => walk(path, path, 0, &mut all),
            Source::Path(path) if path.is_file() => all.push(named_by_file(path)),
            // Gone since the start: so are its streams.
            Source::Path(_) => {}
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    all.dedup();
    let mut seen = HashSet::new();
    all.into_iter().partition(|file| seen.insert(file.id.clone()))
}

fn walk(root: &Path, folder: &Path, depth: usize, all: &mut Vec<StreamFile>) {
    let Ok(entries) = fs::read_dir(folder) else {
        tracing::warn!("Cannot read folder {}", folder.display());
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if path.is_dir() {
            // Kubernetes keeps the versions of a mounted map in such folders.
            if depth < MAX_DEPTH && !name.starts_with("..") {
                walk(root, &path, depth + 1, all);
            }
            continue;
        }
        let stem = name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml"));
        if stem.is_none_or(|stem| stem.ends_with("_benthos_test")) || all.len() >= MAX_FILES {
            continue;
        }
        let below = path.strip_prefix(root).unwrap_or(&path);
        let parts: Vec<_> = below.iter().map(|part| part.to_string_lossy()).collect();
        all.push(StreamFile { id: without_suffix(&parts.join("_")).to_owned(), path });
    }
}

fn named_by_file(path: &Path) -> StreamFile {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    StreamFile { path: path.to_owned(), id: without_suffix(&name).to_owned() }
}

fn without_suffix(name: &str) -> &str {
    name.strip_suffix(".yaml").or_else(|| name.strip_suffix(".yml")).unwrap_or(name)
}

/// What tells that a file is another one than before, without reading it.
pub(crate) type Marks = BTreeMap<PathBuf, (i64, i64, u64, u64)>;

/// The marks of files; those that are gone have none.
pub(crate) fn marks<'a>(paths: impl Iterator<Item = &'a Path>) -> Marks {
    let mark = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((path.to_owned(), (found.mtime(), found.mtime_nsec(), found.len(), found.ino())))
    };
    paths.filter_map(mark).collect()
}

/// Reads the files as members of the set; one that cannot be read or has lint errors says so.
pub(crate) fn members(streams: &Streams, arguments: &[String], chilled: bool) -> Vec<FileMember> {
    let (files, doubles) = find(arguments);
    for double in doubles {
        let first =
            files.iter().find(|file| file.id == double.id).map(|file| file.path.display().to_string());
        let first = first.unwrap_or_default();
        tracing::error!(
            "Stream file {} is ignored: {first} has the id '{}' already",
            double.path.display(),
            double.id
        );
    }
    files.into_iter().map(|file| member(streams, &file, chilled)).collect()
}

fn member(streams: &Streams, file: &StreamFile, chilled: bool) -> FileMember {
    let path = file.path.display().to_string();
    let bytes = read(&file.path);
    let hash = fingerprint(bytes.as_deref().unwrap_or_default());
    let spec = bytes.and_then(|bytes| {
        streams.file_submission(&file.id, &bytes, chilled).map_err(|refusal| match refusal {
            Refusal::Error(text) => text,
            Refusal::Lints(lints) => lints.join("; "),
        })
    });
    if let Err(reason) = &spec {
        tracing::error!("Stream file {path} is refused: {reason}");
    }
    FileMember { key: Key::stream(file.id.as_str()), path, hash, spec }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_BYTES {
        return Err(format!("the file has {length} bytes, at most {MAX_BYTES} are read"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lay(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    fn ids(arguments: &[String]) -> Vec<String> {
        find(arguments).0.into_iter().map(|file| file.id).collect()
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
        assert!(check(&[at("s/nope.yaml")]).is_err());
        assert!(check(&[at("s/none*.yaml")]).is_ok());
    }

    #[test]
    fn of_two_files_with_one_id_the_first_counts() {
        let folder = lay(&["a/x.yaml", "b/x.yaml"]);
        let at = |path: &str| folder.path().join(path).display().to_string();
        let (files, doubles) = find(&[at("b"), at("a")]);
        assert_eq!(files.len(), 1);
        assert!(files[0].path.ends_with("a/x.yaml"));
        assert!(doubles[0].path.ends_with("b/x.yaml"));
    }
}

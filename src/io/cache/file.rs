//! `file`: a folder with a file for each key.

use async_trait::async_trait;
use bytes::Bytes;
use serde::Deserialize;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::{Component, Path, PathBuf},
    time::Duration,
};
use tokio::task::spawn_blocking;
use weir_core::{
    cache::{Cache, CacheError},
    error::Error,
    field::Field,
    registry::CacheSpec,
    spec::{Body, Example, Status},
};

pub(super) static SPEC: CacheSpec = CacheSpec {
    name: "file",
    summary: "Keeps each value in a file of its own, named by the key.",
    description: "The folder must exist. Values live until they are deleted. A key never leads out of the folder.",
    status: Status::Stable,
    body: Body::Fields(&[Field::string("directory", "The folder.")]),
    examples: &[Example { title: "A folder", config: "directory: ./cache" }],
    build: |node, _| {
        let Config { directory } = node.read()?;
        // As paths are shown: without dots.
        Ok(Box::new(FileCache { directory: directory.components().collect() }))
    },
};

#[derive(Deserialize)]
struct Config {
    directory: PathBuf,
}

struct FileCache {
    directory: PathBuf,
}

fn failed(verb: &str, path: &Path, error: io::Error) -> CacheError {
    CacheError::Other(Error::Failed(format!("{verb} {}: {}", path.display(), Error::from(error))))
}

impl FileCache {
    fn path(&self, key: &str) -> Result<PathBuf, CacheError> {
        let relative = Path::new(key);
        let inside =
            relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
                && relative.components().any(|part| matches!(part, Component::Normal(_)));
        if inside && !key.contains('\0') {
            let directory = self.directory.components().filter(|part| !matches!(part, Component::CurDir));
            return Ok(directory.collect::<PathBuf>().join(relative));
        }
        let folder = self.directory.display();
        Err(CacheError::Other(Error::Failed(format!("key {key:?} is no file in {folder}"))))
    }

    /// Works on the file of a key, off the runtime.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &str,
        work: impl FnOnce(&Path) -> Result<T, CacheError> + Send + 'static,
    ) -> Result<T, CacheError> {
        let path = self.path(key)?;
        spawn_blocking(move || work(&path)).await.map_err(|_| CacheError::Other(Error::Closed))?
    }
}

#[async_trait]
impl Cache for FileCache {
    async fn get(&self, key: &str) -> Result<Bytes, CacheError> {
        self.blocking(key, |path| match std::fs::read(path) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(CacheError::NotFound),
            Err(error) => Err(failed("open", path, error)),
        })
        .await
    }

    async fn set(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        self.blocking(key, move |path| {
            std::fs::write(path, &value).map_err(|error| failed("open", path, error))
        })
        .await
    }

    async fn add(&self, key: &str, value: Bytes, _: Option<Duration>) -> Result<(), CacheError> {
        self.blocking(key, move |path| {
            let opened = OpenOptions::new().write(true).create_new(true).open(path);
            match opened.and_then(|mut file| file.write_all(&value)) {
                Ok(()) => Ok(()),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(CacheError::Exists),
                Err(error) => Err(failed("open", path, error)),
            }
        })
        .await
    }

    async fn delete(&self, key: &str) -> Result<(), CacheError> {
        self.blocking(key, |path| std::fs::remove_file(path).map_err(|error| failed("remove", path, error)))
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keys_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(folder.path().join("secret"), "x").unwrap();
        let cache = FileCache { directory: inside };
        cache.set("a", Bytes::from_static(b"1"), None).await.unwrap();
        assert_eq!(cache.get("a").await.unwrap(), "1");
        assert_eq!(cache.add("a", Bytes::new(), None).await, Err(CacheError::Exists));
        for key in ["../secret", "/etc/hostname", "", ".", "a/../../secret"] {
            assert!(matches!(cache.get(key).await, Err(CacheError::Other(_))), "{key}");
        }
    }
}

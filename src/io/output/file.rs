//! `file`: writes messages to files.

use crate::codec::Codec;
use async_trait::async_trait;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{File, OpenOptions},
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};
use tokio::task::spawn_blocking;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    build_error::BuildError,
    error::Error,
    expression::Interpolated,
    field::Field,
    output::{OutputComponent, Writer},
    registry::OutputSpec,
    spec::{Body, Example, Spec, Status},
};

pub(super) static SPEC: OutputSpec = Spec {
    name: "file",
    summary: "Writes messages to files.",
    description: "Folders that are missing are made. A file appears with its first message.",
    status: Status::Stable,
    body: Body::Fields(&[
        Field::string("path", "The file; expressions choose it for each message.").interpolated(),
        Field::string(
            "codec",
            "`lines` ends each message with a line break, `delim:x` with `x`, `append` with nothing; `all-bytes` \
             makes each message the whole file.",
        )
        .default("lines")
        .suggestions(&["all-bytes", "append", "lines", "delim:x"]),
    ]),
    examples: &[Example { title: "A file a day", config: "path: ./out/${! now().ts_format(\"2006-01-02\") }.ndjson" }],
    build: |node, _| {
        let Config { path, codec } = node.read()?;
        let codec = Codec::parse(&codec).map_err(BuildError::new)?;
        let target = Target { codec: codec.clone(), open: None, unsynced: BTreeSet::new(), buffer: Vec::new() };
        let writer = Box::new(FileOutput { path, codec, target: Arc::new(Mutex::new(target)) });
        Ok(OutputComponent::Writer { writer, max_in_flight: 1 })
    },
};

#[derive(Deserialize)]
struct Config {
    path: Interpolated,
    codec: String,
}

/// Files that were written since the last sync; beyond so many they are synced as they go.
const UNSYNCED: usize = 256;

struct FileOutput {
    path: Interpolated,
    codec: Codec,
    target: Arc<Mutex<Target>>,
}

/// The file that was written last stays open.
struct Target {
    codec: Codec,
    open: Option<(PathBuf, File)>,
    unsynced: BTreeSet<PathBuf>,
    /// Reused from one write to the next.
    buffer: Vec<u8>,
}

impl Target {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        if self.codec.replaces() || self.open.as_ref().is_none_or(|(open, _)| open != path) {
            self.open = None;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut options = OpenOptions::new();
            options.create(true).write(true).truncate(self.codec.replaces()).append(!self.codec.replaces());
            let opened = options.open(path).map_err(|error| open_error(path, &error))?;
            self.open = Some((path.to_owned(), opened));
        }
        if !self.unsynced.contains(path) {
            if self.unsynced.len() >= UNSYNCED {
                self.sync()?;
            }
            self.unsynced.insert(path.to_owned());
        }
        if let Some((_, file)) = &mut self.open {
            file.write_all(bytes)?;
        }
        Ok(())
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let mut folders = BTreeSet::new();
        for path in &self.unsynced {
            match File::open(path) {
                Ok(file) => file.sync_all()?,
                // Somebody took the file away: there is nothing to keep.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            folders.extend(path.parent().map(|folder| if folder == "" { Path::new(".") } else { folder }));
        }
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
        self.unsynced.clear();
        Ok(())
    }
}

/// The error with the path, in the reference's words.
fn open_error(path: &Path, error: &std::io::Error) -> std::io::Error {
    let reason = match error.kind() {
        std::io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        _ => Error::from(std::io::Error::from(error.kind())).to_string(),
    };
    std::io::Error::other(format!("open {}: {reason}", path.display()))
}

impl FileOutput {
    /// Runs on the pool for blocking work, for disks may take their time.
    async fn blocking(
        &self,
        work: impl FnOnce(&mut Target) -> std::io::Result<()> + Send + 'static,
    ) -> Result<(), Error> {
        let target = Arc::clone(&self.target);
        let done =
            spawn_blocking(move || work(&mut target.lock().unwrap_or_else(PoisonError::into_inner))).await;
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Error::Closed),
        }
    }
}

#[async_trait]
impl Writer for FileOutput {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    fn takes_frames(&self) -> bool {
        true
    }

    fn takes_content(&self) -> bool {
        self.path.as_static().is_some()
    }

    async fn write(&self, messages: &[Message]) -> Result<(), WriteError> {
        let mut bytes = {
            let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut target.buffer)
        };
        bytes.clear();
        // Runs of messages for one path, written at once.
        let mut runs: Vec<(PathBuf, usize)> = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            let fixed = self.path.as_static().is_some() && !self.codec.replaces();
            if !fixed || index == 0 {
                // A frame is no batch: each message's path is its own.
                let path = self
                    .path
                    .resolve(std::slice::from_ref(message), 0)
                    .map_err(|error| Error::Failed(format!("path interpolation error: {error}")))?;
                let path = PathBuf::from(OsStr::from_bytes(&path));
                if self.codec.replaces() || runs.last().is_none_or(|(last, _)| *last != path) {
                    runs.push((path, bytes.len()));
                }
            }
            self.codec.write(message, &mut bytes);
        }
        self.blocking(move |target| {
            let ends = runs.iter().skip(1).map(|(_, start)| *start).chain([bytes.len()]);
            for ((path, start), end) in runs.iter().zip(ends) {
                target.write(path, bytes.get(*start..end).unwrap_or_default())?;
            }
            target.buffer = bytes;
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn sync(&self) -> Result<(), Error> {
        self.blocking(Target::sync).await
    }

    async fn close(&self) {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).open = None;
    }
}

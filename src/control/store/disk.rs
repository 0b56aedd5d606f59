//! The few calls that make bytes durable, behind a trait so that tests can make them fail.

use std::{
    fs::File,
    io::{self, Write as _},
    path::Path,
};

/// Writes and syncs.
pub trait Disk: Send + Sync {
    /// Writes all bytes at the file's position.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;

    /// Makes a file's content durable.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Makes a folder's entries durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.sync(&File::open(folder)?)
    }
}

/// The real one.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }
}

/// Whether an error means that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Fails on command.
#[cfg(test)]
pub(crate) mod faulty {
    use super::{Disk, SystemDisk};
    use std::{
        fs::File,
        io,
        sync::{
            Mutex,
            atomic::{AtomicI64, Ordering},
        },
    };

    /// Lets some calls through, then fails every one; negative never fails.
    #[derive(Debug)]
    pub(crate) struct FaultyDisk {
        pub(crate) writes: AtomicI64,
        pub(crate) syncs: AtomicI64,
        pub(crate) kind: io::ErrorKind,
        /// What was called.
        pub(crate) calls: Mutex<Vec<&'static str>>,
    }

    impl FaultyDisk {
        pub(crate) fn new(kind: io::ErrorKind) -> Self {
            Self { writes: AtomicI64::new(-1), syncs: AtomicI64::new(-1), kind, calls: Mutex::default() }
        }

        fn allow(&self, left: &AtomicI64) -> io::Result<()> {
            match left.load(Ordering::SeqCst) {
                0 => Err(io::Error::from(self.kind)),
                n if n > 0 => {
                    left.store(n - 1, Ordering::SeqCst);
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    }

    impl Disk for FaultyDisk {
        fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            self.calls.lock().unwrap().push("write");
            if let Err(error) = self.allow(&self.writes) {
                // A short write, as a disk that fills up makes.
                SystemDisk.write(file, &bytes[..bytes.len() / 2])?;
                return Err(error);
            }
            SystemDisk.write(file, bytes)
        }

        fn sync(&self, file: &File) -> io::Result<()> {
            self.allow(&self.syncs)?;
            SystemDisk.sync(file)?;
            self.calls.lock().unwrap().push("synced");
            Ok(())
        }
    }
}

//! A log file, begun anew each day and when it has grown large, if that is wanted.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use weir_config::service;

/// The largest file that is not begun anew.
const LARGEST: u64 = 100 << 20;
/// A day.
const DAY: Duration = Duration::from_hours(24);

/// A log file as configured.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    /// When its first line was written, as far as is known.
    begun: SystemTime,
    rotate: bool,
    /// How long old files are kept; zero for ever.
    keep: Duration,
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

fn day(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / DAY.as_secs()
}

impl LogFile {
    /// Opens it, to write behind what it holds.
    pub(super) fn open(config: &service::LogFile) -> io::Result<Self> {
        let path = PathBuf::from(&config.path);
        let file = append_to(&path)?;
        let known = file.metadata()?;
        let now = SystemTime::now();
        let begun = if known.len() > 0 { known.modified().unwrap_or(now) } else { now };
        let keep = DAY.saturating_mul(u32::try_from(config.rotate_max_age_days).unwrap_or(0));
        Ok(Self { path, file, length: known.len(), begun, rotate: config.rotate, keep })
    }

    fn write_at(&mut self, bytes: &[u8], now: SystemTime) -> io::Result<usize> {
        let old = self.length > 0 && (day(now) != day(self.begun) || self.length >= LARGEST);
        if self.rotate && old {
            // Should it fail, the log goes on in the file that is there.
            self.begun = now;
            if let Ok(file) = self.set_aside(now) {
                (self.file, self.length) = (file, 0);
            }
        }
        let written = self.file.write(bytes)?;
        self.length += written as u64;
        Ok(written)
    }

    /// Gives the file a name with the time, and begins another.
    fn set_aside(&self, now: SystemTime) -> io::Result<File> {
        let time = jiff::Timestamp::try_from(now).map_err(io::Error::other)?;
        let time = time.strftime("%Y-%m-%dT%H-%M-%S%.3f");
        let (stem, extension) = self.name();
        fs::rename(&self.path, self.path.with_file_name(format!("{stem}-{time}{extension}")))?;
        self.remove_old(now);
        append_to(&self.path)
    }

    /// The file's name before its extension, and the extension with its dot.
    fn name(&self) -> (String, String) {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let extension = self.path.extension().map(|extension| format!(".{}", extension.to_string_lossy()));
        (stem, extension.unwrap_or_default())
    }

    fn remove_old(&self, now: SystemTime) {
        let (stem, extension) = self.name();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let Ok(entries) = fs::read_dir(folder.unwrap_or(Path::new("."))) else { return };
        for entry in entries.filter_map(Result::ok).filter(|_| !self.keep.is_zero()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
            let ours =
                time.is_some_and(|time| time.starts_with(|c: char| c.is_ascii_digit()) && time.len() == 23);
            let age = entry.metadata().and_then(|known| known.modified());
            let age = age.ok().and_then(|modified| now.duration_since(modified).ok());
            if ours && age.is_some_and(|age| age > self.keep) {
                // One that stays is tried again the next day.
                drop(fs::remove_file(entry.path()));
            }
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_at(bytes, SystemTime::now())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<(String, String)> {
        let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut all: Vec<_> = entries
            .map(|entry| {
                (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_file_is_begun_each_day_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.log").display().to_string();
        for other in ["weir-notes.log", "other.log"] {
            fs::write(folder.path().join(other), "kept").unwrap();
        }
        let config = service::LogFile { path, rotate: true, rotate_max_age_days: 2 };
        let mut log = LogFile::open(&config).unwrap();
        let now = SystemTime::now();
        for days in 0..3 {
            log.write_at(format!("{days}").as_bytes(), now + DAY * days).unwrap();
            log.write_at(b".", now + DAY * days).unwrap();
        }
        let texts = |folder: &Path| files(folder).into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        assert_eq!(texts(folder.path()), ["kept", "0.", "1.", "kept", "2."]);
        // By the clock of the files, both old ones were last written now.
        log.write_at(b"9", now + DAY * 9).unwrap();
        assert_eq!(texts(folder.path()), ["kept", "kept", "9"]);
    }

    #[test]
    fn without_rotation_one_file_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weir.log").display().to_string();
        let config = service::LogFile { path, rotate: false, rotate_max_age_days: 1 };
        for days in 0..2 {
            let mut log = LogFile::open(&config).unwrap();
            log.write_at(b"x", SystemTime::now() + DAY * days).unwrap();
        }
        assert_eq!(files(folder.path()), [("weir.log".into(), "xx".into())]);
    }
}

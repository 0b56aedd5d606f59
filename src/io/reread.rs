//! What is read from files, and again when these have changed.

use std::{
    fmt::Display,
    fs,
    os::unix::fs::MetadataExt as _,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long files are believed to be as they were before they are looked at.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What was read from files last.
#[derive(Debug)]
pub struct Reread<T> {
    paths: Vec<String>,
    held: Mutex<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    marks: Vec<Mark>,
    looked: Instant,
}

/// What tells that a file is another than before: its change, length and number.
type Mark = Option<(i64, i64, u64, u64)>;

fn mark(path: &String) -> Mark {
    let known = fs::metadata(path).ok()?;
    Some((known.ctime(), known.ctime_nsec(), known.len(), known.ino()))
}

impl<T> Reread<T> {
    /// Reads what these files hold.
    pub fn new<E>(paths: Vec<String>, read: impl FnOnce(&[String]) -> Result<T, E>) -> Result<Self, E> {
        // The marks come first: what is written meanwhile is seen at the next look.
        let marks = paths.iter().map(mark).collect();
        let held = Held { value: Arc::new(read(&paths)?), marks, looked: Instant::now() };
        Ok(Self { paths, held: Mutex::new(held) })
    }

    /// What they hold now, looked at once a second; as long as they are bad, what they held before.
    pub fn current<E: Display>(&self, read: impl FnOnce(&[String]) -> Result<T, E>) -> Arc<T> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.looked.elapsed() >= LOOK_AFTER {
            held.looked = Instant::now();
            let marks: Vec<Mark> = self.paths.iter().map(mark).collect();
            if marks != held.marks {
                held.marks = marks;
                let paths = self.paths.join(" and ");
                match read(&self.paths) {
                    Ok(value) => {
                        held.value = Arc::new(value);
                        tracing::info!("{paths} was read again");
                    }
                    // One of several may have been written: the old ones serve until all fit.
                    Err(error) => tracing::error!("What {paths} held before stays in use: {error}"),
                }
            }
        }
        Arc::clone(&held.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn files_are_looked_at_once_a_second_and_bad_ones_change_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number").to_string_lossy().into_owned();
        let read = |paths: &[String]| fs::read_to_string(&paths[0]).unwrap_or_default().parse::<u8>();
        fs::write(&path, "1").unwrap();
        let reread = Reread::new(vec![path.clone()], read).unwrap();
        let seen_after = async |text: &str| {
            fs::write(&path, text).unwrap();
            let at_once = *reread.current(read);
            tokio::time::advance(LOOK_AFTER).await;
            (at_once, *reread.current(read))
        };
        assert_eq!(seen_after("22").await, (1, 22));
        assert_eq!(seen_after("bad").await, (22, 22));
        assert_eq!(seen_after("3").await, (22, 3));
    }
}

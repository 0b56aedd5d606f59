//! Files that are removed once all of them is delivered.

use std::{
    mem,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};
use tokio::task::JoinHandle;

/// Removals on their way.
#[derive(Default)]
pub(crate) struct Removals(Mutex<Vec<JoinHandle<()>>>);

impl Removals {
    /// Removes a file, without making the caller wait for the disk.
    pub(crate) fn remove(&self, path: PathBuf) {
        let removal = tokio::task::spawn_blocking(move || {
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::error!("Failed to delete consumed file {}: {error}", path.display());
            }
        });
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|removal| !removal.is_finished());
        under_way.push(removal);
    }

    /// Waits for all of them: a process that ends would leave out those that have not begun.
    pub(crate) async fn finish(&self) {
        let under_way = mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for removal in under_way {
            // One that panicked has nothing left to do.
            drop(removal.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_left_once_they_are_finished() {
        let folder = tempfile::tempdir().unwrap();
        let removals = Removals::default();
        for number in 0..300 {
            let path = folder.path().join(number.to_string());
            std::fs::write(&path, "").unwrap();
            removals.remove(path);
        }
        removals.finish().await;
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

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

    #[test]
    fn they_are_waited_for_though_no_thread_is_free() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap().into_temp_path();
        let (free, busy) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let occupied = tokio::task::spawn_blocking(move || busy.recv());
            let removals = Removals::default();
            removals.remove(file.to_path_buf());
            let finish = removals.finish();
            tokio::pin!(finish);
            tokio::select! {
                biased;
                () = &mut finish => panic!("nothing was removed yet"),
                () = std::future::ready(()) => free.send(()).unwrap(),
            }
            finish.await;
            assert!(!file.exists());
            occupied.await.unwrap().unwrap();
        });
    }
}

//! Each batch to one of the outputs: in turn, or whichever is free.

use async_trait::async_trait;
use futures_util::future::join_all;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Semaphore;
use weir_core::{error::Error, frame::Frame, output::Output};

/// One output after the other.
pub(super) struct RoundRobin {
    outputs: Vec<Arc<dyn Output>>,
    next: AtomicUsize,
}

impl RoundRobin {
    pub(super) fn new(outputs: Vec<Arc<dyn Output>>) -> Self {
        Self { outputs, next: AtomicUsize::new(0) }
    }
}

#[async_trait]
impl Output for RoundRobin {
    async fn connect(&self) {
        join_all(self.outputs.iter().map(|output| output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        let first = self.next.fetch_add(frame.len(), Ordering::Relaxed);
        let (messages, marks, origin) = frame.into_parts();
        let mut parts: Vec<Frame> = self.outputs.iter().map(|_| Frame::new(Arc::clone(&origin))).collect();
        let (count, mut messages, mut start) = (self.outputs.len(), messages.into_iter(), 0);
        for (index, mark) in marks.iter().enumerate() {
            let batch = messages.by_ref().take((mark.end - start) as usize);
            start = mark.end;
            if let Some(part) = parts.get_mut(first.wrapping_add(index) % count) {
                part.push(batch, mark.slot);
            }
        }
        let sent = self.outputs.iter().zip(parts).filter(|(_, part)| !part.is_empty());
        join_all(sent.map(|(output, part)| output.send(part))).await;
    }

    async fn flush(&self) {
        join_all(self.outputs.iter().map(|output| output.flush())).await;
    }

    async fn sync(&self) -> Result<(), Error> {
        for output in &self.outputs {
            output.sync().await?;
        }
        Ok(())
    }

    async fn close(&self) {
        join_all(self.outputs.iter().map(|output| output.close())).await;
    }
}

/// Whichever output is free.
pub(super) struct Greedy {
    outputs: Vec<Arc<dyn Output>>,
    free: Arc<Free>,
}

struct Free {
    permits: Arc<Semaphore>,
    outputs: Mutex<Vec<usize>>,
}

impl Greedy {
    pub(super) fn new(outputs: Vec<Arc<dyn Output>>) -> Self {
        let permits = Arc::new(Semaphore::new(outputs.len()));
        let free = Arc::new(Free { permits, outputs: Mutex::new((0..outputs.len()).rev().collect()) });
        Self { outputs, free }
    }
}

/// An output while it is sent to; dropped, it is free again.
struct Taken {
    free: Arc<Free>,
    at: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.free.outputs.lock().unwrap_or_else(PoisonError::into_inner).push(self.at);
        self.free.permits.add_permits(1);
    }
}

#[async_trait]
impl Output for Greedy {
    async fn connect(&self) {
        join_all(self.outputs.iter().map(|output| output.connect())).await;
    }

    async fn send(&self, frame: Frame) {
        for single in frame.into_singles() {
            let Ok(permit) = self.free.permits.acquire().await else { return };
            permit.forget();
            let at = self.free.outputs.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or(0);
            let taken = Taken { free: Arc::clone(&self.free), at };
            let Some(output) = self.outputs.get(at).cloned() else { return };
            tokio::spawn(async move {
                output.send(single).await;
                drop(taken);
            });
        }
    }

    async fn flush(&self) {
        join_all(self.outputs.iter().map(|output| output.flush())).await;
    }

    async fn sync(&self) -> Result<(), Error> {
        for output in &self.outputs {
            output.sync().await?;
        }
        Ok(())
    }

    async fn close(&self) {
        let all = u32::try_from(self.outputs.len()).unwrap_or(u32::MAX);
        drop(self.free.permits.acquire_many(all).await);
        join_all(self.outputs.iter().map(|output| output.close())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::kept::testing::{Book, Child, frame};

    #[tokio::test]
    async fn batches_take_turns_also_within_a_frame() {
        let (book, one, two): (Arc<Book>, _, _) = (Arc::default(), Child::new(&[]), Child::new(&["d"]));
        let output =
            RoundRobin::new(vec![Arc::clone(&one) as Arc<dyn Output>, Arc::clone(&two) as Arc<dyn Output>]);
        output.send(frame(&book, &[&["a", "b"], &["c"], &["d"]])).await;
        output.send(frame(&book, &[&["d"], &["e"]])).await;
        assert_eq!(one.received(), ["a b", "d", "e"]);
        assert_eq!(two.received(), ["c", "d"]);
        assert_eq!(book.sorted(), ["0 ok", "0 refused d [0]", "1 ok", "1 ok", "2 ok"]);
    }

    #[tokio::test]
    async fn a_free_output_takes_the_next_batch() {
        let (book, one, two): (Arc<Book>, _, _) = (Arc::default(), Child::new(&[]), Child::new(&[]));
        let output =
            Greedy::new(vec![Arc::clone(&one) as Arc<dyn Output>, Arc::clone(&two) as Arc<dyn Output>]);
        output.send(frame(&book, &[&["a"], &["b"], &["c"], &["d"], &["e"]])).await;
        output.close().await;
        assert_eq!(one.received().len() + two.received().len(), 5);
        assert_eq!(book.sorted().len(), 5);
    }
}

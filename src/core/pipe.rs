//! Pipes: batches from one stream to another within the process (`inproc`), acks included.

use crate::input::Next;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::{Notify, mpsc};

/// The sending end of a pipe.
pub type PipeSender = mpsc::Sender<Next>;
/// The receiving end of a pipe, which its readers share.
pub type PipeReceiver = Arc<tokio::sync::Mutex<mpsc::Receiver<Next>>>;

/// The named pipes of this process. The output registers a name; the last registration wins.
#[derive(Default)]
pub struct Pipes {
    named: Mutex<HashMap<String, (u64, PipeReceiver)>>,
    changed: Notify,
}

impl Pipes {
    /// Opens a pipe under this name; drop the sender and call [`remove`](Self::remove) to close it.
    pub fn open(&self, name: &str) -> (u64, PipeSender) {
        let (sender, receiver) = mpsc::channel(1);
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        let number = named.get(name).map_or(0, |(number, _)| number + 1);
        named.insert(name.to_owned(), (number, Arc::new(tokio::sync::Mutex::new(receiver))));
        drop(named);
        self.changed.notify_waiters();
        (number, sender)
    }

    /// Forgets a pipe, unless another one took its name.
    pub fn remove(&self, name: &str, number: u64) {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        if named.get(name).is_some_and(|(current, _)| *current == number) {
            named.remove(name);
        }
    }

    /// Waits until a pipe of this name other than `not` exists, and gives its number and receiving end.
    pub async fn find(&self, name: &str, not: Option<u64>) -> (u64, PipeReceiver) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some((number, receiver)) =
                self.named.lock().unwrap_or_else(PoisonError::into_inner).get(name)
                && Some(*number) != not
            {
                return (*number, Arc::clone(receiver));
            }
            changed.await;
        }
    }
}

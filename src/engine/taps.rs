//! Taps: copies of messages as they pass, for who looks on. No stream waits for who looks on.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::{sync::mpsc, time::Instant};
use weir_bloblang::Message;
use weir_core::component::Component;

/// Messages on their way to one who looks on.
const WAITING: usize = 32;
/// Messages that one is shown in a second.
const A_SECOND: u32 = 100;
/// Bytes of a message that are shown.
const SHOWN: usize = 64 << 10;
/// Who may look on at one stream at once.
const LOOKERS: usize = 16;

/// A message that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its content, or the beginning of it.
    pub content: Vec<u8>,
    /// Whether it has more.
    pub truncated: bool,
    /// Its metadata.
    pub metadata: Vec<(String, String)>,
    /// Its error.
    pub error: Option<String>,
}

struct Looker {
    at: String,
    to: mpsc::Sender<Seen>,
    /// How many it may still be shown in the second that began then.
    left: (Instant, u32),
}

/// The taps of one stream: where its messages can be looked at, as inputs give them, as outputs get them, and as they
/// come out of processors and the buffer. A place is a component's path, such as `pipeline.processors.1`.
#[derive(Default)]
pub struct Taps {
    is_open: AtomicBool,
    places: Mutex<Vec<Arc<Component>>>,
    /// Made for the first who looks on.
    lookers: OnceLock<Mutex<Vec<Looker>>>,
}

fn seen(message: &Message) -> Seen {
    let content = message.content();
    let metadata = message.metadata().iter();
    Seen {
        content: content.get(..SHOWN).unwrap_or(content).to_vec(),
        truncated: content.len() > SHOWN,
        metadata: metadata
            .map(|(key, value)| (key.as_str().into_owned(), value.to_text().as_str().into_owned()))
            .collect(),
        error: message.error().map(|error| error.text.clone()),
    }
}

/// A component's path as its users write it.
fn bare(path: &str) -> &str {
    path.strip_prefix("root.").unwrap_or(path)
}

impl Taps {
    /// Messages of this component can be looked at.
    pub(crate) fn add(&self, component: &Arc<Component>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        // Children that change while a stream runs come again and again.
        if !places.iter().any(|known| known.path == component.path) {
            places.push(Arc::clone(component));
        }
    }

    /// Where messages can be looked at.
    pub fn places(&self) -> Vec<String> {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.iter().map(|component| bare(&component.path).to_owned()).collect()
    }

    /// Lets someone look on until the receiver is dropped; `None` when there are too many already.
    pub fn open(&self, at: &str) -> Option<mpsc::Receiver<Seen>> {
        let (to, seen) = mpsc::channel(WAITING);
        let mut lookers = self.lookers.get_or_init(Mutex::default).lock().ok()?;
        lookers.retain(|looker| !looker.to.is_closed());
        if lookers.len() >= LOOKERS {
            return None;
        }
        lookers.push(Looker { at: bare(at).to_owned(), to, left: (Instant::now(), A_SECOND) });
        self.is_open.store(true, Ordering::Release);
        Some(seen)
    }

    /// Messages pass.
    pub(crate) fn pass(&self, at: &str, messages: &[Message]) {
        if self.is_open.load(Ordering::Relaxed) {
            self.show(at, messages);
        }
    }

    #[cold]
    fn show(&self, at: &str, messages: &[Message]) {
        // Another thread is at it: it shows enough.
        let Some(Ok(mut lookers)) = self.lookers.get().map(Mutex::try_lock) else { return };
        lookers.retain(|looker| !looker.to.is_closed());
        self.is_open.store(!lookers.is_empty(), Ordering::Release);
        for looker in lookers.iter_mut().filter(|looker| looker.at == bare(at)) {
            if looker.left.0.elapsed().as_secs() > 0 {
                looker.left = (Instant::now(), A_SECOND);
            }
            for message in messages {
                if looker.left.1 == 0 {
                    break;
                }
                let Ok(place) = looker.to.try_reserve() else { break };
                place.send(seen(message));
                looker.left.1 -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice::from_ref;

    #[tokio::test(start_paused = true)]
    async fn who_looks_on_is_shown_some_of_what_passes_there() {
        let taps = Taps::default();
        let message = Message::new("x".repeat(SHOWN + 1));
        taps.pass("input", from_ref(&message));
        let mut input = taps.open("input").unwrap();
        let mut output = taps.open("output").unwrap();
        taps.pass("input", from_ref(&message));
        let first = input.try_recv().unwrap();
        assert_eq!((first.content.len(), first.truncated), (SHOWN, true));
        assert!(output.try_recv().is_err());
        // What is not taken is not kept.
        taps.pass("input", &vec![message.clone(); 1000]);
        assert_eq!(std::iter::from_fn(|| input.try_recv().ok()).count(), WAITING);
        for _ in 0..10 {
            taps.pass("input", &vec![message.clone(); 10]);
            while input.try_recv().is_ok() {}
        }
        assert_eq!(taps.lookers.get().unwrap().lock().unwrap()[0].left.1, 0, "no more in this second");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        taps.pass("input", from_ref(&message));
        assert!(input.try_recv().is_ok());
        drop((input, output));
        taps.pass("input", &[message]);
        assert!(!taps.is_open.load(Ordering::Relaxed));
    }
}

//! Marks: which stream each thread works for right now, in a file that outlives the process.
//!
//! The file is mapped into memory: a mark costs a few stores, and stays where it is when the process dies.

use std::{
    cell::RefCell,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};
use vm_memory::{Bytes as _, FileOffset, MmapRegion, VolatileMemory as _};

/// Threads that can be marked; others go without.
const PLACES: usize = 256;
/// Bytes of a thread's place: its state, the length of its text, and the text.
const SIZE: usize = 512;
/// Where the text begins.
const TEXT: usize = 8;
/// The states of a place: nobody's, inside a task, and from then on inside one of its steps.
const FREE: u32 = 0;
const INSIDE: u32 = 1;

/// Marks of all threads.
pub struct Marks {
    memory: MmapRegion,
    free: Mutex<Vec<usize>>,
}

/// What a thread was inside of when the process died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The stream.
    pub stream: String,
    /// Its generation.
    pub generation: u64,
    /// The component's path, as far as it is known.
    pub path: String,
}

/// The marks of one stream.
#[derive(Clone)]
pub struct Mark {
    marks: Arc<Marks>,
    /// Tells this mark from all others.
    number: u64,
    name: Arc<str>,
}

/// A thread's place, until the thread ends.
struct Held {
    marks: Arc<Marks>,
    at: usize,
    /// What is written there.
    written: (u64, &'static str),
}

impl Drop for Held {
    fn drop(&mut self) {
        self.marks.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.at);
    }
}

thread_local! {
    static HELD: RefCell<Option<Held>> = const { RefCell::new(None) };
}

impl Marks {
    /// Begins a new file of marks.
    pub fn create(path: &Path) -> io::Result<Arc<Self>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        // Written rather than lengthened: a mapped hole on a full disk would end the process.
        file.write_all(&vec![0; PLACES * SIZE])?;
        Self::over(file)
    }

    fn over(file: File) -> io::Result<Arc<Self>> {
        let memory =
            MmapRegion::from_file(FileOffset::new(file, 0), PLACES * SIZE).map_err(io::Error::other)?;
        Ok(Arc::new(Self { memory, free: Mutex::new((0..PLACES).rev().collect()) }))
    }

    /// A mark for one run of a stream.
    pub fn of(self: &Arc<Self>, stream: &str, generation: u64) -> Mark {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Mark { marks: Arc::clone(self), number, name: format!("{generation}\0{stream}").into() }
    }

    /// The marks in a file that a process left behind.
    pub fn read(path: &Path) -> io::Result<Vec<Found>> {
        let bytes = fs::read(path)?;
        Ok(bytes.chunks_exact(SIZE).filter_map(found).collect())
    }

    fn set(&self, at: usize, state: u32) {
        if let Ok(place) = self.memory.get_atomic_ref::<AtomicU32>(at * SIZE) {
            // Only another process reads it, after this one.
            place.store(state, Ordering::Release);
        }
    }

    fn write(&self, at: usize, task: &str, name: &str) {
        let mut text = format!("{task}\0{name}");
        text.truncate(text.floor_char_boundary(SIZE - TEXT));
        let Ok(place) = self.memory.get_slice(at * SIZE, SIZE) else { return };
        // Both fit, so that neither can fail.
        let length = u32::try_from(text.len()).unwrap_or_default().to_le_bytes();
        let _written = place.write_slice(&length, 4).and_then(|()| place.write_slice(text.as_bytes(), TEXT));
    }
}

/// What a place says.
fn found(place: &[u8]) -> Option<Found> {
    let word = |at: usize| Some(u32::from_le_bytes(place.get(at..at + 4)?.try_into().ok()?));
    let (state, length) = (word(0).filter(|state| *state != FREE)?, usize::try_from(word(4)?).ok()?);
    let text = String::from_utf8_lossy(place.get(TEXT..TEXT + length)?).into_owned();
    let (task, name) = text.split_once('\0')?;
    let (generation, stream) = name.split_once('\0')?;
    let path = match state.checked_sub(INSIDE + 1) {
        Some(step) => format!("{task}.processors.{step}"),
        None => task.to_owned(),
    };
    Some(Found { stream: stream.to_owned(), generation: generation.parse().ok()?, path })
}

/// A mark that goes when it is dropped.
struct Inside<'a>(Option<(&'a Marks, usize)>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        if let Some((marks, at)) = self.0 {
            marks.set(at, FREE);
        }
    }
}

impl Mark {
    fn enter(&self, task: &'static str) -> Inside<'_> {
        let at = HELD.try_with(|held| {
            let mut held = held.borrow_mut();
            if held.as_ref().is_none_or(|held| !Arc::ptr_eq(&held.marks, &self.marks)) {
                let at = self.marks.free.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
                *held = Some(Held { marks: Arc::clone(&self.marks), at, written: (0, "") });
            }
            let held = held.as_mut()?;
            if held.written != (self.number, task) {
                self.marks.write(held.at, task, &self.name);
                held.written = (self.number, task);
            }
            self.marks.set(held.at, INSIDE);
            Some(held.at)
        });
        // A thread that is ending has no place any more.
        Inside(at.ok().flatten().map(|at| (&*self.marks, at)))
    }

    /// Does something under this mark.
    pub fn cover<T>(&self, task: &'static str, work: impl FnOnce() -> T) -> T {
        let _inside = self.enter(task);
        work()
    }
}

/// Runs a task under its mark: it is there while the task is being polled.
///
/// The work is boxed: a future that is given by value lies in its taker twice, which ten thousand idle streams would pay.
pub(crate) fn marked<T>(
    mark: Option<Mark>,
    task: &'static str,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let mut work = Box::pin(work);
    std::future::poll_fn(move |cx| {
        let _inside = mark.as_ref().map(|mark| mark.enter(task));
        work.as_mut().poll(cx)
    })
}

/// Whose turn it is in a chain of processors: for the report of a panic and, in a pipeline, for the thread's mark.
pub(crate) struct Turn {
    step: AtomicUsize,
    marked: bool,
}

impl Turn {
    /// Nobody's turn yet.
    pub(crate) fn new(marked: bool) -> Self {
        Self { step: AtomicUsize::new(usize::MAX), marked }
    }

    pub(crate) fn set(&self, step: usize) {
        self.step.store(step, Ordering::Relaxed);
        if self.marked {
            let state = u32::try_from(step).unwrap_or_default().saturating_add(INSIDE + 1);
            let _told = HELD.try_with(|held| {
                if let Some(held) = &*held.borrow() {
                    held.marks.set(held.at, state);
                }
            });
        }
    }

    pub(crate) fn step(&self) -> usize {
        self.step.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_mark_says_what_a_thread_is_inside_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks");
        let marks = Marks::create(&path).unwrap();
        let look = || {
            Marks::read(&path).unwrap().into_iter().map(|found| (found.stream, found.generation, found.path))
        };
        let seen = || look().collect::<Vec<_>>();
        let (long, turn) = ("é".repeat(400), Turn::new(true));
        let (a, b) = (marks.of("a", 3), marks.of(&long, 1));
        assert_eq!(seen(), []);
        a.cover("input", || assert_eq!(seen(), [("a".to_owned(), 3, "input".to_owned())]));
        marked(Some(a), "pipeline", async {
            turn.set(2);
            assert_eq!(seen(), [("a".to_owned(), 3, "pipeline.processors.2".to_owned())]);
            tokio::task::yield_now().await;
            assert_eq!(seen()[0].2, "pipeline");
        })
        .await;
        assert_eq!(seen(), []);
        std::thread::spawn(move || b.cover("output", || assert!(long.starts_with(&seen_name(&path)))))
            .join()
            .unwrap();
        assert_eq!(marks.free.lock().unwrap().len(), PLACES - 1, "a thread gives its place back");
    }

    fn seen_name(path: &Path) -> String {
        let found = Marks::read(path).unwrap();
        assert_eq!(found.len(), 1);
        found[0].stream.clone()
    }

    #[test]
    fn rubbish_is_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("marks");
        fs::write(&path, [[0xff; SIZE], [1; SIZE], [0; SIZE]].concat()).unwrap();
        assert_eq!(Marks::read(&path).unwrap(), []);
    }
}

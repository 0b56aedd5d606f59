//! A stream: input, buffer, pipeline workers and output as tasks that end together.

use crate::{
    chain::Chain,
    marks::{Mark, Turn, marked},
    processed::Passage,
    taps::Taps,
};
use futures_util::FutureExt;
use std::{
    any::Any,
    future::poll_fn,
    panic::{AssertUnwindSafe, resume_unwind},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, RwLock, mpsc, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::error;
use weir_bloblang::Message;
use weir_core::{
    buffer::Buffer,
    context::Environment,
    frame::{Frame, MAX_BYTES},
    input::{Input, Next},
    output::Output,
    processor::Processor,
    view::View,
};

/// How a stream came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Its input ended and everything was delivered.
    Completed,
    /// It was told to stop.
    Stopped,
    /// Something broke that only a new start can mend.
    Failed(String),
}

/// A stream that was built and does nothing yet.
pub struct Stream {
    pub(crate) environment: Environment,
    pub(crate) input: Box<dyn Input>,
    pub(crate) buffer: Option<Arc<dyn Buffer>>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) threads: usize,
    pub(crate) output: Arc<dyn Output>,
    pub(crate) view: View,
    pub(crate) taps: Arc<Taps>,
    pub(crate) mark: Option<Mark>,
}

/// A stream that was started.
pub struct Running {
    environment: Environment,
    output: Arc<dyn Output>,
    view: View,
    taps: Arc<Taps>,
    started: Instant,
    end: watch::Receiver<Option<(End, Duration)>>,
    supervisor: tokio::task::AbortHandle,
}

/// Frames under way between two tasks; more would only add latency.
const CHANNEL: usize = 2;
/// Frames before the output, and how many of them it is given at once: a writer's round trip is paid once for them.
const READY: usize = 4;
/// A worker lets others begin before it works on so many messages, or on so many bytes in fewer.
const MUCH: usize = 32;
const MUCH_BYTES: usize = 16 << 10;
/// What travels between two tasks. Boxed, for a channel keeps room for 32 of them.
type Item = Box<Next>;

impl Stream {
    /// What can be seen of it.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Lets its threads be marked while they work for it.
    #[must_use]
    pub fn marked(self, mark: Option<Mark>) -> Self {
        Self { mark, ..self }
    }

    /// Runs it on `runtime`.
    pub fn start(self, runtime: &Handle) -> Running {
        let Self { environment, input, buffer, chain, threads, output, view, taps, mark } = self;
        let started = Instant::now();
        let (told, end) = watch::channel(None);
        let mut tasks: JoinSet<()> = JoinSet::new();
        let (to_output, for_output) = mpsc::channel(READY);
        let to_pipeline = if chain.len() == 0 {
            to_output
        } else {
            let (to_pipeline, for_pipeline) = mpsc::channel(CHANNEL);
            let pipeline = Arc::new(Pipeline {
                frames: Mutex::new(for_pipeline),
                working: RwLock::new(()),
                chain: Arc::clone(&chain),
                writes_out: output.takes_content(),
            });
            for _ in 0..threads {
                let (pipeline, to_output, mark) = (Arc::clone(&pipeline), to_output.clone(), mark.clone());
                tasks.spawn_on(async move { pipeline.work(to_output, mark).await }, runtime);
            }
            to_pipeline
        };
        match buffer {
            None => {
                tasks.spawn_on(
                    placed(mark.clone(), "input", read(input, to_pipeline, Arc::clone(&taps))),
                    runtime,
                );
            }
            Some(buffer) => {
                tasks.spawn_on(
                    placed(mark.clone(), "input", fill(input, Arc::clone(&buffer), Arc::clone(&taps))),
                    runtime,
                );
                let emptied = empty(buffer, to_pipeline, environment.hard_stop.clone(), Arc::clone(&taps));
                tasks.spawn_on(placed(mark.clone(), "buffer", emptied), runtime);
            }
        }
        tasks.spawn_on(
            placed(mark, "output", write(Arc::clone(&output), for_output, Arc::clone(&taps))),
            runtime,
        );
        let supervised = supervise(tasks, chain, environment.clone());
        let supervisor = runtime
            .spawn(async move {
                let how = supervised.await;
                told.send_replace(Some((how, started.elapsed())));
            })
            .abort_handle();
        Running { environment, output, view, taps, started, end, supervisor }
    }
}

impl Running {
    /// What can be seen of it.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Where its messages can be looked at.
    pub fn taps(&self) -> &Taps {
        &self.taps
    }

    /// How long it has run, or did run.
    pub fn uptime(&self) -> Duration {
        self.end.borrow().as_ref().map_or_else(|| self.started.elapsed(), |(_, uptime)| *uptime)
    }

    /// How it ended, if it did.
    pub fn ended(&self) -> Option<End> {
        self.end.borrow().as_ref().map(|(end, _)| end.clone())
    }

    /// Waits for its end.
    pub async fn wait(&self) -> End {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await.as_deref() {
            Ok(Some((end, _))) => end.clone(),
            _ => End::Failed("aborted".into()),
        }
    }

    /// Makes what was delivered survive a power cut.
    pub async fn sync(&self) -> Result<(), weir_core::error::Error> {
        self.output.sync().await
    }

    /// Lets the input stop and what is in flight end, for three quarters of `budget`; then ends everything.
    pub async fn stop(&self, budget: Duration) -> End {
        self.environment.soft_stop.cancel();
        let deadline = Instant::now() + budget;
        let graceful =
            if budget > Duration::from_secs(1) { Instant::now() + budget.mul_f64(0.75) } else { deadline };
        if let Ok(end) = timeout_at(graceful, self.wait()).await {
            return end;
        }
        self.environment.hard_stop.cancel();
        if let Ok(end) = timeout_at(deadline.max(Instant::now() + GRACE), self.wait()).await {
            return end;
        }
        self.supervisor.abort();
        End::Stopped
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.environment.soft_stop.cancel();
        self.environment.hard_stop.cancel();
    }
}

/// How long tasks have to end by themselves once everything is told to.
const GRACE: Duration = Duration::from_secs(1);

/// Waits for all tasks; a panic in one ends the others.
async fn supervise(mut tasks: JoinSet<()>, chain: Arc<Chain>, environment: Environment) -> End {
    let mut failure = None;
    while let Some(done) = tasks.join_next().await {
        let Err(reason) = done else { continue };
        if let (None, Ok(panic)) = (&failure, reason.try_into_panic()) {
            let text = panic_text(&*panic);
            error!(stream = environment.stream, "Stream failed: {text}");
            failure = Some(text.to_owned());
        }
        environment.hard_stop.cancel();
        let deadline = Instant::now() + GRACE;
        while let Ok(Some(_)) = timeout_at(deadline, tasks.join_next()).await {}
        tasks.abort_all();
    }
    Processor::close(&*chain).await;
    match failure {
        Some(text) => End::Failed(text),
        None if environment.soft_stop.is_cancelled() || environment.hard_stop.is_cancelled() => End::Stopped,
        None => End::Completed,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Runs a task and says where it panicked, if it does.
async fn placed(mark: Option<Mark>, place: &'static str, task: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(marked(mark, place, task)).catch_unwind().await {
        resume_unwind(Box::new(format!("panic at root.{place}: {}", panic_text(&*panic))));
    }
}

async fn read(mut input: Box<dyn Input>, to: mpsc::Sender<Item>, taps: Arc<Taps>) {
    loop {
        let next = input.next().await;
        if let Next::Frame(frame) = &next {
            taps.pass("input", frame.messages());
        }
        if matches!(next, Next::End) || to.send(Box::new(next)).await.is_err() {
            break;
        }
    }
    // What is downstream ends while the source is freed.
    drop(to);
    input.close().await;
}

async fn fill(mut input: Box<dyn Input>, buffer: Arc<dyn Buffer>, taps: Arc<Taps>) {
    loop {
        match input.next().await {
            Next::Frame(frame) => {
                taps.pass("input", frame.messages());
                buffer.push(frame).await;
            }
            Next::Flush => {}
            Next::End => break,
        }
    }
    buffer.finish().await;
    input.close().await;
}

async fn empty(
    buffer: Arc<dyn Buffer>,
    to: mpsc::Sender<Item>,
    hard_stop: CancellationToken,
    taps: Arc<Taps>,
) {
    loop {
        let next = tokio::select! {
            biased;
            () = hard_stop.cancelled() => return,
            next = buffer.pop() => next,
        };
        if let Next::Frame(frame) = &next {
            taps.pass("buffer", frame.messages());
        }
        if matches!(next, Next::End) || to.send(Box::new(next)).await.is_err() {
            return;
        }
    }
}

async fn write(output: Arc<dyn Output>, mut frames: mpsc::Receiver<Item>, taps: Arc<Taps>) {
    let first = {
        // Connecting starts at once and never holds back a frame, for outputs wait by themselves.
        let connected = output.connect();
        tokio::pin!(connected);
        tokio::select! {
            biased;
            () = &mut connected => frames.recv().await,
            first = frames.recv() => first,
        }
    };
    let mut next = first;
    while let Some(item) = next {
        let mut after = None;
        match *item {
            Next::Frame(frame) => {
                let mut ready = vec![frame];
                while after.is_none()
                    && ready.len() < READY
                    && let Ok(item) = frames.try_recv()
                {
                    match *item {
                        Next::Frame(frame) => ready.push(frame),
                        other => after = Some(Box::new(other)),
                    }
                }
                let frame = Frame::gather(ready);
                taps.pass("output", frame.messages());
                output.send(frame).await;
            }
            Next::Flush => output.flush().await,
            Next::End => break,
        }
        next = match after {
            None => frames.recv().await,
            after => after,
        };
    }
    output.close().await;
}

/// Goes to the end of the thread's queue, from where an idle thread may take it. What this task has just woken is bound
/// to its thread until it waits: it runs now, not after the frame.
async fn step_aside() {
    let mut aside = false;
    poll_fn(|task| {
        if std::mem::replace(&mut aside, true) {
            return Poll::Ready(());
        }
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Whether working on these messages takes longer than handing a frame to another thread.
fn is_much(messages: &[Message]) -> bool {
    messages.len() >= MUCH || messages.iter().map(Message::written_len).sum::<usize>() >= MUCH_BYTES
}

/// What the workers of a pipeline share.
struct Pipeline {
    frames: Mutex<mpsc::Receiver<Item>>,
    /// Read while a frame is worked; written to wait for all workers.
    working: RwLock<()>,
    chain: Arc<Chain>,
    /// Whether the output wants nothing but content.
    writes_out: bool,
}

impl Pipeline {
    async fn work(&self, to: mpsc::Sender<Item>, mark: Option<Mark>) {
        let at = Turn::new(mark.is_some());
        let work = marked(mark, "pipeline", self.work_frames(to, &at));
        if let Err(panic) = AssertUnwindSafe(work).catch_unwind().await {
            let component = self.chain.component(at.step());
            let place = component.map_or("root.pipeline", |component| &component.path);
            resume_unwind(Box::new(format!("panic at {place}: {}", panic_text(&*panic))));
        }
    }

    async fn work_frames(&self, to: mpsc::Sender<Item>, at: &Turn) {
        loop {
            let mut frames = self.frames.lock().await;
            match frames.recv().await.map(|item| *item) {
                Some(Next::Frame(frame)) => {
                    let _working = self.working.read().await;
                    drop(frames);
                    if is_much(frame.messages()) {
                        step_aside().await;
                    }
                    // Boxed, for it is large, and an idle worker keeps room for what it awaits.
                    Box::pin(self.pass(frame, &to, at)).await;
                }
                Some(Next::Flush) => {
                    // Taken while no other worker can begin a frame.
                    drop(self.working.write().await);
                    drop(to.send(Box::new(Next::Flush)).await);
                }
                Some(Next::End) | None => return,
            }
        }
    }

    /// Sends on what a frame becomes: each part as soon as the writer has room, and until then joined to the next.
    async fn pass(&self, frame: Frame, to: &mpsc::Sender<Item>, at: &Turn) {
        let mut passage = Passage::new(&self.chain, frame, at);
        // What waits for room, and the bytes that were joined to its first part.
        let mut ready: Option<(Frame, usize)> = None;
        loop {
            let made = {
                let next = passage.next(&self.chain, at);
                tokio::pin!(next);
                loop {
                    tokio::select! {
                        biased;
                        room = to.reserve(), if ready.is_some() => {
                            // The writer is gone only when the stream is torn down; what is ready then fails back.
                            if let (Ok(room), Some((frame, _))) = (room, ready.take()) {
                                room.send(Box::new(Next::Frame(frame)));
                            }
                        }
                        made = &mut next => break made,
                    }
                }
            };
            let Some(mut made) = made else { break };
            if self.writes_out {
                made.write_out();
            }
            let apart = match &mut ready {
                Some((frame, bytes)) => {
                    *bytes += made.messages().iter().map(Message::len).sum::<usize>();
                    if *bytes > MAX_BYTES { Some(made) } else { frame.join(made) }
                }
                None => Some(made),
            };
            if let Some((before, _)) = apart.and_then(|apart| ready.replace((apart, 0))) {
                drop(to.send(Box::new(Next::Frame(before))).await);
            }
        }
        if let Some((last, _)) = ready {
            drop(to.send(Box::new(Next::Frame(last))).await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Step;
    use weir_core::{
        ack::{Failure, Origin},
        component::Component,
        processor::{Batches, one},
    };

    struct Nobody;

    impl Origin for Nobody {
        fn settle(&self, _: u32, _: Result<(), Failure>) {}
    }

    /// Takes batches singly.
    struct Single;

    #[async_trait::async_trait]
    impl Processor for Single {
        async fn process(&self, batch: Vec<Message>) -> Result<Batches, weir_core::error::Error> {
            Ok(one(batch))
        }
    }

    /// How many batches the frames have that five messages go on as, when the writer has this much room.
    async fn passed(room: usize, bytes: usize) -> Vec<usize> {
        let step =
            Step { processor: Arc::new(Single), component: Arc::new(Component::default()), series: None };
        let (to, mut frames) = mpsc::channel(room + 1);
        let pipeline = Pipeline {
            frames: Mutex::new(mpsc::channel(1).1),
            working: RwLock::new(()),
            chain: Arc::new(Chain::new(vec![step], false, &Arc::default())),
            writes_out: false,
        };
        let mut frame = Frame::new(Arc::new(Nobody));
        (0..5).for_each(|slot| frame.push([Message::new(vec![b'0' + slot; bytes])], slot.into()));
        to.try_send(Box::new(Next::Flush)).ok().unwrap();
        let given = async {
            // The writer takes nothing before the pipeline waits for it.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let (mut sizes, mut texts) = (Vec::new(), Vec::new());
            while let Some(item) = frames.recv().await {
                let Next::Frame(frame) = *item else { continue };
                sizes.push(frame.len());
                texts.extend(frame.messages().iter().map(|message| message.content()[0]));
            }
            assert_eq!(texts, b"01234");
            sizes
        };
        let at = Turn::new(false);
        let pass = async {
            pipeline.pass(frame, &to, &at).await;
            drop(to);
        };
        futures_util::future::join(pass, given).await.1
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_made_while_the_writer_is_busy_goes_on_together() {
        assert_eq!(passed(5, 1).await, [1, 1, 1, 1, 1]);
        assert_eq!(passed(2, 1).await, [1, 1, 3]);
        assert_eq!(passed(0, 1).await, [5]);
        assert_eq!(passed(0, MAX_BYTES / 2).await, [3, 2]);
    }
}

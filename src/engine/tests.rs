//! The engine with readers, processors and writers made for the test.

use crate::{
    batching::BatchedOutput,
    chain::{Chain, Step},
    families,
    leaf_input::LeafInput,
    leaf_output::LeafOutput,
    stream::{End, Running, Stream},
};
use async_trait::async_trait;
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use weir_bloblang::Message;
use weir_core::{
    ack::WriteError,
    batch::Policy,
    component::Component,
    context::Environment,
    error::Error,
    http::NoHttp,
    input::{Progress, Reader, Reading},
    metrics::Metrics,
    output::{Output, Writer},
    processor::{Batches, Processor},
    status::Connection,
    view::View,
};

/// Gives these batches, one a reading, and then ends or waits.
struct Given {
    batches: VecDeque<Vec<&'static str>>,
    waits: bool,
    position: u64,
    reached: Arc<Reached>,
}

#[derive(Default)]
struct Reached(AtomicU64);

impl Progress for Reached {
    fn acknowledged(&self, position: u64) {
        self.0.store(position, Ordering::SeqCst);
    }
}

#[async_trait]
impl Reader for Given {
    async fn connect(&mut self) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&mut self, reading: &mut Reading) -> Result<(), Error> {
        let Some(batch) = self.batches.pop_front() else {
            if self.waits {
                std::future::pending::<()>().await;
            }
            return Err(Error::EndOfInput);
        };
        reading.messages.extend(batch.into_iter().map(Message::new));
        reading.end_batch();
        self.position += 1;
        reading.position = self.position;
        Ok(())
    }

    fn progress(&self) -> Option<Arc<dyn Progress>> {
        Some(Arc::clone(&self.reached) as Arc<dyn Progress>)
    }
}

/// Keeps what it is given; refuses each content as often as it is told.
#[derive(Default)]
struct Kept {
    batches: Mutex<Vec<Vec<String>>>,
    refusals: Mutex<HashMap<&'static str, u32>>,
}

struct Keeper(Arc<Kept>);

#[async_trait]
impl Writer for Keeper {
    async fn connect(&self) -> Result<(), Error> {
        Ok(())
    }

    async fn write(&self, batch: &[Message]) -> Result<(), WriteError> {
        let texts: Vec<String> =
            batch.iter().map(|message| String::from_utf8_lossy(message.content()).into_owned()).collect();
        let mut refusals = self.0.refusals.lock().unwrap();
        let failed: Vec<(usize, Error)> = texts
            .iter()
            .enumerate()
            .filter(|(_, text)| match refusals.get_mut(text.as_str()) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    true
                }
                _ => false,
            })
            .map(|(index, _)| (index, Error::failed("refused")))
            .collect();
        let kept = texts.iter().enumerate().filter(|(index, _)| !failed.iter().any(|(at, _)| at == index));
        self.0.batches.lock().unwrap().push(kept.map(|(_, text)| text.clone()).collect());
        WriteError::some(failed).map_or(Ok(()), Err)
    }
}

/// Panics at the content `boom`.
struct Fragile;

#[async_trait]
impl Processor for Fragile {
    async fn process(&self, batch: Vec<Message>) -> Result<Batches, Error> {
        assert!(batch.iter().all(|message| *message.content() != "boom"), "it went boom");
        // Each message becomes a batch of its own.
        Ok(batch.into_iter().map(|message| vec![message]).collect())
    }
}

struct Fixture {
    environment: Environment,
    kept: Arc<Kept>,
    reached: Arc<Reached>,
    metrics: Arc<Metrics>,
}

impl Fixture {
    fn new() -> Self {
        let environment = Environment {
            stream: "test".into(),
            strict: false,
            http: Arc::new(NoHttp),
            pipes: Arc::default(),
            tracer: None,
            soft_stop: CancellationToken::new(),
            hard_stop: CancellationToken::new(),
        };
        Self { environment, kept: Arc::default(), reached: Arc::default(), metrics: Arc::default() }
    }

    fn connection(path: &str) -> Arc<Connection> {
        Arc::new(Connection::new(Arc::new(Component { path: path.into(), ..Component::default() })))
    }

    fn output(&self) -> Arc<dyn Output> {
        let connection = Self::connection("root.output");
        let series = self.metrics.series(&connection.component, &families::OUTPUT);
        let writer = Box::new(Keeper(Arc::clone(&self.kept)));
        Arc::new(LeafOutput::new(writer, 1, self.environment.clone(), connection, series, None))
    }

    fn start(
        &self,
        batches: &[&[&'static str]],
        waits: bool,
        steps: Vec<Arc<dyn Processor>>,
        output: Arc<dyn Output>,
    ) -> Running {
        let connection = Self::connection("root.input");
        let series = self.metrics.series(&connection.component, &families::INPUT);
        let batches = batches.iter().map(|batch| batch.to_vec()).collect();
        let reader = Given { batches, waits, position: 0, reached: Arc::clone(&self.reached) };
        let input = LeafInput::new(Box::new(reader), self.environment.clone(), connection, series, None);
        let component =
            Arc::new(Component { path: "root.pipeline.processors.0".into(), ..Component::default() });
        let steps = steps.into_iter().map(|processor| Step {
            processor,
            component: Arc::clone(&component),
            series: None,
        });
        let view = View { metrics: Arc::clone(&self.metrics), ..View::default() };
        let stream = Stream {
            mark: None,
            environment: self.environment.clone(),
            input: Box::new(input),
            buffer: None,
            chain: Arc::new(Chain::new(steps.collect(), false, &Arc::default())),
            threads: 2,
            output,
            view,
            taps: Arc::default(),
        };
        stream.start(&Handle::current())
    }

    fn kept(&self) -> Vec<Vec<String>> {
        self.kept.batches.lock().unwrap().clone()
    }
}

async fn ended(running: &Running) -> End {
    tokio::time::timeout(Duration::from_mins(1), running.wait()).await.expect("the stream does not end")
}

#[tokio::test(start_paused = true)]
async fn a_stream_completes_when_everything_is_delivered() {
    let fixture = Fixture::new();
    let running = fixture.start(&[&["a"], &["b", "c"]], false, vec![], fixture.output());
    assert_eq!(ended(&running).await, End::Completed);
    assert_eq!(fixture.kept(), [vec!["a"], vec!["b", "c"]]);
    assert_eq!(fixture.reached.0.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn only_what_was_refused_is_sent_again() {
    let fixture = Fixture::new();
    fixture.kept.refusals.lock().unwrap().extend([("b", 3)]);
    let running = fixture.start(&[&["a", "b", "c"]], false, vec![], fixture.output());
    assert_eq!(ended(&running).await, End::Completed);
    assert_eq!(fixture.kept(), [vec!["a", "c"], vec![], vec![], vec!["b"]]);
}

#[tokio::test(start_paused = true)]
async fn the_source_learns_only_the_contiguous_point() {
    let fixture = Fixture::new();
    fixture.kept.refusals.lock().unwrap().extend([("a", u32::MAX)]);
    let running = fixture.start(&[&["a"], &["b"]], true, vec![], fixture.output());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(fixture.kept().contains(&vec!["b".to_owned()]));
    assert_eq!(fixture.reached.0.load(Ordering::SeqCst), 0);
    assert_eq!(running.stop(Duration::from_secs(8)).await, End::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_batch_split_in_two_is_acknowledged_once_both_are_delivered() {
    let fixture = Fixture::new();
    fixture.kept.refusals.lock().unwrap().extend([("b", 1)]);
    let running = fixture.start(&[&["a", "b"]], false, vec![Arc::new(Fragile)], fixture.output());
    assert_eq!(ended(&running).await, End::Completed);
    assert_eq!(fixture.kept(), [vec!["a"], vec![], vec!["b"]]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_its_stream_and_names_the_place() {
    let fixture = Fixture::new();
    let running = fixture.start(&[&["boom"]], true, vec![Arc::new(Fragile)], fixture.output());
    let End::Failed(text) = ended(&running).await else { panic!("it must fail") };
    assert_eq!(text, "panic at root.pipeline.processors.0: it went boom");
}

#[tokio::test(start_paused = true)]
async fn a_tail_is_flushed_when_the_input_ends() {
    let fixture = Fixture::new();
    let policy = Policy { count: 2, ..Policy::default() };
    let component = Arc::new(Component::default());
    let series = fixture.metrics.series(&component, &weir_core::batch::BATCH_CREATED);
    let output = Arc::new(BatchedOutput::new(fixture.output(), policy, series));
    let running = fixture.start(&[&["a"], &["b"], &["c"]], false, vec![], output);
    assert_eq!(ended(&running).await, End::Completed);
    assert_eq!(fixture.kept(), [vec!["a", "b"], vec!["c"]]);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_stops_at_once() {
    let fixture = Fixture::new();
    let running = fixture.start(&[], true, vec![Arc::new(Fragile)], fixture.output());
    let began = tokio::time::Instant::now();
    assert_eq!(running.stop(Duration::from_secs(20)).await, End::Stopped);
    assert!(began.elapsed() < Duration::from_millis(10));
}

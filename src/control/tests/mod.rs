//! The control plane over an engine that does what it is told, on paused time.

mod checkpoints;
mod damage;
mod files;
mod past;
mod probation;
mod progress;
mod reconcile;
mod simulation;
mod writes;

use crate::{
    reconcile::Options,
    record::{Desired, Format, Key, Kind, fingerprint},
    runtime::{
        BuildFailure, Builder, Changes, Counters, EndSignal, Ended, Expect, Link, Prepared, Running, Start,
    },
    service::{Service, Submission, WriteOptions},
    status::{Phase, Status},
    store::committer::{Commits, Committer, Loaded, Origin},
};
use async_trait::async_trait;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

type Positions = Vec<(String, Arc<str>)>;

/// What the engine did and shall do. Texts steer it: `unbuildable`, `needs:ID`, `panics`, `start fails`.
#[derive(Default)]
pub(super) struct World {
    pub(super) log: Mutex<Vec<String>>,
    pub(super) ends: Mutex<HashMap<Key, EndSignal>>,
    pub(super) alive: Mutex<BTreeMap<Key, usize>>,
    pub(super) stop_takes: Mutex<Duration>,
    pub(super) resources: Mutex<Vec<String>>,
    pub(super) given: Mutex<HashMap<Key, HashMap<String, Arc<str>>>>,
    pub(super) checkpoints: Mutex<HashMap<Key, Positions>>,
    pub(super) sync_fails: Mutex<bool>,
    pub(super) links: Mutex<Vec<Link>>,
    pub(super) counters: Mutex<Counters>,
    pub(super) expect: Mutex<Option<Expect>>,
    pub(super) oldest: Mutex<Option<Duration>>,
    pub(super) changes: Mutex<Option<Changes>>,
}

impl World {
    pub(super) fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }

    pub(super) fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    pub(super) fn end(&self, key: &Key, ended: Ended) {
        let end = self.ends.lock().unwrap().get(key).cloned();
        end.expect("nothing runs").end(ended);
    }
}

pub(super) struct FakeBuilder(pub(super) Arc<World>);

impl Builder for FakeBuilder {
    fn build(&self, desired: &Desired) -> Result<Box<dyn Prepared>, BuildFailure> {
        self.0.note(format!("build {} {}", desired.id, desired.text));
        if let Some(needed) = desired.text.strip_prefix("needs:")
            && !self.0.resources.lock().unwrap().iter().any(|id| id == needed)
        {
            return Err(BuildFailure::new(format!("there is no resource {needed}")));
        }
        match desired.text.as_str() {
            "unbuildable" => Err(BuildFailure::new("field x is wrong")),
            "panics" => panic!("in a build"),
            text => Ok(Box::new(FakePrepared { world: Arc::clone(&self.0), text: text.to_owned() })),
        }
    }

    fn changes(&self) -> Option<Changes> {
        *self.0.changes.lock().unwrap()
    }
}

struct FakePrepared {
    world: Arc<World>,
    text: String,
}

/// The resource that a text needs.
fn needed(text: &str) -> Vec<Key> {
    text.strip_prefix("needs:").map(|id| Key::new(Kind::Cache, id)).into_iter().collect()
}

#[async_trait]
impl Prepared for FakePrepared {
    fn uses(&self) -> Vec<Key> {
        needed(&self.text)
    }

    async fn start(self: Box<Self>, start: Start) -> Result<Box<dyn Running>, String> {
        let Self { world, text } = *self;
        world.note(format!("start {} {text}", start.key.id));
        match text.as_str() {
            "start fails" => return Err("no port".into()),
            "start panics" => panic!("in a start"),
            "ends at once" => start.end.end(Ended::Completed),
            _ => {}
        }
        let mut alive = world.alive.lock().unwrap();
        let count = alive.entry(start.key.clone()).or_default();
        *count += 1;
        assert!(*count == 1 || start.key.kind != Kind::Stream, "two runs of {} at once", start.key);
        drop(alive);
        if start.key.kind != Kind::Stream {
            world.resources.lock().unwrap().push(start.key.id.to_string());
        }
        world.given.lock().unwrap().insert(start.key.clone(), start.checkpoints);
        world.ends.lock().unwrap().insert(start.key.clone(), start.end);
        Ok(Box::new(FakeRunning { world, key: start.key, text, gone: Mutex::new(false) }))
    }
}

struct FakeRunning {
    world: Arc<World>,
    key: Key,
    text: String,
    gone: Mutex<bool>,
}

#[async_trait]
impl Running for FakeRunning {
    fn uses(&self) -> Vec<Key> {
        needed(&self.text)
    }

    fn links(&self) -> Vec<Link> {
        self.world.links.lock().unwrap().clone()
    }

    fn expect(&self) -> Option<Expect> {
        *self.world.expect.lock().unwrap()
    }

    fn oldest(&self) -> Option<Duration> {
        *self.world.oldest.lock().unwrap()
    }

    fn counters(&self) -> Counters {
        *self.world.counters.lock().unwrap()
    }

    fn take_checkpoints(&self) -> Vec<(String, Arc<str>)> {
        self.world.checkpoints.lock().unwrap().remove(&self.key).unwrap_or_default()
    }

    async fn sync(&self) -> Result<(), String> {
        self.world.note(format!("sync {}", self.key.id));
        if *self.world.sync_fails.lock().unwrap() { Err("input/output error".into()) } else { Ok(()) }
    }

    async fn stop(&self, timeout: Duration) {
        let takes = *self.world.stop_takes.lock().unwrap();
        tokio::time::sleep(takes.min(timeout)).await;
        if !std::mem::replace(&mut *self.gone.lock().unwrap(), true) {
            *self.world.alive.lock().unwrap().get_mut(&self.key).unwrap() -= 1;
            // Its successor may be there already, under the same name.
            let mut resources = self.world.resources.lock().unwrap();
            let own = resources.iter().position(|id| self.key.kind != Kind::Stream && **id == *self.key.id);
            own.map(|own| resources.remove(own));
            drop(resources);
            self.world.note(format!("stopped {} {}", self.key.id, self.text));
        }
    }
}

pub(super) fn service(world: &Arc<World>, commits: Commits, loaded: Loaded) -> Service {
    let options = Options { jitter: 0.0, ..Options::default() };
    Service::new(Arc::new(FakeBuilder(Arc::clone(world))), commits, loaded, options)
}

/// A booted service over memory.
pub(super) async fn fresh() -> (Arc<World>, Service) {
    let world = Arc::new(World::default());
    let service = service(&world, Committer::in_memory(), Loaded::default());
    service.boot().await;
    (world, service)
}

pub(super) fn spec_of(kind: Kind, id: &str, text: &str) -> Submission {
    let (format, fingerprint) = (Format::Yaml, fingerprint(text.as_bytes()));
    Submission {
        key: Key::new(kind, id),
        text: text.into(),
        format,
        chilled: false,
        fingerprint,
        lints: Vec::new(),
        build: None,
    }
}

pub(super) fn spec(id: &str, text: &str) -> Submission {
    spec_of(Kind::Stream, id, text)
}

pub(super) fn asked() -> WriteOptions {
    let origin = Origin { actor: "anonymous".into(), verb: "PUT".into(), note: None };
    WriteOptions { origin, wait: Some(Duration::from_mins(1)), ..WriteOptions::default() }
}

pub(super) fn status(service: &Service, id: &str) -> Status {
    service.view(&Key::stream(id)).expect("not listed").status
}

pub(super) fn phase(service: &Service, id: &str) -> Phase {
    status(service, id).phase
}

/// Lets everything that can happen now happen.
pub(super) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
}

//! Everything at once, at random, and again by its seed: writers, scans of files, resources, ends, failing starts, slow
//! stops and crashes on paused time, over a store that survives. After quiet, what runs is what was asked for, no
//! stream ever ran twice at once, and no answered write is lost. What is asked, how long it takes and when it breaks off
//! come from the seed; which of two tasks that are ready goes first is tokio's to say.
//!
//! `SEEDS=100000 cargo test --release -p weir-control simulation` tries more of them, `SEED=7` that one alone.

use super::*;
use crate::{
    files::{Content, FileMember, Scan},
    record::Wanted,
    store::Records,
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::sync::atomic::{AtomicBool, Ordering};

/// Seeds that failed once.
const KEPT: &[u64] = &[];
/// Seeds that are tried beside them.
const TRIED: u64 = 10_000;

/// What somebody wants of a stream: its text, and whether it is paused.
type Wish = Option<(String, bool)>;

/// What is known to be wanted, and what was asked for and not answered yet.
#[derive(Default)]
struct Model {
    known: BTreeMap<String, Wish>,
    asked: BTreeMap<String, Wish>,
}

/// One life of the process: what runs in it.
struct Life {
    random: Mutex<StdRng>,
    calm: AtomicBool,
    alive: Mutex<BTreeMap<Key, (u64, String, EndSignal)>>,
    faults: Mutex<Vec<String>>,
}

impl Life {
    fn random(&self, most: u64) -> u64 {
        self.random.lock().unwrap().random_range(0..=most)
    }

    fn one_in(&self, count: u64) -> bool {
        !self.calm.load(Ordering::Relaxed) && self.random(count - 1) == 0
    }

    fn fault(&self, text: String) {
        self.faults.lock().unwrap().push(text);
    }
}

struct Build(Arc<Life>);
struct Built(Arc<Life>, String);
struct Runs(Arc<Life>, Key, u64, String);

impl Builder for Build {
    fn build(&self, desired: &Desired) -> Result<Box<dyn Prepared>, BuildFailure> {
        let lacks = desired.text.starts_with("needs:")
            && !self.0.alive.lock().unwrap().contains_key(&Key::new(Kind::Cache, "r"));
        match (lacks, desired.text.as_str()) {
            (true, _) => Err(BuildFailure::new("there is no resource r")),
            (_, "unbuildable") => Err(BuildFailure::new("no")),
            (_, text) => Ok(Box::new(Built(Arc::clone(&self.0), text.to_owned()))),
        }
    }
}

#[async_trait]
impl Prepared for Built {
    fn uses(&self) -> Vec<Key> {
        needed(&self.1)
    }

    async fn start(self: Box<Self>, start: Start) -> Result<Box<dyn Running>, String> {
        let Self(life, text) = *self;
        if life.one_in(8) {
            return Err("it does not start".into());
        }
        let taken = (start.run, text.clone(), start.end.clone());
        let before = life.alive.lock().unwrap().insert(start.key.clone(), taken);
        if let (Some((run, ..)), Kind::Stream) = (before, start.key.kind) {
            life.fault(format!("{} ran twice: run {run} and {}", start.key, start.run));
        }
        Ok(Box::new(Runs(life, start.key, start.run, text)))
    }
}

#[async_trait]
impl Running for Runs {
    fn uses(&self) -> Vec<Key> {
        needed(&self.3)
    }

    async fn stop(&self, timeout: Duration) {
        let takes = Duration::from_millis(self.0.random(3000));
        tokio::time::sleep(takes.min(timeout)).await;
        let mut alive = self.0.alive.lock().unwrap();
        if alive.get(&self.1).is_some_and(|(run, ..)| *run == self.2) {
            alive.remove(&self.1);
        }
    }
}

/// One seed's world over all its lives.
struct Simulation {
    seed: u64,
    random: StdRng,
    model: Arc<Mutex<Model>>,
    files: Arc<Mutex<BTreeMap<String, String>>>,
}

/// Asks for a write and notes what came of it.
async fn write(
    model: &Mutex<Model>,
    wishes: Vec<(String, Wish)>,
    done: impl Future<Output = Result<(), crate::service::WriteError>>,
) {
    model.lock().unwrap().asked.extend(wishes.clone());
    let done = done.await;
    let mut model = model.lock().unwrap();
    for (id, wish) in wishes {
        model.asked.remove(&id);
        if done.is_ok() {
            model.known.insert(id, wish);
        }
    }
}

fn short() -> WriteOptions {
    WriteOptions { wait: None, ..asked() }
}

/// Writes to streams that are its own, one after the other.
async fn writer(service: Arc<Service>, model: Arc<Mutex<Model>>, name: &'static str, mut random: StdRng) {
    for number in 0..random.random_range(1..6) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        let id = format!("{name}{}", random.random_range(0..2));
        let key = Key::stream(id.as_str());
        let before = model.lock().unwrap().known.get(&id).cloned().flatten();
        let options = if random.random_bool(0.5) { asked() } else { short() };
        match (random.random_range(0..8), before) {
            (0, Some(_)) => {
                write(&model, vec![(id, None)], async { service.delete(&key, &options).await.map(drop) })
                    .await;
            }
            (1, Some((text, _))) => {
                let paused = async { service.set_run(&key, Wanted::Paused, false, &options).await.map(drop) };
                write(&model, vec![(id, Some((text, true)))], paused).await;
            }
            (2, Some((text, _))) => {
                let anew = random.random_bool(0.5);
                let resumed =
                    async { service.set_run(&key, Wanted::Running, anew, &options).await.map(drop) };
                write(&model, vec![(id, Some((text, false)))], resumed).await;
            }
            (what, before) => {
                let text = match what {
                    3 => "unbuildable".to_owned(),
                    4 => "needs:r".to_owned(),
                    _ => format!("text {number} of {name}"),
                };
                let paused = before.as_ref().is_some_and(|(_, paused)| *paused);
                let new = spec(&id, &text);
                let put = async {
                    match before {
                        Some(_) => service.replace(new, &options).await.map(drop),
                        None => service.create(new, &options).await.map(drop),
                    }
                };
                write(&model, vec![(id, Some((text, paused)))], put).await;
            }
        }
    }
}

/// Edits files, each after a wait, and lets them be scanned.
async fn editor(
    service: Arc<Service>,
    model: Arc<Mutex<Model>>,
    files: Arc<Mutex<BTreeMap<String, String>>>,
    mut random: StdRng,
) {
    for number in 0..random.random_range(1..5) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..1500))).await;
        let (members, wishes) = {
            let mut files = files.lock().unwrap();
            let id = format!("f{}", random.random_range(0..3));
            // The last file stays: a folder that is empty removes nothing.
            if random.random_bool(0.3) && files.len() > 1 {
                files.remove(&id);
            } else {
                files.insert(id, format!("file {number}"));
            }
            let member = |(id, text): (&String, &String)| FileMember {
                key: Key::stream(id.as_str()),
                path: format!("{id}.yaml"),
                hash: fingerprint(text.as_bytes()),
                content: Content::Spec(spec(id, text)),
            };
            let wish = |number: u8| {
                let id = format!("f{number}");
                let text = files.get(&id).cloned();
                (id, text.map(|text| (text, false)))
            };
            (files.iter().map(member).collect(), (0..3).map(wish).collect())
        };
        let scan = Scan { members, missing: Vec::new() };
        write(&model, wishes, async { service.set_files(scan, &short()).await.map(drop) }).await;
    }
}

/// Makes, changes and removes the resource that some streams need.
async fn resources(service: Arc<Service>, mut random: StdRng) {
    for number in 0..random.random_range(1..4) {
        tokio::time::sleep(Duration::from_millis(random.random_range(0..2000))).await;
        let key = Key::new(Kind::Cache, "r");
        if random.random_bool(0.3) {
            drop(service.delete_resource(&key, true, &asked()).await);
        } else {
            drop(service.put_resource(spec_of(Kind::Cache, "r", &format!("cache {number}")), &asked()).await);
        }
    }
}

/// Ends what runs, now and then.
async fn ends(life: Arc<Life>, mut random: StdRng) {
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(1..1200))).await;
        let all: Vec<EndSignal> = {
            let alive = life.alive.lock().unwrap();
            let streams = alive.iter().filter(|(key, _)| key.kind == Kind::Stream);
            streams.map(|(_, (.., end))| end.clone()).collect()
        };
        if !all.is_empty() {
            let end = &all[random.random_range(0..all.len())];
            let well = random.random_bool(0.2);
            end.end(if well { Ended::Completed } else { Ended::Failed("it broke".into()) });
        }
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self { seed, random: StdRng::seed_from_u64(seed), model: Arc::default(), files: Arc::default() }
    }

    fn part(&mut self) -> StdRng {
        StdRng::seed_from_u64(self.random.random())
    }

    /// Some lives, each ended by a crash or orderly, then one that comes to rest.
    fn run(mut self) {
        let mut records = Records::new();
        for last in (0..self.random.random_range(1..4)).rev() {
            let (commits, loaded) = Committer::over(&records, crate::record::Retention::default());
            let life = Arc::new(Life {
                random: Mutex::new(self.part()),
                calm: AtomicBool::new(false),
                alive: Mutex::default(),
                faults: Mutex::default(),
            });
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
            let runtime = runtime.unwrap();
            runtime.block_on(self.live(&life, commits.clone(), loaded, last == 0));
            // Whatever was under way is gone, as in a crash.
            drop(runtime);
            let faults = life.faults.lock().unwrap();
            assert!(faults.is_empty(), "seed {}: {faults:?}", self.seed);
            records = commits.records();
        }
    }

    async fn live(&mut self, life: &Arc<Life>, commits: Commits, loaded: Loaded, last: bool) {
        let options = Options { jitter: 0.0, ..Options::default() };
        let service = Arc::new(Service::new(Arc::new(Build(Arc::clone(life))), commits, loaded, options));
        self.recover(&service);
        service.boot().await;
        let mut tasks = tokio::task::JoinSet::new();
        for name in ["a", "b", "c"] {
            tasks.spawn(writer(Arc::clone(&service), Arc::clone(&self.model), name, self.part()));
        }
        tasks.spawn(editor(
            Arc::clone(&service),
            Arc::clone(&self.model),
            Arc::clone(&self.files),
            self.part(),
        ));
        tasks.spawn(resources(Arc::clone(&service), self.part()));
        let unrest = tokio::spawn(ends(Arc::clone(life), self.part()));
        let crash = Duration::from_millis(self.random.random_range(0..6000));
        let all = async { while tasks.join_next().await.is_some() {} };
        if !last && self.random.random_bool(0.7) {
            tokio::select! { () = all => {}, () = tokio::time::sleep(crash) => {} }
            return;
        }
        all.await;
        unrest.abort();
        life.calm.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_mins(3)).await;
        self.check(&service, life);
        service.shutdown(Duration::from_secs(10)).await;
        let left = life.alive.lock().unwrap().len();
        assert_eq!(left, 0, "seed {}: not all is stopped", self.seed);
    }

    /// What was not answered before a crash may have been done or not.
    fn recover(&self, service: &Service) {
        let mut model = self.model.lock().unwrap();
        let asked = std::mem::take(&mut model.asked);
        for (id, wish) in asked {
            if found(service, &id) == wish {
                model.known.insert(id, wish);
            }
        }
        for (id, wish) in &model.known {
            assert_eq!(&found(service, id), wish, "seed {}: {id} after a crash", self.seed);
        }
    }

    fn check(&self, service: &Service, life: &Life) {
        let (model, alive) = (self.model.lock().unwrap(), life.alive.lock().unwrap());
        let has_cache = service.desired(&Key::new(Kind::Cache, "r")).is_some();
        for (id, wish) in &model.known {
            assert_eq!(&found(service, id), wish, "seed {}: {id} is not what was asked for", self.seed);
            let key = Key::stream(id.as_str());
            let runs = alive.get(&key).map(|(_, text, _)| text.as_str());
            let over = service.desired(&key).is_some_and(|desired| desired.is_completed());
            let wanted = match wish {
                // Without its resource it goes on if it runs, and is invalid if it does not.
                Some((text, false)) if text.starts_with("needs:") && !has_cache => {
                    runs.filter(|runs| runs == text)
                }
                Some((text, false)) if !over => Some(text.as_str()),
                _ => None,
            };
            assert_eq!(runs, wanted, "seed {}: {id}, {:?}", self.seed, service.view(&key));
        }
        let unknown =
            alive.keys().find(|key| key.kind == Kind::Stream && !model.known.contains_key(&*key.id));
        assert_eq!(unknown, None, "seed {}: nobody asked for it", self.seed);
    }
}

/// What a service holds of a stream.
fn found(service: &Service, id: &str) -> Wish {
    let desired = service.desired(&Key::stream(id))?;
    Some((desired.text.clone(), desired.run.wanted == Wanted::Paused))
}

#[test]
fn whatever_happens_what_runs_is_what_was_asked_for() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("SEED") {
        return Simulation::new(seed).run();
    }
    let all: Vec<u64> = KEPT.iter().copied().chain(0..number("SEEDS").unwrap_or(TRIED)).collect();
    std::thread::scope(|scope| {
        for share in 0..2 {
            let all = &all;
            scope.spawn(move || {
                for seed in all.iter().skip(share).step_by(2) {
                    Simulation::new(*seed).run();
                }
            });
        }
    });
    println!("{} seeds", all.len());
}

//! Everything at once: writers of the API, a watched folder, resources that change, and kill -9, all at random.

use crate::harness::{PATIENCE, Server, Setup, eventually, idle_stream};
use crate::survival::{Writer, check_shared, mark_of, send};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// How long it goes on, unless `WEIR_CHAOS_SECONDS` says so.
const SECONDS: u64 = 20;
const FILES: u64 = 4;
const SHARED: &str = "shared";

/// A little generator (xorshift) whose seed makes a run repeatable as far as the clock lets it.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Files of a watched folder, and the mark that each has now.
struct Folder {
    marks: BTreeMap<String, Option<String>>,
    random: Random,
    step: u64,
}

impl Folder {
    /// Writes in place, writes beside and renames, or removes.
    fn edit(&mut self, folder: &Path) {
        self.step += 1;
        let id = format!("file{}", self.random.below(FILES));
        let path = folder.join(format!("{id}.yaml"));
        let mark = format!("edit {}", self.step);
        let exists = self.marks.get(&id).is_some_and(Option::is_some);
        let mark = match self.random.below(4) {
            0 if exists => {
                fs::remove_file(path).unwrap();
                None
            }
            1 => {
                fs::write(path, idle_stream(&mark)).unwrap();
                Some(mark)
            }
            _ => {
                let beside = folder.join(format!("{id}.part"));
                fs::write(&beside, idle_stream(&mark)).unwrap();
                fs::rename(beside, path).unwrap();
                Some(mark)
            }
        };
        self.marks.insert(id, mark);
    }
}

/// Posts a resource again and again until the server is gone.
fn change_resource(server: &Server, random: &mut Random) {
    loop {
        let text = format!("memory:\n  default_ttl: {}s\n", 60 + random.below(60));
        match server.send("POST", "/resources/cache/chaos", Some(&text)).status {
            200 => {}
            0 => return,
            status => panic!("POST of a resource: {status}"),
        }
        sleep(Duration::from_millis(random.below(100)));
    }
}

/// A stream that uses the resource all the time.
const USER: &str = "input:\n  generate:\n    interval: 10ms\n    mapping: root = counter()\npipeline:\n  processors:\n    \
    - cache: { resource: chaos, operator: set, key: a, value: '${! content() }' }\noutput:\n  drop: {}\n";

#[test]
fn chaos() {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("WEIR_CHAOS_SEED").unwrap_or_else(|| u64::from(now.subsec_nanos()) | 1);
    let length = Duration::from_secs(number("WEIR_CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("WEIR_CHAOS_SEED={seed}");
    let mut random = Random(seed);
    let place = tempfile::tempdir().unwrap();
    let watched = place.path().join("streams");
    fs::create_dir(&watched).unwrap();
    fs::write(watched.join("anchor.yaml"), idle_stream("anchor")).unwrap();
    let args = ["--watcher", "streams"].map(str::to_owned).to_vec();
    let mut server = Server::inside(place, Setup { args, ..Setup::default() });
    server.done("POST", "/resources/cache/chaos", "memory: {}\n");
    server.done("POST", "/streams/user", USER);
    server.done("POST", &format!("/streams/{SHARED}"), &idle_stream("first"));
    let mut writers: Vec<Writer> = (0..2).map(Writer::new).collect();
    let mut folder = Folder { marks: BTreeMap::new(), random: Random(seed ^ 0x5555), step: 0 };
    let mut resource_random = Random(seed ^ 0xaaaa);
    let begun = Instant::now();
    let (mut rounds, mut total) = (0, 0);
    while begun.elapsed() < length {
        let (answered, dead, address) = (AtomicUsize::new(0), AtomicBool::new(false), server.address());
        let pause = Duration::from_millis(100 + random.below(1900));
        std::thread::scope(|scope| {
            for writer in &mut writers {
                scope.spawn(|| writer.run(address, &answered));
            }
            let server_ = &server;
            let resource_random = &mut resource_random;
            scope.spawn(move || change_resource(server_, resource_random));
            let (folder, dead, watched) = (&mut folder, &dead, &watched);
            scope.spawn(move || {
                while !dead.load(Ordering::Relaxed) {
                    folder.edit(watched);
                    sleep(Duration::from_millis(folder.random.below(300)));
                }
            });
            sleep(pause);
            crate::harness::signal(server.pid(), "KILL");
            dead.store(true, Ordering::Relaxed);
        });
        server.kill();
        if random.below(2) == 0 {
            // Files change while nobody looks, too.
            folder.edit(&watched);
        }
        server.start_again();
        for writer in &mut writers {
            writer.check(&server, rounds);
        }
        check_shared(&server, &writers, "first", rounds);
        rounds += 1;
        total += answered.into_inner();
    }
    println!("{rounds} kills, {total} writes answered, {} edits of files", folder.step);
    for (id, mark) in &folder.marks {
        let what = format!("{id} is as its file: {mark:?}; seed {seed}");
        eventually(&what, PATIENCE, || (mark_of(&server, id) == *mark).then_some(()));
    }
    assert_eq!(send(server.address(), "POST", "last", Some(&idle_stream("last"))), 200);
    let all = || server.get("/streams").json().as_object().unwrap().clone();
    let idle = |all: &serde_json::Map<String, serde_json::Value>| {
        let idle = all.iter().filter(|(_, status)| status["active"] != true);
        idle.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    eventually("all run", PATIENCE, || idle(&all()).is_empty().then_some(()));
    let known: Vec<&str> = writers.iter().flat_map(Writer::there).collect();
    let files = folder.marks.iter().filter(|(_, mark)| mark.is_some()).map(|(id, _)| id.as_str());
    let mut wanted: Vec<&str> =
        known.into_iter().chain(files).chain(["anchor", "last", SHARED, "user"]).collect();
    wanted.sort_unstable();
    assert_eq!(all().keys().map(String::as_str).collect::<Vec<_>>(), wanted, "seed {seed}");
}

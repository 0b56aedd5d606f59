use super::*;
use crate::{
    record::{keys, read},
    service::WriteError,
    store::{
        StoreError,
        committer::Change,
        disk::{Disk, SystemDisk, faulty::FaultyDisk},
        folder::{self, Opened},
        state,
    },
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

fn system() -> Arc<dyn Disk> {
    Arc::new(SystemDisk)
}

fn open(path: &Path) -> Opened {
    folder::open(path, &system()).unwrap()
}

fn desired(id: &str, text: &str) -> Change {
    Change::Put(Box::new(Desired { id: id.into(), text: text.into(), ..Desired::default() }))
}

fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

/// A folder with streams of all sizes, some changed, some deleted; gives back what was answered.
fn filled(path: &Path) -> BTreeMap<String, (String, u64)> {
    let (committer, _) = Committer::start(open(path)).unwrap();
    let commits = committer.commits();
    let mut answered = BTreeMap::new();
    block_on(async {
        for n in 0..60_usize {
            let (id, text) = (format!("s{}", n % 40), "x".repeat(n * 300));
            commits.commit(vec![desired(&id, &text)], Some(Origin::default())).await.unwrap();
            let generation = u64::try_from(n / 40 + 1).unwrap();
            answered.insert(id, (text, generation));
            if n % 15 == 14 {
                let gone = format!("s{}", n % 40);
                commits
                    .commit(vec![Change::Delete(Key::stream(gone.as_str()))], Some(Origin::default()))
                    .await
                    .unwrap();
                answered.remove(&gone);
            }
        }
    });
    committer.close();
    answered
}

fn found(opened: &Opened) -> BTreeMap<String, (String, u64)> {
    let live = opened.records.iter().filter(|(key, _)| key.starts_with("d/"));
    live.map(|(_, value)| read::<Desired>(value).unwrap())
        .map(|desired| (desired.id, (desired.text, desired.generation)))
        .collect()
}

fn flip(path: &Path, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(bytes.len());
    for byte in bytes.iter_mut().skip(at).take(64) {
        *byte ^= 0x55;
    }
    fs::write(path, bytes).unwrap();
}

/// Where sled's data ends: the file is longer than what was written.
fn data_end(path: &Path) -> usize {
    fs::read(path).unwrap().iter().rposition(|byte| *byte != 0).unwrap_or(0)
}

type Damage = fn(&Path);

fn db(path: &Path) -> PathBuf {
    path.join("sled/db")
}

#[test]
fn everything_answered_is_found_whatever_happens_to_sled() {
    let damages: Vec<(&str, Damage)> = vec![
        ("cut to nothing", (|path| fs::write(db(path), b"").unwrap())),
        (
            "cut in the middle",
            (|path| {
                let file = fs::OpenOptions::new().write(true).open(db(path)).unwrap();
                file.set_len(data_end(&db(path)) as u64 / 2).unwrap();
            }),
        ),
        (
            "cut near the end",
            (|path| {
                let file = fs::OpenOptions::new().write(true).open(db(path)).unwrap();
                file.set_len(data_end(&db(path)) as u64 - 100).unwrap();
            }),
        ),
        ("flipped at the start", (|path| flip(&db(path), |_| 0))),
        (
            "flipped in the middle",
            (|path| {
                let end = data_end(&db(path));
                flip(&db(path), |_| end / 2);
            }),
        ),
        (
            "flipped near the end",
            (|path| {
                let end = data_end(&db(path));
                flip(&db(path), |_| end - 200);
            }),
        ),
        ("db deleted", (|path| fs::remove_file(db(path)).unwrap())),
        ("conf deleted", (|path| fs::remove_file(path.join("sled/conf")).unwrap())),
        ("conf flipped", (|path| flip(&path.join("sled/conf"), |_| 0))),
        ("folder deleted", (|path| fs::remove_dir_all(path.join("sled")).unwrap())),
        (
            "overwritten with noise",
            (|path| {
                let noise: Vec<u8> =
                    (0..200_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
                fs::write(db(path), noise).unwrap();
            }),
        ),
        (
            "an older copy",
            (|path| {
                fs::remove_dir_all(path.join("sled")).unwrap();
                fs::rename(path.join("older"), path.join("sled")).unwrap();
            }),
        ),
        (
            "a file in its place",
            (|path| {
                fs::remove_dir_all(path.join("sled")).unwrap();
                fs::write(path.join("sled"), b"no folder").unwrap();
            }),
        ),
        (
            "a cut snapshot being written",
            (|path| {
                fs::write(path.join("sled/snap.0000000000000042.generating"), b"cut").unwrap();
            }),
        ),
    ];
    let template = tempfile::tempdir().unwrap();
    drop(open(template.path()));
    folder::copy_folder(&template.path().join("sled"), &template.path().join("older")).unwrap();
    let answered = filled(template.path());
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        folder::copy_folder(template.path(), dir.path()).unwrap();
        damage(dir.path());
        let opened = open(dir.path());
        assert_eq!(found(&opened), answered, "{name}");
        drop(opened);
        // What was mended stays mended, in the tree too.
        let again = open(dir.path());
        assert_eq!(found(&again), answered, "{name}, opened again");
        assert!(again.conditions.is_empty(), "{name}: {:?}", again.conditions);
        assert_eq!(again.store.scan("").unwrap(), again.records, "{name}");
    }
}

#[test]
fn everything_answered_is_found_when_the_journal_is_damaged_and_a_condition_says_so() {
    let damages: Vec<(&str, Damage)> = vec![
        ("deleted", |path| fs::remove_dir_all(path.join("journal")).unwrap()),
        ("flipped", |path| flip(&path.join("journal/0000000001"), |length| length / 2)),
        ("flipped at the end", |path| flip(&path.join("journal/0000000001"), |length| length - 70)),
        ("cut", |path| {
            let file = fs::OpenOptions::new().write(true).open(path.join("journal/0000000001")).unwrap();
            file.set_len(5000).unwrap();
        }),
    ];
    let template = tempfile::tempdir().unwrap();
    let answered = filled(template.path());
    for (name, damage) in damages {
        let dir = tempfile::tempdir().unwrap();
        folder::copy_folder(template.path(), dir.path()).unwrap();
        damage(dir.path());
        let opened = open(dir.path());
        assert_eq!(found(&opened), answered, "{name}");
        if name != "deleted" {
            assert_eq!(opened.conditions[0].kind, "StoreDamaged", "{name}");
        }
        drop(opened);
        let again = open(dir.path());
        assert_eq!(found(&again), answered, "{name}, opened again");
        assert!(again.conditions.is_empty(), "{name}: {:?}", again.conditions);
    }
}

#[test]
fn an_answer_comes_after_the_fsync_of_its_write() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(io::ErrorKind::Other));
    let dyn_disk: Arc<dyn Disk> = disk.clone();
    let (committer, _) = Committer::start(folder::open(dir.path(), &dyn_disk).unwrap()).unwrap();
    let commits = committer.commits();
    block_on(async {
        for n in 0..20 {
            // The tree is written behind the answer: a read comes after that.
            commits.scan("m/".into()).await.unwrap();
            disk.calls.lock().unwrap().clear();
            commits.commit(vec![desired(&format!("s{n}"), "one")], None).await.unwrap();
            let calls = disk.calls.lock().unwrap().clone();
            assert_eq!(calls[..2], ["write", "synced"]);
        }
    });
    committer.close();
}

#[test]
fn after_a_failed_fsync_nothing_is_answered_and_the_streams_run_on() {
    for syncs in [0, 1, 2] {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(FaultyDisk::new(io::ErrorKind::Other));
        let dyn_disk: Arc<dyn Disk> = disk.clone();
        let (committer, loaded) = Committer::start(folder::open(dir.path(), &dyn_disk).unwrap()).unwrap();
        let world = Arc::new(World::default());
        let answered = block_on(async {
            let service = service(&world, committer.commits(), loaded);
            service.boot().await;
            service.create(spec("a", "one"), &asked()).await.unwrap();
            disk.syncs.store(syncs, Ordering::SeqCst);
            let mut answered = 1;
            for n in 0..5 {
                match service.create(spec(&format!("b{n}"), "one"), &asked()).await {
                    Ok(_) => answered += 1,
                    Err(WriteError::Store(StoreError::Failed(_))) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            disk.syncs.store(-1, Ordering::SeqCst);
            let late = service.replace(spec("a", "two"), &asked()).await;
            assert!(matches!(late, Err(WriteError::Store(StoreError::Failed(_)))), "never again");
            assert_eq!(service.conditions()[0].kind, "StoreFailed");
            assert_eq!((phase(&service, "a"), texts_of(&service, "a")), (Phase::Running, "one".into()));
            answered
        });
        committer.close();
        let opened = open(dir.path());
        assert!(found(&opened).len() >= answered, "an answered write is missing");
        assert_eq!(found(&opened)["a"].0, "one");
    }
}

fn texts_of(service: &Service, id: &str) -> String {
    service.desired(&Key::stream(id)).unwrap().text.clone()
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(FaultyDisk::new(io::ErrorKind::StorageFull));
    let dyn_disk: Arc<dyn Disk> = disk.clone();
    let (committer, loaded) = Committer::start(folder::open(dir.path(), &dyn_disk).unwrap()).unwrap();
    let world = Arc::new(World::default());
    block_on(async {
        let service = service(&world, committer.commits(), loaded);
        service.boot().await;
        disk.writes.store(0, Ordering::SeqCst);
        let full = service.create(spec("a", "one"), &asked()).await;
        assert!(matches!(full, Err(WriteError::Store(StoreError::Full(_)))));
        assert!(service.desired(&Key::stream("a")).is_none());
        assert_eq!(service.conditions()[0].kind, "StoreFull");
        disk.writes.store(-1, Ordering::SeqCst);
        service.create(spec("a", "one"), &asked()).await.unwrap();
        assert!(service.conditions().is_empty());
    });
    committer.close();
    assert_eq!(found(&open(dir.path())).len(), 1);
}

#[test]
fn the_last_set_runs_read_only_on_a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let answered = filled(dir.path());
    // Full from the start, and while the tree opens.
    for syncs in [1, 2] {
        let disk = FaultyDisk::new(io::ErrorKind::StorageFull);
        disk.syncs.store(syncs, Ordering::SeqCst);
        let disk: Arc<dyn Disk> = Arc::new(disk);
        assert_eq!(found(&folder::open(dir.path(), &disk).unwrap()), answered);
    }
    let disk = FaultyDisk::new(io::ErrorKind::StorageFull);
    disk.writes.store(0, Ordering::SeqCst);
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let opened = folder::open(dir.path(), &disk).unwrap();
    assert_eq!(found(&opened), answered);
    assert_eq!(opened.conditions[0].kind, "StoreReadOnly");
    let (committer, loaded) = Committer::start(opened).unwrap();
    assert_eq!(loaded.desired.len(), answered.len());
    let refused = block_on(committer.commits().commit(vec![desired("a", "one")], None));
    assert!(matches!(refused, Err(StoreError::ReadOnly(_))));
    committer.close();
}

#[test]
fn a_folder_in_use_a_newer_one_and_an_impossible_one_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let held = open(dir.path());
    let error = folder::open(dir.path(), &system()).err().unwrap();
    assert_eq!(
        error,
        StoreError::InUse { path: dir.path().display().to_string(), pid: Some(std::process::id()) }
    );
    drop(held);
    fs::write(dir.path().join("format"), "weir state 2\n").unwrap();
    assert!(matches!(folder::open(dir.path(), &system()).err().unwrap(), StoreError::Newer { found: 2, .. }));
    let error = folder::open(&dir.path().join("format"), &system()).err().unwrap();
    assert!(matches!(error, StoreError::Unwritable { .. }), "{error}");
}

#[test]
fn a_record_of_a_newer_version_is_refused_and_nothing_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path());
    let (committer, _) = Committer::start(open(dir.path())).unwrap();
    committer.close();
    // As a newer program would leave it behind: its records in the journal.
    let newer = serde_json::json!({"version": 2, "id": ["of", "another", "shape"]});
    let bytes = crate::record::seal(&newer).unwrap();
    state::tests_append(dir.path(), &keys::desired(&Key::stream("new")), bytes);
    assert!(matches!(folder::open(dir.path(), &system()).err().unwrap(), StoreError::Newer { found: 2, .. }));
}

#[test]
fn check_finds_what_is_wrong_and_export_and_import_carry_all_records() {
    let dir = tempfile::tempdir().unwrap();
    let answered = filled(dir.path());
    let report = state::check(dir.path()).unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.records["d/stream"], answered.len());
    assert_eq!(report.revision, 64);
    let mut exported = Vec::new();
    state::export(dir.path(), &mut exported).unwrap();
    let other = tempfile::tempdir().unwrap();
    state::import(other.path(), &mut &exported[..]).unwrap();
    assert_eq!(found(&open(other.path())), answered);
    assert!(
        state::import(other.path(), &mut &exported[..]).is_err(),
        "not into a folder in which something is"
    );
    let cut = exported.len() / 2;
    let third = tempfile::tempdir().unwrap();
    assert!(state::import(third.path(), &mut &exported[..cut]).is_err());
    flip(&dir.path().join("sled/db"), |_| 0);
    assert!(!state::check(dir.path()).unwrap().problems.is_empty());
}

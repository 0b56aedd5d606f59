use super::*;
use crate::{record::Wanted, service::WriteError, store::folder::Opened};

#[tokio::test(start_paused = true)]
async fn a_write_builds_once_commits_and_answers_when_it_runs() {
    let (world, service) = fresh().await;
    let written = service.create(spec("a", "one"), &asked()).await.unwrap();
    assert_eq!((written.revision, written.settled), (1, true));
    assert_eq!(written.touched, [(Key::stream("a"), Some(1))]);
    assert_eq!(world.take_log(), ["build a one", "start a one"]);
    assert_eq!(phase(&service, "a"), Phase::Running);
    let again = service.create(spec("a", "two"), &asked()).await;
    assert!(matches!(again, Err(WriteError::Exists(_))));
    let missing = service.replace(spec("b", "two"), &asked()).await;
    assert!(matches!(missing, Err(WriteError::NotFound(_))));
    assert!(world.take_log().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_replacement_stops_the_old_before_the_new_starts() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    let log = world.take_log();
    assert_eq!(log[2..], ["build a two", "stopped a one", "sync a", "start a two"]);
    assert_eq!(status(&service, "a").running_generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_cannot_be_built_changes_nothing_and_the_old_runs_on() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    for bad in ["unbuildable", "panics"] {
        let error = service.replace(spec("a", bad), &asked()).await.unwrap_err();
        assert!(matches!(error, WriteError::Build(_)), "{error}");
    }
    assert_eq!(service.revision(), 1);
    assert_eq!(service.desired(&Key::stream("a")).unwrap().text, "one");
    assert!(!world.take_log().iter().any(|line| line.starts_with("stopped")));
    assert_eq!(phase(&service, "a"), Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn a_bad_member_of_a_whole_set_changes_nothing_and_is_named() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    world.take_log();
    let members = vec![spec("a", "two"), spec("b", "unbuildable"), spec("c", "three")];
    let error = service.set_all(members, &asked()).await.unwrap_err();
    assert_eq!(error.to_string(), "stream 'b': field x is wrong");
    assert_eq!((service.revision(), service.list(Kind::Stream).len()), (1, 1));
    assert!(!world.take_log().iter().any(|line| line.starts_with("start") || line.starts_with("stop")));
}

#[tokio::test(start_paused = true)]
async fn a_whole_set_is_one_revision_and_leaves_equal_members_untouched() {
    let (world, service) = fresh().await;
    service.set_all(vec![spec("a", "one"), spec("b", "one"), spec("c", "one")], &asked()).await.unwrap();
    assert_eq!(service.revision(), 1);
    tokio::time::sleep(Duration::from_secs(100)).await;
    world.take_log();
    service.set_all(vec![spec("a", "one"), spec("b", "two"), spec("d", "one")], &asked()).await.unwrap();
    let mut log = world.take_log();
    log.sort();
    let expected = [
        "build b two",
        "build d one",
        "start b two",
        "start d one",
        "stopped b one",
        "stopped c one",
        "sync b",
        "sync c",
    ];
    assert_eq!(log, expected);
    assert_eq!(service.revision(), 2);
    assert!(status(&service, "a").uptime >= 100_000);
    assert!(status(&service, "b").uptime < 1000);
    let written =
        service.set_all(vec![spec("a", "one"), spec("b", "two"), spec("d", "one")], &asked()).await.unwrap();
    assert_eq!((written.revision, written.touched.len(), world.take_log().len()), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn completed_stays_completed_until_an_explicit_put() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    world.end(&Key::stream("a"), Ended::Completed);
    settle().await;
    let before = status(&service, "a");
    assert_eq!((before.phase, before.active), (Phase::Completed, false));
    tokio::time::sleep(Duration::from_secs(1000)).await;
    service.set_all(vec![spec("a", "one")], &asked()).await.unwrap();
    assert_eq!(status(&service, "a"), before, "frozen");
    world.take_log();
    service.replace(spec("a", "one"), &asked()).await.unwrap();
    assert_eq!(world.take_log(), ["build a one", "start a one"]);
    let desired = service.desired(&Key::stream("a")).unwrap();
    assert_eq!((desired.generation, desired.run.number), (1, 2));
    assert_eq!(phase(&service, "a"), Phase::Running);
    service.replace(spec("a", "one"), &asked()).await.unwrap();
    assert!(world.take_log().is_empty(), "a running stream with an equal spec is untouched");
}

#[tokio::test(start_paused = true)]
async fn a_change_right_after_the_end_begins_anew() {
    let (world, service) = fresh().await;
    let lineage = || service.desired(&Key::stream("a")).unwrap().lineage;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    let first = lineage();
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    assert_eq!(lineage(), first, "a running stream goes on where it is");
    world.end(&Key::stream("a"), Ended::Completed);
    service.replace(spec("a", "three"), &asked()).await.unwrap();
    assert_ne!(lineage(), first, "nothing was left to go on from");
}

#[tokio::test(start_paused = true)]
async fn generations_go_on_across_deletion_and_history_keeps_the_texts() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    let written = service.delete(&key, &asked()).await.unwrap();
    assert_eq!(written.touched, [(key.clone(), None)]);
    assert!(service.view(&key).is_none());
    assert_eq!(world.take_log().last().unwrap(), "sync a");
    service.create(spec("a", "three"), &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().generation, 3);
    let texts: Vec<_> =
        service.history(&key).await.unwrap().into_iter().map(|old| old.text.clone()).collect();
    assert_eq!(texts, ["three", "two", "one"]);
    let revision = service.revision_record(3).await.unwrap().unwrap();
    assert_eq!((revision.verb.as_str(), revision.changes[0].before), ("PUT", Some(2)));
}

#[tokio::test(start_paused = true)]
async fn a_precondition_on_the_generation_is_checked() {
    let (_world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    let options = WriteOptions { if_match: Some(7), ..asked() };
    let error = service.replace(spec("a", "two"), &options).await.unwrap_err();
    assert!(matches!(error, WriteError::Conflict { current: 1 }));
    let options = WriteOptions { if_match: Some(1), ..asked() };
    service.patch(&Key::stream("a"), &options, |old| Ok(spec("a", &format!("{}+", old.text)))).await.unwrap();
    assert_eq!(service.desired(&Key::stream("a")).unwrap().text, "one+");
}

#[tokio::test(start_paused = true)]
async fn a_paused_stream_stays_paused_through_a_new_spec_and_resumes() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    service.set_run(&key, Wanted::Paused, false, &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::Paused);
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::Paused);
    world.take_log();
    service.set_run(&key, Wanted::Running, false, &asked()).await.unwrap();
    assert_eq!(world.take_log().last().unwrap(), "start a two");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_runs_out_says_so_and_the_change_goes_on() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    *world.stop_takes.lock().unwrap() = Duration::from_secs(20);
    let options = WriteOptions { wait: Some(Duration::from_secs(5)), ..asked() };
    let written = service.replace(spec("a", "two"), &options).await.unwrap();
    assert!(!written.settled);
    assert_eq!(phase(&service, "a"), Phase::Stopping);
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(status(&service, "a").running_generation, Some(2));
}

#[tokio::test(start_paused = true)]
async fn concurrent_writes_of_one_key_are_done_one_after_another() {
    let (world, service) = fresh().await;
    let service = Arc::new(service);
    service.create(spec("a", "0"), &asked()).await.unwrap();
    *world.stop_takes.lock().unwrap() = Duration::from_millis(10);
    let writes = (1..=20).map(|n| {
        let service = Arc::clone(&service);
        tokio::spawn(async move { service.replace(spec("a", &n.to_string()), &asked()).await.unwrap() })
    });
    for write in writes.collect::<Vec<_>>() {
        assert!(write.await.unwrap().settled);
    }
    let desired = service.desired(&Key::stream("a")).unwrap();
    assert_eq!((desired.generation, service.revision()), (21, 21));
    assert_eq!(world.take_log().last().unwrap(), &format!("start a {}", desired.text));
    assert_eq!(world.alive.lock().unwrap()[&Key::stream("a")], 1);
}

#[test]
fn ten_thousand_streams_are_one_quick_commit_and_again_no_work() {
    let dir = tempfile::tempdir().unwrap();
    let disk: Arc<dyn crate::store::disk::Disk> = Arc::new(crate::store::disk::SystemDisk);
    let opened: Opened = crate::store::folder::open(dir.path(), &disk).unwrap();
    let (committer, loaded) = Committer::start(opened).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = Arc::new(World::default());
    let set = || (0..10_000).map(|n| spec(&format!("s{n}"), "one")).collect::<Vec<_>>();
    runtime.block_on(async {
        let service = service(&world, committer.commits(), loaded);
        service.boot().await;
        let begun = tokio::time::Instant::now();
        let written = service.set_all(set(), &asked()).await.unwrap();
        eprintln!("10,000 new streams: {:?}", begun.elapsed());
        assert_eq!((written.touched.len(), written.revision, written.settled), (10_000, 1, true));
        world.take_log();
        let begun = tokio::time::Instant::now();
        let written = service.set_all(set(), &asked()).await.unwrap();
        eprintln!("10,000 equal streams: {:?}", begun.elapsed());
        assert_eq!((written.touched.len(), written.revision, world.take_log().len()), (0, 1, 0));
    });
    committer.close();
}

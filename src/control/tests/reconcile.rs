use super::*;
use crate::record::Wanted;

#[tokio::test(start_paused = true)]
async fn a_failing_stream_backs_off_doubling_to_a_minute_and_begins_anew_when_healthy() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..8 {
        world.end(&key, Ended::Failed("it broke".into()));
        world.take_log();
        let begun = tokio::time::Instant::now();
        while !world.take_log().iter().any(|line| line == "start a one") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        waits.push(begun.elapsed().as_secs_f64().round());
    }
    assert_eq!(waits, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]);
    settle().await;
    assert_eq!(status(&service, "a").restarts, 8);
    tokio::time::sleep(Duration::from_mins(10)).await;
    world.end(&key, Ended::Failed("it broke".into()));
    settle().await;
    let status = status(&service, "a");
    assert_eq!((status.phase, status.reason.as_deref()), (Phase::BackingOff, Some("it broke")));
    assert_eq!(status.last_error.unwrap().count, 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_spec_ends_the_back_off_at_once() {
    let (world, service) = fresh().await;
    service.create(spec("a", "start fails"), &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::BackingOff);
    let written = service.replace(spec("a", "two"), &asked()).await.unwrap();
    assert!(written.settled);
    let now = status(&service, "a");
    assert_eq!((now.phase, now.restarts, now.last_error), (Phase::Running, 0, None));
    assert_eq!(world.take_log().last().unwrap(), "start a two");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_failed_too_often_in_a_row_is_left_alone_until_it_is_asked_for() {
    let world = Arc::new(World::default());
    let builder = Arc::new(FakeBuilder(Arc::clone(&world)));
    let options = Options { jitter: 0.0, max_restarts: Some(2), ..Options::default() };
    let service = Service::new(builder, Committer::in_memory(), Loaded::default(), options);
    service.boot().await;
    let key = Key::stream("a");
    service.create(spec("a", "start fails"), &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::BackingOff);
    tokio::time::sleep(Duration::from_hours(1)).await;
    let now = status(&service, "a");
    assert_eq!((now.phase, now.restarts, now.next_retry), (Phase::Failed, 2, None));
    assert_eq!(now.reason.as_deref(), Some("no port"));
    assert_eq!(world.take_log().iter().filter(|line| line.starts_with("start ")).count(), 3);
    for wanted in [Wanted::Paused, Wanted::Running] {
        service.set_run(&key, wanted, false, &asked()).await.unwrap();
    }
    assert_eq!(phase(&service, "a"), Phase::Failed, "a pause in between changes nothing");
    service.set_run(&key, Wanted::Running, true, &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::BackingOff, "it begins anew");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_hangs_while_it_stops_or_panics_delays_no_other() {
    let (world, service) = fresh().await;
    service.create(spec("slow", "one"), &asked()).await.unwrap();
    *world.stop_takes.lock().unwrap() = Duration::from_secs(1000);
    let no_wait = WriteOptions { wait: None, stop_timeout: Some(Duration::from_secs(500)), ..asked() };
    service.delete(&Key::stream("slow"), &no_wait).await.unwrap();
    settle().await;
    assert_eq!(phase(&service, "slow"), Phase::Stopping);
    let begun = tokio::time::Instant::now();
    let written = service.create(spec("panic", "start panics"), &asked()).await.unwrap();
    assert!(written.settled);
    assert_eq!(status(&service, "panic").reason.as_deref(), Some("panic: in a start"));
    service.create(spec("quick", "one"), &asked()).await.unwrap();
    assert_eq!(phase(&service, "quick"), Phase::Running);
    assert!(begun.elapsed() < Duration::from_secs(1));
    tokio::time::sleep(Duration::from_secs(501)).await;
    assert!(service.view(&Key::stream("slow")).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_ends_while_it_starts_is_not_missed() {
    let (_world, service) = fresh().await;
    service.create(spec("a", "ends at once"), &asked()).await.unwrap();
    settle().await;
    assert_eq!(phase(&service, "a"), Phase::Completed);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_replaced_run_does_not_touch_its_successor() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    let old = world.ends.lock().unwrap()[&key].clone();
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    old.end(Ended::Failed("late".into()));
    settle().await;
    assert_eq!(status(&service, "a").running_generation, Some(2));
    assert_eq!(phase(&service, "a"), Phase::Running);
}

/// A store that already holds these.
async fn stored(specs: Vec<Submission>) -> (Commits, Loaded) {
    let world = Arc::new(World::default());
    world.resources.lock().unwrap().push("c".into());
    let commits = Committer::in_memory();
    let first = service(&world, commits.clone(), Loaded::default());
    for one in specs {
        first.put_resource(one, &WriteOptions { wait: None, ..asked() }).await.unwrap();
    }
    let loaded = loaded(&commits).await;
    (commits, loaded)
}

pub(super) async fn loaded(commits: &Commits) -> Loaded {
    let records = commits.scan(String::new()).await.unwrap();
    let mut loaded = Loaded::default();
    for (key, value) in records {
        match key.get(..2) {
            Some("d/") => loaded.desired.push(Arc::new(crate::record::read(&value).unwrap())),
            Some("c/") => loaded.checkpoints.push(crate::record::read(&value).unwrap()),
            Some("m/") => loaded.meta = crate::record::read(&value).unwrap(),
            _ => {}
        }
    }
    loaded
}

#[tokio::test(start_paused = true)]
async fn boot_starts_resources_first_and_what_cannot_be_built_is_invalid_while_the_rest_runs() {
    let specs = vec![spec("a", "needs:c"), spec("z", "one"), spec_of(Kind::Cache, "c", "memory")];
    let (commits, mut loaded) = stored(specs).await;
    let mut bad = (*loaded.desired[0]).clone();
    bad.id = "bad".into();
    bad.text = "unbuildable".into();
    bad.kind = Kind::Stream;
    loaded.desired.push(Arc::new(bad));
    let world = Arc::new(World::default());
    let service = service(&world, commits, loaded);
    service.boot().await;
    settle().await;
    assert_eq!(world.take_log()[..2], ["build c memory", "start c memory"]);
    let phases: Vec<_> = service
        .list(Kind::Stream)
        .into_iter()
        .map(|view| (view.key.id.to_string(), view.status.phase))
        .collect();
    let expected = [("a", Phase::Running), ("bad", Phase::Invalid), ("z", Phase::Running)];
    assert_eq!(phases, expected.map(|(id, phase)| (id.to_owned(), phase)));
    assert_eq!(status(&service, "bad").reason.as_deref(), Some("field x is wrong"));
}

#[tokio::test(start_paused = true)]
async fn a_new_resource_wakes_the_streams_that_were_invalid_for_want_of_it() {
    let (commits, mut loaded) = stored(vec![spec("a", "needs:c")]).await;
    loaded.desired.retain(|desired| desired.kind == Kind::Stream);
    let world = Arc::new(World::default());
    let service = service(&world, commits, loaded);
    service.boot().await;
    settle().await;
    assert_eq!(phase(&service, "a"), Phase::Invalid);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    world.take_log();
    service.put_resource(spec_of(Kind::Cache, "c", "memory"), &asked()).await.unwrap();
    settle().await;
    assert_eq!(phase(&service, "a"), Phase::Running);
    assert_eq!(world.take_log(), ["build c memory", "start c memory", "build a needs:c", "start a needs:c"]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_is_swapped_before_its_old_one_goes_and_a_bad_one_changes_nothing() {
    let (world, service) = fresh().await;
    service.put_resource(spec_of(Kind::Cache, "c", "one"), &asked()).await.unwrap();
    *world.stop_takes.lock().unwrap() = Duration::from_secs(20);
    let begun = tokio::time::Instant::now();
    service.put_resource(spec_of(Kind::Cache, "c", "two"), &asked()).await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(1), "users of the old one are not waited for");
    assert!(service.put_resource(spec_of(Kind::Cache, "c", "unbuildable"), &asked()).await.is_err());
    tokio::time::sleep(Duration::from_secs(30)).await;
    let log = world.take_log();
    assert_eq!(
        log,
        ["build c one", "start c one", "build c two", "start c two", "build c unbuildable", "stopped c one"]
    );
}

#[tokio::test(start_paused = true)]
async fn completed_stays_completed_across_a_restart_of_the_process() {
    let (commits, loaded_) = stored(vec![spec("a", "one"), spec("b", "one")]).await;
    let world = Arc::new(World::default());
    let first = service(&world, commits.clone(), loaded_);
    first.boot().await;
    settle().await;
    world.end(&Key::stream("a"), Ended::Completed);
    settle().await;
    first.shutdown(Duration::from_secs(1)).await;
    let world = Arc::new(World::default());
    let second = service(&world, commits.clone(), loaded(&commits).await);
    second.boot().await;
    settle().await;
    assert_eq!(world.take_log(), ["build b one", "start b one"]);
    assert_eq!((phase(&second, "a"), phase(&second, "b")), (Phase::Completed, Phase::Running));
}

#[tokio::test(start_paused = true)]
async fn nothing_starts_after_shutdown_began() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    service.shutdown(Duration::from_secs(5)).await;
    assert_eq!(world.take_log().last().unwrap(), "sync a");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert!(world.take_log().is_empty());
}

use super::*;
use crate::{
    files::{Content, FileMember, Scan},
    record::{Verb, Wanted},
    service::WriteError,
};

fn dry() -> WriteOptions {
    WriteOptions { dry_run: true, ..asked() }
}

fn texts(service: &Service) -> Vec<String> {
    service.list(Kind::Stream).into_iter().filter_map(|view| Some(view.desired?.text.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_plan_goes_the_writes_way_up_to_the_commit() {
    let (world, service) = fresh().await;
    service.set_all(vec![spec("a", "one"), spec("b", "one"), spec("c", "one")], &asked()).await.unwrap();
    world.take_log();
    let set = || vec![spec("a", "one"), spec("b", "two"), spec("d", "unbuildable")];
    let plan = service.set_all(set(), &dry()).await.unwrap().plan.unwrap();
    let told = |change: &crate::service::PlannedChange| {
        (change.key.id.to_string(), change.action, change.restart, change.error.clone())
    };
    let failure = Some("field x is wrong".to_owned());
    let expected = [
        ("c".to_owned(), Verb::Delete, false, None),
        ("b".to_owned(), Verb::Update, true, None),
        ("d".to_owned(), Verb::Create, false, failure),
    ];
    let mut changes: Vec<_> = plan.changes.iter().map(told).collect();
    changes.sort_by_key(|change| change.3.is_some());
    assert_eq!((changes.as_slice(), plan.unchanged), (&expected[..], 1));
    assert!(!world.take_log().iter().any(|line| line.starts_with("start") || line.starts_with("stop")));
    assert_eq!((service.revision(), texts(&service)), (1, vec!["one".to_owned(); 3]));
    // What the write refuses, the plan refuses alike.
    let stale = WriteOptions { if_match: Some(0), ..dry() };
    assert!(matches!(service.set_all(set(), &stale).await, Err(WriteError::Conflict { current: 1 })));
    assert!(matches!(service.create(spec("a", "two"), &dry()).await, Err(WriteError::Exists(_))));
    let plan = service.replace(spec("a", "one"), &dry()).await.unwrap().plan.unwrap();
    assert_eq!((plan.changes.len(), plan.unchanged), (0, 1));
    let plan = service.delete(&Key::stream("a"), &dry()).await.unwrap().plan.unwrap();
    assert_eq!((plan.changes[0].action, plan.changes[0].before.as_deref()), (Verb::Delete, Some("one")));
    assert_eq!((service.revision(), texts(&service).len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_generation_becomes_a_new_one_also_of_what_is_deleted() {
    let (_world, service) = fresh().await;
    let key = Key::stream("a");
    for text in ["one", "two", "three"] {
        service.put_resource(spec("a", text), &asked()).await.unwrap();
    }
    service.roll_back(&key, None, &asked()).await.unwrap();
    service.roll_back(&key, Some(1), &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().text, "one");
    let missing = service.roll_back(&key, Some(9), &asked()).await.unwrap_err();
    assert!(matches!(missing, WriteError::Gone(_)), "{missing}");
    service.delete(&key, &asked()).await.unwrap();
    let past = service.history(&key).await.unwrap();
    let story: Vec<_> = past.iter().map(|past| (past.text.as_str(), past.made_in(), past.deleted)).collect();
    let expected =
        [("one", 5, Some(6)), ("two", 4, None), ("three", 3, None), ("two", 2, None), ("one", 1, None)];
    assert_eq!(story, expected);
    service.roll_back(&key, None, &asked()).await.unwrap();
    assert_eq!((service.desired(&key).unwrap().generation, texts(&service)), (6, vec!["one".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_revision_is_restored_whole_in_one_new_one() {
    let (world, service) = fresh().await;
    service.put_resource(spec_of(Kind::Cache, "c", "m"), &asked()).await.unwrap();
    service.set_all(vec![spec("a", "needs:c"), spec("b", "one")], &asked()).await.unwrap();
    service.set_all(vec![spec("b", "two"), spec("d", "one")], &asked()).await.unwrap();
    service.delete(&Key::new(Kind::Cache, "c"), &asked()).await.unwrap();
    world.resources.lock().unwrap().clear();
    let plan = service.restore(2, &dry()).await.unwrap().plan.unwrap();
    assert_eq!((plan.changes.len(), service.revision()), (4, 4));
    service.restore(2, &asked()).await.unwrap();
    settle().await;
    assert_eq!((service.revision(), texts(&service)), (5, vec!["needs:c".to_owned(), "one".into()]));
    assert_eq!((phase(&service, "a"), service.list(Kind::Cache).len()), (Phase::Running, 1));
    let early = service.restore(9, &asked()).await.unwrap_err();
    assert!(matches!(early, WriteError::Gone(_)), "{early}");
    let again = service.restore(2, &asked()).await.unwrap();
    assert_eq!((again.revision, again.touched.len()), (5, 0));
    assert_eq!(service.revisions(u64::MAX, 2).await.unwrap().iter().map(|one| one.revision).sum::<u64>(), 9);
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_or_too_much_is_forgotten_but_not_what_others_may_go_back_to() {
    let (_world, service) = fresh().await;
    let key = Key::stream("a");
    for text in ["one", "two", "three", "four"] {
        service.put_resource(spec("a", text), &asked()).await.unwrap();
    }
    let Loaded { meta, .. } = super::reconcile::loaded(&service.shared.commits).await;
    let records = service.shared.commits.scan(String::new()).await.unwrap();
    let retention = crate::record::Retention { generations: 1, revisions: 2, age: 0 };
    let commits = Committer::over(&records, retention).0;
    commits.prune().await.unwrap();
    let kept = |prefix: &str| commits.scan(prefix.to_owned());
    assert_eq!((kept("h/").await.unwrap().len(), kept("r/").await.unwrap().len()), (1, 2));
    assert!(kept("h/").await.unwrap().contains_key(&crate::record::keys::history(&key, 3)));
    assert_eq!(meta.revision, 4);
}

#[tokio::test(start_paused = true)]
async fn a_restart_builds_first_and_what_cannot_be_built_runs_on() {
    let (world, service) = fresh().await;
    let (key, cache) = (Key::stream("a"), spec_of(Kind::Cache, "c", "m"));
    service.put_resource(cache, &asked()).await.unwrap();
    service.create(spec("a", "needs:c"), &asked()).await.unwrap();
    world.take_log();
    service.set_run(&key, Wanted::Running, true, &asked()).await.unwrap();
    let log = ["build a needs:c", "stopped a needs:c", "sync a", "start a needs:c"];
    assert_eq!(world.take_log(), log);
    world.resources.lock().unwrap().clear();
    let refused = service.set_run(&key, Wanted::Running, true, &asked()).await.unwrap_err();
    assert!(matches!(refused, WriteError::Build(_)), "{refused}");
    assert_eq!((phase(&service, "a"), service.revision()), (Phase::Running, 3));
}

#[tokio::test(start_paused = true)]
async fn a_pause_is_answered_when_its_position_is_stored() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    world.checkpoints.lock().unwrap().insert(key.clone(), vec![("input".into(), "5".into())]);
    service.set_run(&key, Wanted::Paused, false, &asked()).await.unwrap();
    let stored = service.shared.commits.scan(crate::record::keys::checkpoints_of("a")).await.unwrap();
    assert_eq!(stored.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_files_stream_stays_paused_through_scans_and_new_starts_until_it_is_resumed() {
    let (_world, service) = fresh().await;
    let key = Key::stream("a");
    let scan = |text: &str| {
        let (path, hash) = ("a.yaml".to_owned(), fingerprint(text.as_bytes()));
        let member =
            FileMember { key: Key::stream("a"), path, hash, content: Content::Spec(spec("a", text)) };
        Scan { members: vec![member], missing: Vec::new() }
    };
    service.set_files(scan("one"), &asked()).await.unwrap();
    service.set_run(&key, Wanted::Paused, false, &asked()).await.unwrap();
    service.set_files(scan("one"), &asked()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::Paused);
    assert_eq!(service.desired(&key).unwrap().overridden, None, "it is no drift");
    service.set_files(scan("two"), &asked()).await.unwrap();
    let loaded = super::reconcile::loaded(&service.shared.commits).await;
    let world = Arc::new(World::default());
    let again = super::service(&world, service.shared.commits.clone(), loaded);
    again.boot().await;
    settle().await;
    assert_eq!((phase(&again, "a"), world.take_log().len()), (Phase::Paused, 0));
    again.set_run(&key, Wanted::Running, false, &asked()).await.unwrap();
    assert_eq!(world.take_log(), ["build a two", "start a two"]);
}

#[tokio::test(start_paused = true)]
async fn a_resource_in_use_is_only_removed_by_force_and_its_users_wait_for_another() {
    let (world, service) = fresh().await;
    let cache = || spec_of(Kind::Cache, "c", "m");
    let (key, user) = (Key::new(Kind::Cache, "c"), Key::stream("a"));
    service.put_resource(cache(), &asked()).await.unwrap();
    service.create(spec("a", "needs:c"), &asked()).await.unwrap();
    service.create(spec("b", "one"), &asked()).await.unwrap();
    assert_eq!(service.users().await, [(key.clone(), vec![user.clone()])].into());
    let refused = service.delete_resource(&key, false, &asked()).await.unwrap_err();
    assert!(matches!(&refused, WriteError::InUse(_, users) if *users == [user.clone()]), "{refused}");
    // One that is paused needs it still.
    service.set_run(&user, Wanted::Paused, false, &asked()).await.unwrap();
    assert_eq!(service.users().await.len(), 1);
    service.set_run(&user, Wanted::Running, false, &asked()).await.unwrap();
    service.delete_resource(&key, true, &asked()).await.unwrap();
    settle().await;
    let now = status(&service, "a");
    assert_eq!((now.phase, now.reason.as_deref()), (Phase::Invalid, Some("there is no resource c")));
    assert_eq!(phase(&service, "b"), Phase::Running);
    service.put_resource(cache(), &asked()).await.unwrap();
    settle().await;
    assert_eq!(phase(&service, "a"), Phase::Running);
    assert_eq!(world.alive.lock().unwrap()[&user], 1);
    service.delete(&user, &asked()).await.unwrap();
    service.delete_resource(&key, false, &asked()).await.unwrap();
}

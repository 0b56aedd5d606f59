use super::*;
use crate::events::{Event, What};

fn tried() -> WriteOptions {
    WriteOptions { probation: Some(Duration::from_mins(1)), ..asked() }
}

/// What was told of phases since the last change, oldest first.
fn told(service: &Service, revision: u64) -> Vec<Phase> {
    let phase = |event: Event| match event.what {
        What::Phase(phase, _) => Some(phase),
        What::Changed { .. } | What::Error(_) => None,
    };
    service.events().since(Some(revision - 1)).into_iter().filter_map(phase).collect()
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_passes_its_probation_counts_as_healthy() {
    let (_world, service) = fresh().await;
    service.create(spec("a", "one"), &tried()).await.unwrap();
    assert_eq!(phase(&service, "a"), Phase::OnProbation);
    wait(62).await;
    assert_eq!((phase(&service, "a"), service.revision()), (Phase::Running, 1));
    assert_eq!(told(&service, 1), [Phase::Starting, Phase::OnProbation, Phase::Running]);
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    assert_eq!(service.desired(&Key::stream("a")).unwrap().healthy, Some(1));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_gives_way_to_the_last_healthy_one() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    wait(1).await;
    // Never any good, so that nothing goes back to it.
    service.replace(spec("a", "start fails"), &asked()).await.unwrap();
    service.replace(spec("a", "two"), &tried()).await.unwrap();
    world.end(&key, Ended::Failed("panic at input: no".into()));
    wait(2).await;
    let now = status(&service, "a");
    let reason = "generation 3 failed its probation and 1 was put back: panic at input: no";
    assert_eq!((now.phase, now.reason.as_deref()), (Phase::RolledBack, Some(reason)));
    let desired = service.desired(&key).unwrap();
    assert_eq!((desired.text.as_str(), desired.generation, desired.healthy), ("one", 4, Some(1)));
    assert_eq!(told(&service, 4).last(), Some(&Phase::RolledBack));
    let revision = service.revision_record(4).await.unwrap().unwrap();
    assert_eq!((revision.actor.as_str(), revision.verb.as_str()), ("weir", "ROLLBACK"));
    // What was put back is as healthy as it was.
    service.replace(spec("a", "three"), &tried()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().healthy, Some(4));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_and_many_errors_fail_it_in_their_time_and_each_stream_alone() {
    let (world, service) = fresh().await;
    service.set_all(vec![spec("a", "one"), spec("b", "one")], &asked()).await.unwrap();
    wait(1).await;
    service.set_all(vec![spec("a", "two"), spec("b", "one")], &tried()).await.unwrap();
    let link = |connected| Link {
        path: "output".into(),
        label: String::new(),
        connected,
        error: Some("no route".into()),
        since: 1,
        failures: 1,
        over: false,
    };
    *world.links.lock().unwrap() = vec![link(false)];
    wait(58).await;
    assert_eq!((phase(&service, "a"), phase(&service, "b")), (Phase::OnProbation, Phase::Degraded));
    wait(5).await;
    let failed = service.history(&Key::stream("a")).await.unwrap()[1].probation.clone().unwrap().outcome;
    assert_eq!(failed, Some(crate::record::Outcome::Failed("output is not connected: no route".into())));
    *world.links.lock().unwrap() = vec![link(true)];
    wait(2).await;
    assert_eq!((phase(&service, "a"), phase(&service, "b")), (Phase::RolledBack, Phase::Running));
    service.replace(spec("b", "two"), &tried()).await.unwrap();
    *world.counters.lock().unwrap() = Counters { received: 10, errors: 6, ..Counters::default() };
    wait(2).await;
    let reason = status(&service, "b").reason.unwrap();
    assert!(
        reason.ends_with("of its first 10 messages 60 % had errors or were rejected, before it 0 %"),
        "{reason}"
    );
    // The old one was as bad: no worse is good enough.
    service.replace(spec("b", "three"), &tried()).await.unwrap();
    wait(62).await;
    assert_eq!(phase(&service, "b"), Phase::Running);
}

#[tokio::test(start_paused = true)]
async fn a_probation_goes_on_after_a_crash_and_one_without_a_healthy_generation_only_ends() {
    let (_world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    wait(1).await;
    service.replace(spec("a", "two"), &tried()).await.unwrap();
    service.create(spec("b", "start fails"), &tried()).await.unwrap();
    wait(2).await;
    assert_eq!((phase(&service, "a"), phase(&service, "b")), (Phase::OnProbation, Phase::BackingOff));
    assert_eq!(service.desired(&Key::stream("b")).unwrap().on_probation(), None);
    let loaded = super::reconcile::loaded(&service.shared.commits).await;
    let world = Arc::new(World::default());
    let again = super::service(&world, service.shared.commits.clone(), loaded);
    again.boot().await;
    settle().await;
    assert_eq!(phase(&again, "a"), Phase::OnProbation);
    world.end(&Key::stream("a"), Ended::Failed("it broke".into()));
    wait(2).await;
    assert_eq!(
        (phase(&again, "a"), again.desired(&Key::stream("a")).unwrap().text.as_str()),
        (Phase::RolledBack, "one")
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_with_none_to_go_back_to_stays_and_is_no_good_to_go_back_to() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    *world.counters.lock().unwrap() = Counters { received: 10, errors: 9, ..Counters::default() };
    service.create(spec("a", "one"), &tried()).await.unwrap();
    wait(2).await;
    let now = status(&service, "a");
    let reason = now.reason.as_deref().unwrap_or_default();
    assert_eq!((now.phase, now.conditions[0].kind), (Phase::Degraded, "ProbationFailed"));
    assert!(reason.starts_with("it failed its probation") && reason.contains("90 %"), "{reason}");
    assert_eq!(told(&service, 1).last(), Some(&Phase::Degraded));
    *world.counters.lock().unwrap() = Counters::default();
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    wait(1).await;
    assert_eq!((phase(&service, "a"), service.desired(&key).unwrap().healthy), (Phase::Running, None));
    // Whoever runs and fails most of its messages is no better without a probation.
    *world.counters.lock().unwrap() = Counters { received: 10, errors: 9, ..Counters::default() };
    service.replace(spec("a", "three"), &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().healthy, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_passed_is_healthy_whatever_became_of_it_since() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    wait(1).await;
    service.replace(spec("a", "two"), &tried()).await.unwrap();
    wait(62).await;
    world.end(&key, Ended::Failed("its peer is gone".into()));
    wait(0).await;
    service.replace(spec("a", "three"), &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().healthy, Some(2));
    // But for what the process died of.
    service.replace(spec("a", "four"), &tried()).await.unwrap();
    wait(62).await;
    service.quarantine("a", 4, "the process died of it".into()).await.unwrap();
    service.replace(spec("a", "five"), &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().healthy, Some(3));
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_gives_way_to_one_that_was_on_probation_without_a_fault() {
    let (world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &tried()).await.unwrap();
    wait(1).await;
    service.replace(spec("a", "two"), &tried()).await.unwrap();
    world.end(&key, Ended::Failed("no".into()));
    wait(2).await;
    let desired = service.desired(&key).unwrap();
    assert_eq!((phase(&service, "a"), desired.text.as_str()), (Phase::RolledBack, "one"));
}

#[tokio::test(start_paused = true)]
async fn the_last_healthy_generation_outlives_those_that_came_after_it() {
    let (_world, service) = fresh().await;
    let key = Key::stream("a");
    service.create(spec("a", "one"), &asked()).await.unwrap();
    wait(1).await;
    for number in 0..30 {
        service.replace(spec("a", &format!("start fails{}", " ".repeat(number))), &asked()).await.unwrap();
        service.shared.table().slots.get_mut(&key).unwrap().failures = 1;
    }
    let kept: Vec<u64> = service.history(&key).await.unwrap().iter().map(|past| past.generation).collect();
    assert_eq!((kept.len(), kept.last()), (22, Some(&1)));
    service.roll_back(&key, None, &asked()).await.unwrap();
    assert_eq!(service.desired(&key).unwrap().text, "one");
    service.shared.table().slots.get_mut(&key).unwrap().failures = 0;
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    let kept: Vec<u64> = service.history(&key).await.unwrap().iter().map(|past| past.generation).collect();
    assert_eq!((kept.len(), kept.last()), (21, Some(&13)));
}

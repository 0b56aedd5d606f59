use super::*;
use crate::{record::Wanted, runtime::Changes};

fn put(world: &World, id: &str, text: &str) {
    let checkpoint = ("input".to_owned(), Arc::from(text));
    world.checkpoints.lock().unwrap().entry(Key::stream(id)).or_default().push(checkpoint);
}

async fn stored(commits: &Commits) -> Vec<String> {
    super::reconcile::loaded(commits)
        .await
        .checkpoints
        .into_iter()
        .map(|checkpoint| checkpoint.text)
        .collect()
}

fn given(world: &World, id: &str) -> Option<String> {
    let given = world.given.lock().unwrap();
    given[&Key::stream(id)].get("input").map(ToString::to_string)
}

async fn fresh() -> (Arc<World>, Commits, Service) {
    let world = Arc::new(World::default());
    let commits = Committer::in_memory();
    let service = service(&world, commits.clone(), Loaded::default());
    service.boot().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    world.take_log();
    (world, commits, service)
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_is_written_within_a_second_or_so_after_its_outputs_are_synced() {
    let (world, commits, _service) = fresh().await;
    put(&world, "a", "10");
    tokio::time::sleep(Duration::from_millis(1300)).await;
    assert_eq!(stored(&commits).await, ["10"]);
    assert_eq!(world.take_log(), ["sync a"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(world.take_log().is_empty(), "an idle stream is not synced");
}

#[tokio::test(start_paused = true)]
async fn without_a_sync_there_is_no_checkpoint() {
    let (world, commits, _service) = fresh().await;
    *world.sync_fails.lock().unwrap() = true;
    put(&world, "a", "10");
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(stored(&commits).await.is_empty());
    *world.sync_fails.lock().unwrap() = false;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stored(&commits).await, ["10"]);
}

#[tokio::test(start_paused = true)]
async fn runs_are_asked_when_there_is_news_and_until_it_is_written() {
    let (world, commits, _service) = fresh().await;
    let news = |checkpoints| {
        *world.changes.lock().unwrap() = Some(Changes { connections: 0, checkpoints, faults: 0 });
    };
    news(0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    put(&world, "a", "10");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.take_log().is_empty(), "asked without need");
    *world.sync_fails.lock().unwrap() = true;
    news(1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(stored(&commits).await.is_empty());
    *world.sync_fails.lock().unwrap() = false;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stored(&commits).await, ["10"]);
}

#[tokio::test(start_paused = true)]
async fn failures_pauses_and_replacements_carry_positions_over() {
    let (world, commits, service) = fresh().await;
    let key = Key::stream("a");
    put(&world, "a", "1");
    world.end(&key, Ended::Failed("broke".into()));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(given(&world, "a").as_deref(), Some("1"));
    put(&world, "a", "2");
    service.replace(spec("a", "two"), &asked()).await.unwrap();
    assert_eq!(given(&world, "a").as_deref(), Some("2"));
    put(&world, "a", "3");
    service.set_run(&key, Wanted::Paused, false, &asked()).await.unwrap();
    service.set_run(&key, Wanted::Running, false, &asked()).await.unwrap();
    assert_eq!(given(&world, "a").as_deref(), Some("3"));
    put(&world, "a", "4");
    service.shutdown(Duration::from_secs(1)).await;
    assert_eq!(stored(&commits).await, ["4"]);
}

#[tokio::test(start_paused = true)]
async fn completion_and_deletion_drop_positions_and_a_further_run_starts_anew() {
    let (world, commits, service) = fresh().await;
    let key = Key::stream("a");
    put(&world, "a", "1");
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.end(&key, Ended::Completed);
    settle().await;
    assert!(stored(&commits).await.is_empty());
    service.replace(spec("a", "one"), &asked()).await.unwrap();
    assert_eq!(given(&world, "a"), None);
    put(&world, "a", "2");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stored(&commits).await, ["2"]);
    // A position taken just before the deletion must not reach the next stream of this name.
    put(&world, "a", "3");
    service.delete(&key, &asked()).await.unwrap();
    service.create(spec("a", "one"), &asked()).await.unwrap();
    assert_eq!(given(&world, "a"), None);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(stored(&commits).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_process_goes_on_at_the_stored_position() {
    let (world, commits, service) = fresh().await;
    put(&world, "a", "7");
    tokio::time::sleep(Duration::from_secs(2)).await;
    drop(service);
    let world = Arc::new(World::default());
    let again = super::service(&world, commits.clone(), super::reconcile::loaded(&commits).await);
    again.boot().await;
    settle().await;
    assert_eq!(given(&world, "a").as_deref(), Some("7"));
}

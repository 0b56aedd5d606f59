use super::*;

fn sent(world: &World, sent: u64) {
    world.counters.lock().unwrap().sent = sent;
}

async fn wait(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_its_promise_is_stalled_until_it_sends_again() {
    let (world, service) = fresh().await;
    *world.expect.lock().unwrap() = Some(Expect { output_every: Duration::from_secs(10), restart: false });
    service.create(spec("a", "one"), &asked()).await.unwrap();
    for count in 1..4 {
        wait(8).await;
        assert_eq!(phase(&service, "a"), Phase::Running);
        sent(&world, count);
    }
    wait(12).await;
    let now = status(&service, "a");
    assert_eq!((now.phase, now.reason.as_deref()), (Phase::Stalled, Some("it sent nothing for 10 s")));
    sent(&world, 9);
    wait(2).await;
    assert_eq!((phase(&service, "a"), status(&service, "a").restarts), (Phase::Running, 0));
}

#[tokio::test(start_paused = true)]
async fn it_is_started_again_if_that_is_asked_for() {
    let (world, service) = fresh().await;
    *world.expect.lock().unwrap() = Some(Expect { output_every: Duration::from_secs(10), restart: true });
    service.create(spec("a", "one"), &asked()).await.unwrap();
    wait(13).await;
    let now = status(&service, "a");
    assert_eq!((now.phase, now.restarts), (Phase::Running, 1));
    let log = world.take_log();
    assert_eq!(log[..4], ["build a one", "start a one", "sync a", "stopped a one"]);
    let failure = now.last_error.unwrap().message;
    assert_eq!(failure, "it sent nothing for 10 s, which its config does not allow");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_ten_minutes_makes_no_progress() {
    let (world, service) = fresh().await;
    service.create(spec("a", "one"), &asked()).await.unwrap();
    for minutes in 0..12 {
        let conditions = status(&service, "a").conditions;
        assert_eq!(conditions.len(), usize::from(minutes > 10), "after {minutes} minutes");
        *world.oldest.lock().unwrap() = Some(Duration::from_secs(60 * minutes + 1));
        wait(60).await;
    }
    assert_eq!(
        (status(&service, "a").conditions[0].kind, phase(&service, "a")),
        ("NoProgress", Phase::Running)
    );
    // Something else goes through.
    sent(&world, 1);
    wait(60).await;
    assert_eq!(status(&service, "a").conditions, []);
}

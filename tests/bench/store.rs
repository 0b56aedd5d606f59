//! Durable commits: 64 writers at once, records of a kilobyte, a real folder below the working directory.

#![expect(clippy::disallowed_types, reason = "disks run by the real clock")]
#![expect(clippy::expect_used, reason = "what cannot be set up cannot be measured")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use weir_control::{
    record::Desired,
    store::{
        committer::{Change, Committer, Origin},
        disk::{Disk, SystemDisk},
        folder,
    },
};

const WRITERS: usize = 64;
const SECONDS: u64 = 5;

/// Commits one record after the other; how long each took.
async fn write(
    commits: weir_control::store::committer::Commits,
    writer: usize,
    end: Instant,
) -> Vec<Duration> {
    let mut took = Vec::new();
    while Instant::now() < end {
        let record = Desired {
            id: format!("stream{writer}"),
            text: "x".repeat(1000),
            fingerprint: took.len().to_string(),
            ..Desired::default()
        };
        let begun = Instant::now();
        let done = commits.commit(vec![Change::Put(Box::new(record))], Some(Origin::default())).await;
        assert!(done.is_ok(), "{done:?}");
        took.push(begun.elapsed());
    }
    took
}

fn main() {
    let place = tempfile::tempdir_in(".").expect("a folder can be made");
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let opened = folder::open(&place.path().join("state"), &disk).expect("the store opens");
    let (committer, _) = Committer::start(opened).expect("the committer starts");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| runtime.spawn(write(committer.commits(), writer, end))).collect();
    let mut took: Vec<Duration> =
        writers.into_iter().flat_map(|writer| runtime.block_on(writer).expect("a writer panicked")).collect();
    committer.close();
    took.sort_unstable();
    let rate = took.len() as u64 / SECONDS;
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    println!("{WRITERS} writers: {rate} commits a second, median {median:.1?}");
}

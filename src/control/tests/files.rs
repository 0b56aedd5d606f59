use super::*;
use crate::{
    files::{Content, FileMember, Scan},
    record::Owner,
    store::committer::FILES,
};

fn file(id: &str, text: &str) -> FileMember {
    let hash = fingerprint(text.as_bytes());
    FileMember {
        key: Key::stream(id),
        path: format!("{id}.yaml"),
        hash,
        content: Content::Spec(spec(id, text)),
    }
}

fn bad(id: &str, error: &str) -> FileMember {
    let (key, path, hash) = (Key::stream(id), format!("{id}.yaml"), "h".into());
    FileMember { key, path, hash, content: Content::Bad(error.into()) }
}

fn found(members: Vec<FileMember>) -> Scan {
    Scan { members, missing: Vec::new() }
}

fn texts(service: &Service) -> Vec<String> {
    service.list(Kind::Stream).into_iter().filter_map(|view| Some(view.desired?.text.clone())).collect()
}

#[tokio::test(start_paused = true)]
async fn files_own_their_streams_and_an_equal_scan_does_nothing() {
    let (world, service) = fresh().await;
    service.create(spec("a", "by the api"), &asked()).await.unwrap();
    let scan = || found(vec![file("a", "one"), file("b", "two")]);
    service.set_files(scan(), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["one", "two"]);
    let owner = service.desired(&Key::stream("a")).unwrap().owner.clone();
    assert!(matches!(owner, Owner::File { path, .. } if path == "a.yaml"));
    world.take_log();
    let scanned = service.set_files(scan(), &asked()).await.unwrap();
    assert_eq!((scanned.written.revision, world.take_log().len()), (2, 0));
    service.set_files(found(vec![file("b", "two")]), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["two"]);
}

#[tokio::test(start_paused = true)]
async fn a_scan_is_signed_by_the_file_or_by_the_folder_that_holds_all_that_it_changed() {
    let (_world, service) = fresh().await;
    let origin = || Origin { actor: FILES.into(), verb: "SCAN".into(), note: None };
    let options = || WriteOptions { origin: origin(), ..asked() };
    let at = |path: &str, id: &str, text: &str| FileMember { path: path.into(), ..file(id, text) };
    for (scan, expected) in [
        (vec![at("/x/y/a.yaml", "a", "one"), at("/x/z/b.yaml", "b", "one")], "file:/x"),
        (vec![at("/x/y/a.yaml", "a", "two"), at("/x/z/b.yaml", "b", "one")], "file:/x/y/a.yaml"),
        (vec![at("/x/y/a.yaml", "a", "two")], "file:/x/z/b.yaml"),
        (vec![at("one/a.yaml", "a", "two"), at("other/b.yaml", "b", "two")], "file:."),
    ] {
        service.set_files(found(scan), &options()).await.unwrap();
        assert_eq!(service.revisions(u64::MAX, 1).await.unwrap()[0].actor, expected);
    }
    let history = service.history(&Key::stream("b")).await.unwrap();
    let actors: Vec<_> = history.iter().map(|one| one.made.clone().unwrap().actor).collect();
    assert_eq!(actors, ["file:other/b.yaml", "file:/x/z/b.yaml"], "a generation names its own file");
}

#[tokio::test(start_paused = true)]
async fn an_override_by_the_api_lasts_until_the_file_changes() {
    let (_world, service) = fresh().await;
    let scan = || found(vec![file("a", "one"), file("b", "two")]);
    service.set_files(scan(), &asked()).await.unwrap();
    service.replace(spec("a", "changed"), &asked()).await.unwrap();
    service.delete(&Key::stream("b"), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["changed"]);
    service.set_files(scan(), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["changed"]);
    service.set_files(found(vec![file("a", "one."), file("b", "two.")]), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["one.", "two."]);
    assert_eq!(service.desired(&Key::stream("a")).unwrap().overridden, None);
}

#[tokio::test(start_paused = true)]
async fn a_bad_file_keeps_its_streams_last_good_text_and_the_others_are_taken() {
    let (_world, service) = fresh().await;
    service.set_files(found(vec![file("a", "one"), file("b", "two")]), &asked()).await.unwrap();
    let scan =
        found(vec![bad("a", "(1,1) no"), file("b", "unbuildable"), file("c", "new"), bad("d", "(2,2) no")]);
    let scanned = service.set_files(scan, &asked()).await.unwrap();
    assert_eq!(scanned.rejected.len(), 3);
    assert_eq!(texts(&service), ["one", "two", "new", ""]);
    // One that never was any good is there to say why.
    let never = status(&service, "d");
    assert_eq!((never.phase, never.active), (Phase::Invalid, false));
    assert!(never.reason.unwrap().contains("(2,2) no"));
    assert!(status(&service, "b").reason.unwrap().contains("field x is wrong"));
    let rejected = service.desired(&Key::stream("b")).unwrap().rejected.clone().unwrap();
    assert_eq!(rejected.error, "field x is wrong");
    assert_eq!(phase(&service, "a"), Phase::Running);
    service
        .set_files(found(vec![file("a", "one"), file("b", "two"), file("c", "new")]), &asked())
        .await
        .unwrap();
    assert_eq!(service.desired(&Key::stream("a")).unwrap().rejected, None);
    assert_eq!(texts(&service), ["one", "two", "new"]);
}

#[tokio::test(start_paused = true)]
async fn what_came_from_a_place_that_is_missing_is_kept() {
    let (_world, service) = fresh().await;
    let under = |folder: &str, id: &str| FileMember { path: format!("{folder}/{id}.yaml"), ..file(id, id) };
    service
        .set_files(found(vec![under("x", "a"), under("y", "b"), under("y", "c")]), &asked())
        .await
        .unwrap();
    let scan = Scan { members: vec![under("y", "b")], missing: vec!["x".into()] };
    service.set_files(scan, &asked()).await.unwrap();
    assert_eq!(texts(&service), ["a", "b"]);
    assert_eq!(service.conditions()[0].kind, "SourceMissing");
}

#[tokio::test(start_paused = true)]
async fn a_scan_that_finds_nothing_removes_nothing_and_says_so() {
    let (_world, service) = fresh().await;
    service.set_files(found(vec![file("a", "one")]), &asked()).await.unwrap();
    service.set_files(found(Vec::new()), &asked()).await.unwrap();
    assert_eq!(texts(&service), ["one"]);
    assert_eq!(service.conditions()[0].kind, "SourceMissing");
    service.set_files(found(vec![file("a", "one")]), &asked()).await.unwrap();
    assert!(service.conditions().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_new_file_that_cannot_be_built_is_invalid_until_its_resource_comes() {
    let (_world, service) = fresh().await;
    let scanned = service.set_files(found(vec![file("a", "needs:c")]), &asked()).await.unwrap();
    assert_eq!(scanned.rejected, [("a.yaml".to_owned(), "there is no resource c".to_owned())]);
    assert_eq!(phase(&service, "a"), Phase::Invalid);
    let cache = FileMember {
        key: Key::new(Kind::Cache, "c"),
        content: Content::Spec(spec_of(Kind::Cache, "c", "m")),
        ..file("c", "m")
    };
    service.set_resource_files(found(vec![cache]), &asked()).await.unwrap();
    settle().await;
    assert_eq!(phase(&service, "a"), Phase::Running);
    service.set_files(found(vec![file("a", "needs:c")]), &asked()).await.unwrap();
    assert_eq!(service.list(Kind::Cache).len(), 1, "a scan of streams leaves resources alone");
}

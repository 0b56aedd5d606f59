//! Watched folders: whatever editors, Git, Kubernetes and disks do to files, what runs is what they say.

use crate::harness::{PATIENCE, Server, Setup, eventually, idle_stream};
use crate::survival::mark_of;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A server that watches `s`, where these files are.
fn watching(files: &[(&str, &str)]) -> Server {
    let place = tempfile::tempdir().unwrap();
    for (name, mark) in files {
        put(place.path(), name, &idle_stream(mark));
    }
    start(place)
}

fn start(place: tempfile::TempDir) -> Server {
    fs::create_dir_all(place.path().join("s")).unwrap();
    Server::inside(place, Setup { args: vec!["-w".into(), "s".into()], ..Setup::default() })
}

/// Writes a file below `s`, its folders too.
fn put(place: &Path, name: &str, text: &str) {
    let path = place.join("s").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn here(server: &Server) -> PathBuf {
    server.path("")
}

/// Waits until a stream has this mark; `None`: until it is gone.
fn becomes(server: &Server, id: &str, mark: Option<&str>) {
    let begun = Instant::now();
    eventually(&format!("{id} is {mark:?}; log: {}", server.log()), PATIENCE, || {
        (mark_of(server, id).as_deref() == mark).then_some(())
    });
    println!("{id} is {mark:?} after {:?}", begun.elapsed());
}

fn ids(server: &Server) -> Vec<String> {
    server.get("/streams").json().as_object().unwrap().keys().cloned().collect()
}

/// Waits until these streams are all there are: one that stops is listed until it has.
fn lists(server: &Server, wanted: &[&str]) {
    eventually(&format!("{wanted:?} are all there are"), PATIENCE, || (ids(server) == wanted).then_some(()));
}

fn reason(server: &Server, id: &str) -> String {
    server.status(id)["reason"].as_str().unwrap_or_default().to_owned()
}

fn revision(server: &Server) -> u64 {
    let text = server.get("/metrics").text();
    let line = text.lines().find_map(|line| line.strip_prefix("weir_store_revision ")).unwrap();
    line.parse().unwrap()
}

/// What the server says of conditions.
fn conditions(server: &Server) -> String {
    server.get("/livez").json()["conditions"].to_string()
}

fn generation(server: &Server, id: &str) -> u64 {
    server.status(id)["generation"].as_u64().unwrap()
}

#[test]
fn files_are_edited_replaced_moved_and_removed() {
    let server = watching(&[("a.yaml", "one"), ("b.yaml", "one")]);
    let place = here(&server);
    // In place.
    put(&place, "a.yaml", &idle_stream("two"));
    becomes(&server, "a", Some("two"));
    // As editors do: the old one is moved away, or another takes its place.
    fs::rename(place.join("s/a.yaml"), place.join("s/a.yaml~")).unwrap();
    put(&place, "a.yaml", &idle_stream("three"));
    becomes(&server, "a", Some("three"));
    put(&place, ".a.yaml.swp", &idle_stream("four"));
    fs::rename(place.join("s/.a.yaml.swp"), place.join("s/a.yaml")).unwrap();
    becomes(&server, "a", Some("four"));
    // An edit that keeps length and time of modification.
    let before = fs::metadata(place.join("s/a.yaml")).unwrap().modified().unwrap();
    put(&place, "a.yaml", &idle_stream("FOUR"));
    File::options().write(true).open(place.join("s/a.yaml")).unwrap().set_modified(before).unwrap();
    becomes(&server, "a", Some("FOUR"));
    fs::remove_file(place.join("s/a.yaml")).unwrap();
    lists(&server, &["b"]);
    assert_eq!(generation(&server, "b"), 1, "b was touched");
}

#[test]
fn a_file_is_read_once_it_is_written() {
    let server = watching(&[("a.yaml", "one"), ("b.yaml", "one")]);
    let before = revision(&server);
    let mut file = File::create(server.path("s/a.yaml")).unwrap();
    for part in idle_stream("slowly written").as_bytes().chunks(8) {
        file.write_all(part).unwrap();
        sleep(Duration::from_millis(60));
    }
    drop(file);
    becomes(&server, "a", Some("slowly written"));
    assert_eq!(revision(&server), before + 1, "a half was taken for the whole: {}", server.log());
    assert!(!server.log().contains("refused"), "{}", server.log());
}

#[test]
fn folders_come_and_go() {
    let server = watching(&[("a.yaml", "one"), ("sub/b.yaml", "one")]);
    let place = here(&server);
    put(&place, "new/deep/c.yaml", &idle_stream("one"));
    becomes(&server, "new_deep_c", Some("one"));
    put(&place, "new/deep/c.yaml", &idle_stream("two"));
    becomes(&server, "new_deep_c", Some("two"));
    fs::rename(place.join("s/new"), place.join("s/other")).unwrap();
    becomes(&server, "other_deep_c", Some("two"));
    becomes(&server, "new_deep_c", None);
    fs::remove_dir_all(place.join("s/sub")).unwrap();
    lists(&server, &["a", "other_deep_c"]);
}

#[test]
fn a_folder_that_vanishes_takes_nothing_along_and_may_come_back() {
    let mut server = watching(&[("a.yaml", "one"), ("sub/b.yaml", "one")]);
    let place = here(&server);
    fs::rename(place.join("s"), place.join("away")).unwrap();
    let missing = || conditions(&server).contains("SourceMissing").then_some(());
    eventually("that the files are missing is said", PATIENCE, missing);
    assert_eq!(ids(&server), ["a", "sub_b"]);
    assert!(server.is_active("a") && server.is_active("sub_b"));
    fs::rename(place.join("away"), place.join("s")).unwrap();
    eventually("all is well", PATIENCE, || (conditions(&server) == "[]").then_some(()));
    // What came back is watched as before.
    put(&place, "sub/b.yaml", &idle_stream("two"));
    becomes(&server, "sub_b", Some("two"));
    assert_eq!(generation(&server, "a"), 1);
    // An empty folder at the start is no reason to remove everything either.
    server.stop();
    fs::rename(place.join("s"), place.join("away")).unwrap();
    fs::create_dir(place.join("s")).unwrap();
    server.start_again();
    assert_eq!(ids(&server), ["a", "sub_b"]);
    assert!(conditions(&server).contains("SourceMissing"));
}

/// Lays files out as Kubernetes mounts a map: links to a link to a folder of this version.
fn mount(place: &Path, version: &str, marks: &[(&str, &str)]) {
    let folder = place.join("s").join(format!("..{version}"));
    fs::create_dir_all(&folder).unwrap();
    for (name, mark) in marks {
        fs::write(folder.join(name), idle_stream(mark)).unwrap();
    }
    symlink(format!("..{version}"), place.join("s/..data_tmp")).unwrap();
    fs::rename(place.join("s/..data_tmp"), place.join("s/..data")).unwrap();
}

#[test]
fn a_mounted_map_of_kubernetes_changes_all_at_once() {
    let place = tempfile::tempdir().unwrap();
    mount(place.path(), "2024_1", &[("a.yaml", "one"), ("b.yaml", "one")]);
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), place.path().join("s").join(name)).unwrap();
    }
    let server = start(place);
    assert_eq!(ids(&server), ["a", "b"]);
    let before = revision(&server);
    mount(&here(&server), "2024_2", &[("a.yaml", "two"), ("b.yaml", "two")]);
    fs::remove_dir_all(server.path("s/..2024_1")).unwrap();
    becomes(&server, "a", Some("two"));
    becomes(&server, "b", Some("two"));
    assert_eq!(revision(&server), before + 1);
    assert_eq!(ids(&server), ["a", "b"]);
}

fn git(folder: &Path, words: &[&str]) {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "init.defaultBranch=main"]);
    let done = command.args(words).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn another_branch_with_a_hundred_changes_is_at_most_two_commits() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("s");
    let lay = |range: std::ops::Range<usize>, mark: &str| {
        for number in range {
            put(place.path(), &format!("f{number:03}.yaml"), &idle_stream(mark));
        }
    };
    lay(0..90, "main");
    git(&folder, &["init", "-q"]);
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "main"]);
    git(&folder, &["checkout", "-qb", "other"]);
    // 80 changed, 10 removed, 10 new.
    lay(0..80, "other");
    lay(90..100, "other");
    (80..90).for_each(|number| fs::remove_file(folder.join(format!("f{number:03}.yaml"))).unwrap());
    git(&folder, &["add", "-A"]);
    git(&folder, &["commit", "-qm", "other"]);
    git(&folder, &["checkout", "-q", "main"]);
    let server = start(place);
    assert_eq!(ids(&server).len(), 90);
    for (branch, count) in [("other", 90), ("main", 90)] {
        let before = revision(&server);
        git(&server.path("s"), &["checkout", "-q", branch]);
        becomes(&server, "f000", Some(branch));
        eventually("all are there", PATIENCE, || {
            let all = ids(&server);
            let there = all.len() == count && all.iter().any(|id| id == "f085") == (branch == "main");
            (there && all.iter().all(|id| mark_of(&server, id).as_deref() == Some(branch))).then_some(())
        });
        let commits = revision(&server) - before;
        assert!(commits <= 2, "{commits} commits");
    }
}

#[test]
fn a_bad_file_keeps_its_last_good_spec_running_and_says_why() {
    let mut server = watching(&[("a.yaml", "one"), ("b.yaml", "one")]);
    let place = here(&server);
    let needy = idle_stream("needy").replace("drop: {}", "resource: missing");
    let bad = [
        ("input: [ a, b", "line"),
        ("input:\n  nonesuch: {}\n", "nonesuch"),
        ("input:\n  generate:\n    odd: 1\n    mapping: root = 1\noutput:\n  drop: {}\n", "odd"),
        (
            "input:\n  generate:\n    interval: sometimes\n    mapping: root = 1\noutput:\n  drop: {}\n",
            "interval",
        ),
        (&needy, "missing"),
    ];
    for (text, part) in bad {
        put(&place, "a.yaml", text);
        eventually(&format!("{part} is said"), PATIENCE, || {
            reason(&server, "a").contains(part).then_some(())
        });
        assert!(server.is_active("a"), "{text}");
        assert_eq!(mark_of(&server, "a").as_deref(), Some("one"), "{text}");
    }
    let said = server.log().matches("s/a.yaml is refused").count();
    assert_eq!(said, bad.len(), "{}", server.log());
    // A new one that is bad is listed, too, and all of it survives a restart.
    put(&place, "new.yaml", "input:\n  nonesuch: {}\n");
    eventually("the new one is listed", PATIENCE, || {
        (server.status("new")["phase"] == "Invalid").then_some(())
    });
    server.kill();
    server.start_again();
    assert_eq!(mark_of(&server, "a").as_deref(), Some("one"));
    assert!(reason(&server, "a").contains("missing"), "{}", server.status("a"));
    assert!(reason(&server, "new").contains("nonesuch"));
    assert_eq!(ids(&server), ["a", "b", "new"]);
    // What it lacked comes over the API.
    server.done("POST", "/resources/output/missing", "drop: {}\n");
    eventually("a runs with it", PATIENCE, || (generation(&server, "a") == 2).then_some(()));
    put(&place, "a.yaml", &idle_stream("two"));
    put(&place, "new.yaml", &idle_stream("two"));
    becomes(&server, "a", Some("two"));
    becomes(&server, "new", Some("two"));
    assert!(server.status("a")["reason"].is_null() && server.is_active("new"));
}

/// Lets or forbids everybody to read.
fn permit(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn what_may_not_be_read_stays_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    for name in ["a.yaml", "b.yaml", "sub/c.yaml"] {
        put(place.path(), name, &idle_stream("one"));
    }
    // The superuser reads everything, unless it has given that right up.
    let without_rights = "setpriv --bounding-set=-dac_override,-dac_read_search \
                          --inh-caps=-dac_override,-dac_read_search";
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let through =
        if is_root { without_rights.split_whitespace().map(str::to_owned).collect() } else { Vec::new() };
    let args = vec!["-w".into(), "s".into()];
    let server = Server::inside(place, Setup { args, through, ..Setup::default() });
    let (file, folder) = (server.path("s/a.yaml"), server.path("s/sub"));
    put(&here(&server), "a.yaml", &idle_stream("two"));
    permit(&file, 0o000);
    permit(&folder, 0o000);
    let said = |what: String| move || what.contains("denied").then_some(());
    eventually("the file is named", PATIENCE, || said(reason(&server, "a"))());
    eventually("the folder is named", PATIENCE, || said(conditions(&server))());
    put(&here(&server), "b.yaml", &idle_stream("two"));
    becomes(&server, "b", Some("two"));
    assert_eq!(ids(&server), ["a", "b", "sub_c"]);
    assert!(server.is_active("a") && server.is_active("sub_c"));
    permit(&file, 0o644);
    permit(&folder, 0o755);
    becomes(&server, "a", Some("two"));
    eventually("all is well", PATIENCE, || (conditions(&server) == "[]").then_some(()));
}

#[test]
fn what_is_no_stream_file_is_named_and_the_rest_runs() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join("s").join(name);
    put(place.path(), "good.yaml", &idle_stream("one"));
    put(place.path(), "folder.yaml/in.yaml", &idle_stream("one"));
    put(place.path(), "first/same.yaml", &idle_stream("one"));
    put(place.path(), "first_same.yaml", &idle_stream("two"));
    assert!(Command::new("mkfifo").arg(at("pipe.yaml")).status().unwrap().success());
    let _socket = UnixListener::bind(at("socket.yaml")).unwrap();
    fs::write(at("bytes.yaml"), b"input:\n  generate:\n    mapping: root = \"\xff\"\n").unwrap();
    File::create(at("large.yaml")).unwrap().set_len(100 << 20).unwrap();
    symlink("nothing", at("dangling.yaml")).unwrap();
    symlink("itself.yaml", at("itself.yaml")).unwrap();
    symlink("..", at("up")).unwrap();
    symlink(".", at("circle")).unwrap();
    let server = start(place);
    let odd = [
        ("pipe", "named pipe"),
        ("socket", "socket"),
        ("bytes", "UTF-8"),
        ("large", "at most"),
        ("dangling", "nothing"),
        ("itself", "link"),
    ];
    for (id, part) in odd {
        assert!(reason(&server, id).contains(part), "{id}: {}", server.status(id));
        let lines = server.log().matches(&format!("s/{id}.yaml is refused")).count();
        assert_eq!(lines, 1, "{id}: {}", server.log());
    }
    let conditions = conditions(&server);
    assert!(conditions.contains("first_same.yaml") && conditions.contains("circle"), "{conditions}");
    for id in ["good", "folder.yaml_in", "first_same"] {
        assert!(server.is_active(id), "{id}: {}", server.status(id));
    }
    // None of it is said again, and what changes runs.
    let errors = || server.log().lines().filter(|line| line.contains("level=error")).count();
    let before = errors();
    put(&here(&server), "good.yaml", &idle_stream("two"));
    becomes(&server, "good", Some("two"));
    assert_eq!(errors(), before, "{}", server.log());
}

#[test]
fn ten_thousand_bad_files_stop_nothing() {
    const FILES: usize = 10_000;
    let place = tempfile::tempdir().unwrap();
    for number in 0..FILES {
        put(place.path(), &format!("bad{number}.yaml"), "input:\n  nonesuch: {}\n");
    }
    put(place.path(), "good.yaml", &idle_stream("one"));
    let begun = Instant::now();
    let server = start(place);
    println!("ten thousand bad files: up after {:?}", begun.elapsed());
    assert!(server.is_active("good"));
    let all = server.get("/streams").json();
    let named = all.as_object().unwrap().values();
    let named = named.filter(|one| one["reason"].as_str().is_some_and(|reason| reason.contains("nonesuch")));
    assert_eq!(named.count(), FILES);
    put(&here(&server), "good.yaml", &idle_stream("two"));
    becomes(&server, "good", Some("two"));
    assert_eq!(server.log().matches("is refused").count(), FILES, "something was said twice");
}

#[test]
fn a_file_that_never_rests_keeps_no_other_waiting() {
    let server = watching(&[("busy.yaml", "one"), ("other.yaml", "one")]);
    let place = here(&server);
    let before = revision(&server);
    std::thread::scope(|scope| {
        let editor = scope.spawn(|| {
            let begun = Instant::now();
            let mut edits = 0;
            while begun.elapsed() < Duration::from_secs(4) {
                put(&place, "busy.yaml", &idle_stream(&format!("edit {edits}")));
                edits += 1;
                sleep(Duration::from_micros(500));
            }
            edits
        });
        sleep(Duration::from_millis(500));
        put(&place, "other.yaml", &idle_stream("two"));
        becomes(&server, "other", Some("two"));
        let edits = editor.join().unwrap();
        println!("{edits} edits in four seconds");
        becomes(&server, "busy", Some(&format!("edit {}", edits - 1)));
    });
    assert!(revision(&server) <= before + 4, "{} commits", revision(&server) - before);
}

#[test]
fn a_kill_in_the_middle_of_a_scan_loses_nothing() {
    const FILES: usize = 300;
    let mut server = watching(&[("anchor.yaml", "one")]);
    for round in 0..8 {
        let mark = format!("round {round}");
        for number in 0..FILES {
            put(&here(&server), &format!("f{number}.yaml"), &idle_stream(&mark));
        }
        // From before the files have settled to after they run.
        sleep(Duration::from_millis(300 + 60 * round));
        server.kill();
        server.start_again();
        let all = server.get("/streams").json();
        assert_eq!(all.as_object().unwrap().len(), FILES + 1, "round {round}");
        let marks: BTreeMap<Option<String>, usize> =
            (0..FILES).step_by(10).fold(BTreeMap::new(), |mut marks, number| {
                *marks.entry(mark_of(&server, &format!("f{number}"))).or_default() += 1;
                marks
            });
        assert_eq!(marks.keys().collect::<Vec<_>>(), [&Some(mark)], "round {round}: {marks:?}");
        eventually("all run", PATIENCE, || {
            let all = server.get("/streams").json();
            all.as_object().unwrap().values().all(|one| one["active"] == true).then_some(())
        });
    }
}

#[test]
fn a_full_disk_delays_a_change_of_files_until_there_is_room() {
    let mut server = watching(&[("a.yaml", "one")]);
    server.kill();
    let fault = "inject=write:error=ENOSPC:when=2..3";
    let path = "state/journal/0000000001";
    let whole = server.path(path).display().to_string();
    let words =
        ["strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-P", path, "-P", &whole, "-e", fault];
    server.start_through(&words);
    put(&here(&server), "a.yaml", &idle_stream("two"));
    becomes(&server, "a", Some("two"));
    put(&here(&server), "a.yaml", &idle_stream("three"));
    let full = || conditions(&server).contains("StoreFull").then_some(());
    eventually("the full disk is named", PATIENCE, full);
    assert_eq!(mark_of(&server, "a").as_deref(), Some("two"));
    eventually("it is tried again", PATIENCE, || {
        (mark_of(&server, "a").as_deref() == Some("three")).then_some(())
    });
    eventually("nothing is left to say of it", PATIENCE, || {
        let said = conditions(&server);
        (!said.contains("StoreFull") && !said.contains("FilesLeftOut")).then_some(())
    });
}

/// A stream that writes what a processor resource makes of its messages.
fn user_of(out: &Path) -> String {
    format!(
        "input:\n  generate:\n    interval: 20ms\n    mapping: root = \"x\"\npipeline:\n  processors:\n    - resource: p\n\
         output:\n  file:\n    path: {}\n    codec: lines\n",
        out.display()
    )
}

fn resource(mark: &str) -> String {
    format!("processor_resources:\n  - label: p\n    mapping: root = content() + \" {mark}\"\n")
}

#[test]
fn a_changed_resource_file_changes_what_its_users_do() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("r")).unwrap();
    fs::write(place.path().join("r/one.yaml"), resource("one")).unwrap();
    put(place.path(), "user.yaml", &user_of(&place.path().join("out")));
    let args = ["-w", "-r", "r/*.yaml", "s"].map(str::to_owned).to_vec();
    let mut server = Server::inside(place, Setup { args, ..Setup::default() });
    let writes = |server: &Server, line: &str| {
        let last = || server.read("out").lines().last().is_some_and(|last| last == line).then_some(());
        eventually(&format!("it writes {line:?}; log: {}", server.log()), PATIENCE, last);
    };
    writes(&server, "x one");
    server.write("r/one.yaml", resource("two"));
    writes(&server, "x two");
    // A bad edit changes nothing, and neither does a kill.
    server.write("r/one.yaml", "processor_resources:\n  - label: p\n    nonesuch: {}\n");
    eventually("the bad edit is named", PATIENCE, || conditions(&server).contains("nonesuch").then_some(()));
    assert_eq!(server.log().matches("nonesuch").count(), 1, "{}", server.log());
    writes(&server, "x two");
    server.kill();
    server.start_again();
    writes(&server, "x two");
    server.write("r/one.yaml", resource("three"));
    writes(&server, "x three");
    // What the API says counts until the file changes.
    server.done("POST", "/resources/processor/p", "mapping: root = content() + \" api\"\n");
    writes(&server, "x api");
    server.kill();
    server.start_again();
    writes(&server, "x api");
    server.write("r/one.yaml", resource("four"));
    writes(&server, "x four");
    assert_eq!(generation(&server, "user"), 1, "the user of the resource was touched");
    // A new file's resource wakes the streams that wait for it.
    put(&here(&server), "late.yaml", &idle_stream("late").replace("drop: {}", "resource: late"));
    eventually("it is invalid", PATIENCE, || (server.status("late")["phase"] == "Invalid").then_some(()));
    server.write("r/two.yaml", "output_resources:\n  - label: late\n    drop: {}\n");
    eventually("it runs", PATIENCE, || server.is_active("late").then_some(()));
}

#[test]
fn resources_of_the_service_config_follow_it_and_variables_stay_variables() {
    const SECRET: &str = "hunter2-expanded";
    let place = tempfile::tempdir().unwrap();
    put(place.path(), "user.yaml", &user_of(&place.path().join("out")));
    let config = resource("${WORD}");
    let env = vec![("WORD", SECRET.to_owned())];
    let args = vec!["s".into()];
    let mut server = Server::inside(place, Setup { args, config, env, ..Setup::default() });
    let writes = |server: &Server, line: &str| {
        let last = || server.read("out").lines().last().is_some_and(|last| last == line).then_some(());
        eventually(&format!("it writes {line:?}; log: {}", server.log()), PATIENCE, last);
    };
    writes(&server, &format!("x {SECRET}"));
    server.stop();
    let kept =
        Command::new("grep").args(["-rc", SECRET, "state"]).current_dir(here(&server)).output().unwrap();
    assert!(!kept.status.success(), "{}", String::from_utf8_lossy(&kept.stdout));
    server.write("service.yaml", server.read("service.yaml").replace("${WORD}", "changed"));
    server.start_again();
    writes(&server, "x changed");
}

#[test]
fn what_the_api_says_over_a_file_counts_until_the_file_changes() {
    let mut server = watching(&[("put.yaml", "file"), ("gone.yaml", "file"), ("keep.yaml", "file")]);
    server.done("PUT", "/streams/put", &idle_stream("api"));
    server.done("DELETE", "/streams/gone", "");
    for _ in 0..2 {
        assert_eq!(mark_of(&server, "put").as_deref(), Some("api"));
        lists(&server, &["keep", "put"]);
        server.kill();
        server.start_again();
    }
    // Other files change meanwhile.
    put(&here(&server), "keep.yaml", &idle_stream("two"));
    becomes(&server, "keep", Some("two"));
    assert_eq!(mark_of(&server, "put").as_deref(), Some("api"));
    put(&here(&server), "put.yaml", &idle_stream("two"));
    put(&here(&server), "gone.yaml", &idle_stream("two"));
    becomes(&server, "put", Some("two"));
    becomes(&server, "gone", Some("two"));
}

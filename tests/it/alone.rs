//! A server that nobody looks at: what it tells its manager, what may be carried away of it, what it renews by itself.

use crate::behaviour::{ANY_PORT, refused};
use crate::harness::{ENDLESS, PATIENCE, Process, Server, Setup, WEIR, eventually, idle_stream, signal};
use crate::survival::mark_of;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

/// What systemd would have heard so far.
fn heard(socket: &UnixDatagram, so_far: &mut Vec<String>) {
    let mut bytes = [0; 256];
    while let Ok(length) = socket.recv(&mut bytes) {
        so_far.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
}

#[test]
fn systemd_hears_of_its_start_life_and_end() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_nonblocking(true).unwrap();
    let env = vec![("NOTIFY_SOCKET", path.display().to_string()), ("WATCHDOG_USEC", "200000".into())];
    let mut server = Server::inside(place, Setup { env, ..Setup::default() });
    let mut all = Vec::new();
    eventually("it is ready and alive", PATIENCE, || {
        heard(&socket, &mut all);
        (all.iter().filter(|one| *one == "WATCHDOG=1").count() >= 3).then_some(())
    });
    assert_eq!(all[0], "READY=1");
    assert_eq!(server.get("/ping").status, 200);
    server.stop();
    heard(&socket, &mut all);
    assert_eq!(all.last().unwrap(), "STOPPING=1", "{all:?}");
}

#[test]
fn as_many_files_may_be_open_as_the_system_grants() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[3], words[4], "{line}");
}

fn weir(folder: &Path, words: &[&str]) -> Output {
    Command::new(WEIR).args(words).current_dir(folder).output().unwrap()
}

#[test]
fn what_is_kept_can_be_carried_to_another_folder() {
    let mut server = Server::start();
    for number in 0..20 {
        server.done("POST", &format!("/streams/s{number}"), &idle_stream("first"));
    }
    server.done("PUT", "/streams/s0", &idle_stream("second"));
    server.done("DELETE", "/streams/s19", "");
    let here = server.path("");
    let in_use = weir(&here, &["state", "export", "state"]);
    assert!(!in_use.status.success() && in_use.stdout.is_empty());
    assert!(String::from_utf8_lossy(&in_use.stderr).contains("in use"), "{in_use:?}");
    server.stop();
    assert!(weir(&here, &["state", "export", "state", "-o", "backup.jsonl"]).status.success());
    let again = weir(&here, &["state", "export", "state", "-o", "backup.jsonl"]);
    assert!(!again.status.success(), "a backup was overwritten");
    // A cut one is refused, and so is a folder that holds something.
    let whole = server.read("backup.jsonl");
    server.write("cut.jsonl", &whole.as_bytes()[..whole.len() * 3 / 4]);
    for (from, to, part) in [("cut.jsonl", "other", "damaged"), ("backup.jsonl", "state", "already holds")] {
        let refused = weir(&here, &["state", "import", to, "-i", from]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(part), "{from} to {to}: {said}");
    }
    assert!(weir(&here, &["state", "import", "moved", "-i", "backup.jsonl"]).status.success());
    assert!(weir(&here, &["state", "check", "moved"]).status.success());
    fs::remove_dir_all(server.path("state")).unwrap();
    fs::rename(server.path("moved"), server.path("state")).unwrap();
    server.start_again();
    assert_eq!(mark_of(&server, "s0").as_deref(), Some("second"));
    assert_eq!(mark_of(&server, "s1").as_deref(), Some("first"));
    assert_eq!(mark_of(&server, "s19"), None);
    assert_eq!(server.status("s0")["generation"], 2);
}

#[test]
fn without_a_state_folder_nothing_is_kept_and_that_is_said() {
    let place = tempfile::tempdir().unwrap();
    let args = vec!["--state=none".into()];
    let setup = Setup { args, without_state: true, ..Setup::default() };
    let mut server = Server::inside(place, setup);
    assert!(server.log().contains("Nothing is kept"), "{}", server.log());
    server.done("POST", "/streams/one", ENDLESS);
    server.stop();
    server.start_again();
    assert!(server.status("one").is_null());
    assert!(!server.path("state").exists() && !server.path("none").exists());
}

/// A certificate of its own in two files; gives back its bytes.
pub(crate) fn certificate(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

/// What a client shows of itself: its certificates and the key of the first.
pub(crate) type Shown = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// Asks over TLS, believing one certificate alone.
pub(crate) fn ask(
    address: SocketAddr,
    believed: &CertificateDer<'static>,
    shown: Option<Shown>,
) -> std::io::Result<String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(believed.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots);
    let config = match shown {
        None => config.with_no_client_auth(),
        Some((chain, key)) => config.with_client_auth_cert(chain, key).unwrap(),
    };
    let name = ServerName::try_from("localhost").unwrap();
    let session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut stream = rustls::StreamOwned::new(session, socket);
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn certificates_are_renewed_without_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let first = certificate(place.path());
    let config = "http:\n  address: 127.0.0.1:0\n  cert_file: cert.pem\n  key_file: key.pem\n".to_owned();
    let server = Server::inside(place, Setup { own_http: Some(config), ..Setup::default() });
    let address = server.address();
    assert!(ask(address, &first, None).unwrap().ends_with("pong"));
    // A key that does not fit is half of a renewal: the old pair serves.
    let (old_key, old_cert) = (server.read("key.pem"), server.read("cert.pem"));
    let second = certificate(&server.path(""));
    let new_cert = server.read("cert.pem");
    server.write("cert.pem", &old_cert);
    std::thread::sleep(Duration::from_millis(1200));
    assert!(ask(address, &first, None).unwrap().ends_with("pong"));
    assert!(ask(address, &second, None).is_err());
    server.write("cert.pem", &new_cert);
    eventually("the new certificate is shown", PATIENCE, || ask(address, &second, None).ok());
    assert!(ask(address, &first, None).is_err());
    drop(old_key);
    for (files, part) in
        [("cert_file: cert.pem", "together"), ("cert_file: no.pem\n  key_file: key.pem", "no.pem")]
    {
        let said = refused(&server, &format!("{ANY_PORT}  {files}\n"), "other");
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_second_signal_ends_a_server_that_takes_its_time() {
    let mut server = Server::start();
    let stuck = "input:\n  generate:\n    interval: 10ms\n    mapping: root = 1\npipeline:\n  processors:\n    - sleep: { duration: 1h }\noutput:\n  drop: {}\n";
    server.done("POST", "/streams/stuck", stuck);
    std::thread::sleep(Duration::from_millis(200));
    signal(server.pid(), "TERM");
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.is_running(), "it did not wait for what is in flight");
    signal(server.pid(), "INT");
    assert!(server.ends_within(Duration::from_secs(10)), "{}", server.log());
    // What was asked for is there nevertheless.
    server.start_again();
    assert!(server.is_active("stuck"));
}

#[test]
fn shells_are_told_how_to_complete() {
    for shell in ["bash", "zsh", "fish"] {
        let made = weir(Path::new("."), &["completions", shell]);
        let script = String::from_utf8(made.stdout).unwrap();
        assert!(made.status.success() && script.contains("WEIR_COMPLETE"), "{shell}");
    }
}

#[test]
fn a_run_that_is_watched_follows_its_files() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let config = |word: &str| {
        format!(
            "http:\n  enabled: false\ninput:\n  generate:\n    interval: 20ms\n    mapping: root = \"{word}\"\npipeline:\n  \
             processors:\n    - resource: p\noutput:\n  file:\n    path: out\n    codec: lines\n"
        )
    };
    let resource = |word: &str| {
        format!("processor_resources:\n  - label: p\n    mapping: root = content() + \" {word}\"\n")
    };
    fs::write(at("c.yaml"), config("a")).unwrap();
    fs::write(at("r.yaml"), resource("one")).unwrap();
    let log = File::create(at("log")).unwrap();
    let mut command = Command::new(WEIR);
    command.args(["run", "--watcher", "-r", "r.yaml", "c.yaml"]).current_dir(place.path());
    let _process = Process::start(command.stdout(log.try_clone().unwrap()).stderr(log));
    let read = |name: &str| fs::read_to_string(at(name)).unwrap_or_default();
    let writes = |line: &str| {
        let last = || (read("out").lines().last() == Some(line)).then_some(());
        eventually(&format!("it writes {line:?}: {}", read("log")), PATIENCE, last);
    };
    writes("a one");
    fs::write(at("c.yaml"), config("b")).unwrap();
    writes("b one");
    fs::write(at("r.yaml"), resource("two")).unwrap();
    writes("b two");
    // A bad edit changes nothing.
    fs::write(at("c.yaml"), config("c").replace("generate", "nonesuch")).unwrap();
    eventually("it is named", PATIENCE, || read("log").contains("nonesuch").then_some(()));
    writes("b two");
    fs::write(at("c.yaml"), config("d")).unwrap();
    writes("d two");
}

#[test]
fn metrics_have_the_names_that_the_config_gives() {
    let mapping = "root = if this.has_prefix(\"output\") { deleted() } else { \"my_\" + this }\n      meta path = deleted()\n      meta team = \"t\"";
    let config = format!("metrics:\n  prometheus: {{}}\n  mapping: |\n      {mapping}");
    let server = Server::with(Setup { config, ..Setup::default() });
    server.done("POST", "/streams/one", ENDLESS);
    let text = server.get("/metrics").text();
    assert!(text.contains("my_input_received{label=\"\",stream=\"one\",team=\"t\"} "), "{text}");
    assert!(!text.contains("output_sent"), "{text}");
    let own = server.get("/streams/one/stats").text();
    assert!(own.contains("my_input_received") && !own.contains("output_sent"), "{own}");
    let said =
        refused(&server, &format!("{ANY_PORT}metrics:\n  prometheus: {{}}\n  mapping: root = (\n"), "other");
    assert!(said.contains("expected query"), "{said}");
}

#[test]
fn a_line_that_a_component_repeats_is_logged_ten_times() {
    let server = Server::start();
    let bad = "input:\n  generate:\n    interval: 10ms\n    mapping: root = 1\npipeline:\n  processors:\n    - mapping: root = throw(\"always the same\")\noutput:\n  drop: {}\n";
    server.done("POST", "/streams/bad", bad);
    let lines = || server.log().matches("always the same").count();
    eventually("it fails", PATIENCE, || (lines() >= 10).then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(lines(), 10, "{}", server.log());
}

#[test]
fn lines_of_components_say_whose_they_are() {
    let server = Server::start();
    let stream = "input:\n  file: { paths: [ nowhere ] }\noutput:\n  label: out\n  drop: {}\n";
    server.done("POST", "/streams/a", stream);
    server.done("POST", "/streams/b", stream);
    for id in ["a", "b"] {
        for said in [
            format!(
                "msg=\"Failed to read message: open nowhere: no such file or directory\" @service=weir label=\"\" path=root.input stream={id}\n"
            ),
            format!(
                "msg=\"Output type drop is now active\" @service=weir label=out path=root.output stream={id}\n"
            ),
        ] {
            eventually(&said, PATIENCE, || server.log().contains(&said).then_some(()));
        }
    }
}

/// The library that lets a program see another time.
fn faketime() -> String {
    let found = fs::read_dir("/usr/lib")
        .unwrap()
        .filter_map(|entry| Some(entry.ok()?.path().join("faketime/libfaketimeMT.so.1")))
        .chain([Path::new("/usr/lib/faketime/libfaketimeMT.so.1").to_owned()])
        .find(|path| path.exists());
    found.expect("libfaketime is installed").display().to_string()
}

#[test]
fn a_clock_that_jumps_a_day_stops_nothing() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("s")).unwrap();
    fs::write(place.path().join("s/f.yaml"), idle_stream("at first")).unwrap();
    let offset = place.path().join("offset");
    fs::write(&offset, "+0").unwrap();
    let env = vec![
        ("LD_PRELOAD", faketime()),
        ("FAKETIME_TIMESTAMP_FILE", offset.display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let server =
        Server::inside(place, Setup { args: vec!["-w".into(), "s".into()], env, ..Setup::default() });
    let day = "input:\n  generate:\n    interval: 50ms\n    mapping: root = now().ts_unix()\n\
               output:\n  file:\n    path: seconds\n    codec: lines\n";
    server.done("POST", "/streams/ticks", day);
    let last = || server.read("seconds").lines().last().and_then(|line| line.parse::<i64>().ok());
    let begun = eventually("it ticks", PATIENCE, last);
    for (jump, days) in [("+1d", 1), ("-1d", -1), ("+0", 0)] {
        fs::write(&offset, jump).unwrap();
        let there = || last().filter(|now| (now - begun - days * 86_400).abs() < 3_600);
        eventually("the stream goes on at the other time", PATIENCE, there);
        server.done("POST", &format!("/streams/new{days}"), &idle_stream("by the API"));
        eventually("a new stream runs", PATIENCE, || server.is_active(&format!("new{days}")).then_some(()));
        fs::write(server.path("s/f.yaml"), idle_stream(jump)).unwrap();
        eventually("an edit runs", PATIENCE, || {
            (mark_of(&server, "f").as_deref() == Some(jump)).then_some(())
        });
    }
    assert_eq!(server.get("/ready").status, 200);
}

//! Bad input: it is refused with a clear error, its stream lives on, and the memory stays bounded.

use crate::harness::{PATIENCE, Process, Server, WEIR, eventually};
use flate2::{Compression, write::DeflateEncoder, write::GzEncoder};
use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread::{self, sleep};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// Zeros through an encoder.
fn zeros(count: usize, mut into: impl Write) {
    io::copy(&mut io::repeat(0).take(count as u64), &mut into).unwrap();
}

fn gzip(write: impl FnOnce(&mut GzEncoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write(&mut encoder);
    encoder.finish().unwrap()
}

/// A zip archive of one deflated file that claims to have `size` bytes.
fn zip(data: &[u8], size: u32, checksum: u32) -> Vec<u8> {
    let number = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
    let facts =
        [&checksum.to_le_bytes()[..], &number(data.len()), &size.to_le_bytes(), &[1, 0, 0, 0]].concat();
    let local = [&b"PK\x03\x04\x14\0\0\0\x08\0\0\0\0\0"[..], &facts, b"a", data].concat();
    let entry = [&b"PK\x01\x02\x14\0\x14\0\0\0\x08\0\0\0\0\0"[..], &facts, &[0; 14], b"a"].concat();
    let end = [&b"PK\x05\x06\0\0\0\0\x01\0\x01\0"[..], &number(entry.len()), &number(local.len()), &[0; 2]];
    [local, entry, end.concat()].concat()
}

fn deflated(count: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    zeros(count, &mut encoder);
    encoder.finish().unwrap()
}

/// A tar archive of one file, whose header may claim more than there is.
fn tar(size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    header[0] = b'a';
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.extend_from_slice(content);
    header.resize(header.len().next_multiple_of(512) + 1024, 0);
    header
}

/// Starts a stream that says in a file of its name how each message fared.
fn judge(server: &Server, name: &str, input: &str, processors: &str) {
    let stream = format!(
        "input: {input}
pipeline:
  threads: 1
  processors:
    {processors}
    - mapping: 'root = if errored() {{ \"failed: \" + error() }} else {{ \"fine\" }}'
output:
  file: {{ path: {}, codec: lines }}",
        server.path(name).display()
    );
    server.done("POST", &format!("/streams/{name}"), &stream);
}

/// Waits until the stream, or the log, has said `error`, and the stream has gone on to something `fine`.
fn refused(server: &Server, name: &str, error: &str) {
    eventually(&format!("{name}: {error}"), 3 * PATIENCE, || {
        let said = server.read(name);
        let is_said = said.contains(error)
            || server.log().lines().any(|line| line.contains(name) && line.contains(error));
        (is_said && said.lines().any(|line| line == "fine")).then_some(())
    });
    server.done("DELETE", &format!("/streams/{name}"), "");
}

/// The most memory that the server ever had.
fn peak(server: &Server) -> usize {
    peak_of(server.pid()).unwrap()
}

/// The most memory that a process had, while it runs.
fn peak_of(pid: u32) -> Option<usize> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse::<usize>().ok()? << 10)
}

#[test]
fn hostile_content_is_refused() {
    let server = Server::start();
    let bomb = gzip(|encoder| zeros(257 * MIB, encoder));
    let small = gzip(|encoder| encoder.write_all(b"1\n2\n").unwrap());
    let csv = |field: usize| format!("a\n\"{}\"\n", "x".repeat(field)).into_bytes();
    let whole = "to_the_end: {}";
    let unzip = "- unarchive: { format: zip }";
    let lines_of_gzip = "decompress: { algorithm: gzip, into: { lines: {} } }";
    let csv_of_17_mib = csv(17 * MIB);
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    let honest = zip(&deflated(9), 9, crc32fast::hash(&[0; 9]));
    let read = "- mapping: root = this";
    for (name, scanner, processors, hostile, good, error) in [
        ("gzip", whole, "- decompress: { algorithm: gzip }", &bomb, &small, "exceeds the limit"),
        ("gzip_line", lines_of_gzip, "", &bomb, &small, "token too long"),
        ("zip", whole, unzip, &zip(&[], u32::MAX, 0), &honest, "the archive holds more than"),
        ("zip_lies", whole, unzip, &zip(&deflated(300 * MIB), 9, 0), &honest, "zip: checksum error"),
        (
            "tar",
            whole,
            "- unarchive: { format: tar }",
            &tar((8 << 30) - 1, b"a"),
            &tar(1, b"a"),
            "unexpected EOF",
        ),
        ("tar_scanned", "tar: {}", "", &tar((8 << 30) - 1, b"a"), &tar(1, b"a"), "unexpected EOF"),
        ("line", "lines: {}", "", &vec![b'x'; 32 * MIB], &b"x\n".to_vec(), "token too long"),
        ("csv", "csv: {}", "", &csv_of_17_mib, &csv(9), "record too long"),
        ("json", whole, read, &deep, &b"[]".to_vec(), "exceeded max depth"),
        (
            "json_documents",
            whole,
            "- unarchive: { format: json_documents }",
            &deep,
            &b"[]".to_vec(),
            "exceeded max depth",
        ),
        (
            "many_lines",
            whole,
            "- unarchive: { format: lines }",
            &vec![b'\n'; 3 * MIB],
            &b"x".to_vec(),
            "it holds more than",
        ),
        (
            "many_rows",
            whole,
            "- unarchive: { format: csv }",
            &b"a\n".repeat(3 * MIB),
            &csv(1),
            "it holds more than",
        ),
        (
            "many_documents",
            whole,
            "- unarchive: { format: json_documents }",
            &b"0 ".repeat(3 * MIB),
            &b"0".to_vec(),
            "it holds more than",
        ),
        (
            "many_items",
            whole,
            "- unarchive: { format: json_array }",
            &[&b"[0"[..], &b",0".repeat(3 * MIB), b"]"].concat(),
            &b"[0]".to_vec(),
            "it holds more than",
        ),
        (
            "json_items",
            "json_array: {}",
            read,
            &[&b"["[..], &deep].concat(),
            &b"[1]".to_vec(),
            "exceeded max depth",
        ),
    ] {
        let paths = [("bad", hostile), ("good", good)]
            .map(|(kind, bytes)| server.write(&format!("{name}.{kind}"), bytes).display().to_string());
        let input = format!("{{ file: {{ paths: [ {} ], scanner: {{ {scanner} }} }} }}", paths.join(", "));
        judge(&server, name, &input, processors);
        refused(&server, name, error);
    }
    let peak = peak(&server);
    assert!(peak < 1100 * MIB, "{} MiB", peak / MIB);
}

/// A server that treats each connection as `answer` does, once it was asked something.
fn peer(answer: fn(&mut TcpStream) -> io::Result<()>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // It ends with an error when the client goes away, as it should.
            thread::spawn(move || stream.read(&mut [0; 4096]).and_then(|_| answer(&mut stream)));
        }
    });
    address
}

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

fn silent(stream: &mut TcpStream) -> io::Result<()> {
    stream.read(&mut [0]).map(drop)
}

fn dripping(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(HEAD)?;
    loop {
        stream.write_all(b"x")?;
        sleep(Duration::from_millis(50));
    }
}

fn endless(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(HEAD)?;
    io::copy(&mut io::repeat(b'x'), stream).map(drop)
}

fn endless_head(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nx: ")?;
    io::copy(&mut io::repeat(b'x'), stream).map(drop)
}

#[test]
fn hostile_peers_and_programs_are_given_up() {
    let server = Server::start();
    let http =
        |peer, timeout: &str| format!("http: {{ url: 'http://{peer}', timeout: {timeout}, retries: 0 }}");
    let program = |script: &str| format!("subprocess: {{ name: sh, args: [ -c, '{script}' ] }}");
    for (name, processor, error) in [
        ("http_silent", http(peer(silent), "300ms"), "deadline exceeded"),
        ("http_dripping", http(peer(dripping), "300ms"), "while reading body"),
        ("http_endless", http(peer(endless), "60s"), "the answer is larger than"),
        ("http_endless_head", http(peer(endless_head), "60s"), "failed: "),
        ("program_dies", program("read line; exit 1"), "failed: "),
        ("program_is_endless", program("read line; cat /dev/zero"), "failed: "),
        (
            "command_is_endless",
            "command: { name: cat, args_mapping: '[ \"/dev/zero\" ]' }".into(),
            "it printed more than",
        ),
    ] {
        let input =
            "{ generate: { count: 2, interval: '', mapping: root = count(\"NAME\") } }".replace("NAME", name);
        judge(
            &server,
            name,
            &input,
            &format!("- switch: [ {{ check: this == 1, processors: [ {{ {processor} }} ] }} ]"),
        );
        refused(&server, name, error);
    }
    // Who never answers holds up his own stream only, and only until it is to end.
    judge(
        &server,
        "program_is_silent",
        "{ generate: { mapping: root = 1 } }",
        "- subprocess: { name: sleep, args: [ '1000' ] }",
    );
    judge(&server, "other", "{ generate: { mapping: root = 1 } }", "");
    eventually("others go on", PATIENCE, || server.read("other").contains("fine").then_some(()));
    server.done("DELETE", "/streams/program_is_silent?timeout=1s", "");
    let peak = peak(&server);
    assert!(peak < 1100 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn what_inflates_to_too_much_is_refused_whatever_made_it() {
    let server = Server::start();
    let paths = [("big", 257 * MIB as u64), ("small", 9)].map(|(name, size)| {
        fs::File::create(server.path(name)).unwrap().set_len(size).unwrap();
        server.path(name).display().to_string()
    });
    let input = format!("{{ file: {{ paths: [ {} ], scanner: {{ to_the_end: {{}} }} }} }}", paths.join(", "));
    for algorithm in ["zlib", "lz4", "snappy", "zstd"] {
        let both = format!(
            "- compress: {{ algorithm: {algorithm} }}\n    - decompress: {{ algorithm: {algorithm} }}"
        );
        judge(&server, algorithm, &input, &both);
        refused(&server, algorithm, "exceeds the limit");
    }
    let peak = peak(&server);
    // A file of 257 MiB as one message, what it was read into, and what is made of both.
    assert!(peak < 2048 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn sources_without_an_end_of_line_are_given_up() {
    let server = Server::start();
    let raw = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = raw.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in raw.incoming().map_while(Result::ok) {
            thread::spawn(move || io::copy(&mut io::repeat(b'x'), &mut stream));
        }
    });
    let web = peer(endless);
    let field = server.write("field.csv", format!("a\n\"{}\"\n", "x".repeat(17 * MIB)));
    for (name, input, error) in [
        ("socket_line", format!("socket: {{ network: tcp, address: '{socket}' }}"), "token too long"),
        ("program_line", "subprocess: { name: cat, args: [ /dev/zero ] }".into(), "token too long"),
        (
            "web_line",
            format!(
                "http_client: {{ url: 'http://{web}', stream: {{ enabled: true, scanner: {{ lines: {{}} }} }} }}"
            ),
            "token too long",
        ),
        (
            "web_match",
            format!(
                "http_client: {{ url: 'http://{web}', stream: {{ enabled: true, scanner: {{ re_match: {{ pattern: y }} }} }} }}"
            ),
            "token too long",
        ),
        (
            "web_value",
            format!(
                "http_client: {{ url: 'http://{web}', stream: {{ enabled: true, scanner: {{ json_documents: {{}} }} }} }}"
            ),
            "a JSON value of more than",
        ),
        ("csv_field", format!("csv: {{ paths: [ {} ] }}", field.display()), "record too long"),
    ] {
        server.done(
            "POST",
            &format!("/streams/{name}"),
            &format!("input: {{ label: {name}, {input} }}\noutput: {{ drop: {{}} }}"),
        );
        let said = |line: &str| line.contains(error) && (line.contains(name) || line.contains("field.csv"));
        eventually(name, 3 * PATIENCE, || server.log().lines().any(said).then_some(()));
        server.done("DELETE", &format!("/streams/{name}?timeout=1s"), "");
    }
    let peak = peak(&server);
    assert!(peak < 900 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn processors_without_an_end_hold_up_nobody_else() {
    let server = Server::start();
    for (name, processor) in [
        ("while", "while: { check: 'true', processors: [ { mapping: root = this } ] }"),
        ("jq", "jq: { query: 'last(repeat(1))' }"),
        ("sleep", "sleep: { duration: 1000h }"),
        ("retry", "retry: { processors: [ { mapping: root = throw(\"no\") } ] }"),
        ("command", "command: { name: sleep, args_mapping: '[ \"1000\" ]' }"),
        ("nested", "branch: { processors: [ { sleep: { duration: 1000h } } ] }"),
    ] {
        judge(&server, name, "{ generate: { interval: '', mapping: root = 1 } }", &format!("- {processor}"));
        judge(&server, "other", "{ generate: { count: 1, mapping: root = 1 } }", "");
        eventually("others go on", PATIENCE, || server.read("other").contains("fine").then_some(()));
        server.done("DELETE", "/streams/other", "");
        fs::remove_file(server.path("other")).unwrap();
        let begun = std::time::Instant::now();
        server.done("DELETE", &format!("/streams/{name}?timeout=1s"), "");
        assert!(begun.elapsed() < Duration::from_secs(10), "{name} took {:?}", begun.elapsed());
    }
    // What cannot be ended is not begun again and again.
    judge(
        &server,
        "endless",
        "{ generate: { interval: '', mapping: root = 1 } }",
        "- jq: { query: 'last(repeat(1))' }",
    );
    eventually("it is refused", 3 * PATIENCE, || {
        server.read("endless").contains("has not ended for earlier messages").then_some(())
    });
}

#[test]
fn a_websocket_flood_is_held_back() {
    let server = Server::start();
    let flood = "input: { generate: { interval: '', mapping: 'root = \"x\".repeat(100000)' } }
output: { http_server: {} }";
    server.done("POST", "/streams/flood", flood);
    let input = format!("{{ websocket: {{ url: 'ws://{}/flood/get/ws' }} }}", server.address());
    judge(&server, "flooded", &input, "- sleep: { duration: 100ms }");
    eventually("it is read", PATIENCE, || (server.read("flooded").lines().count() > 20).then_some(()));
    // A frame that claims to have an exabyte.
    server.done("POST", "/streams/taking", "input: { http_server: { timeout: 1s } }\noutput: { drop: {} }");
    let mut socket = TcpStream::connect(server.address()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let upgrade = "GET /taking/post/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).unwrap();
    let mut head = [0; 4096];
    let read = socket.read(&mut head).unwrap();
    assert!(head[..read].starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head[..read]));
    socket.write_all(&[0x82, 0xff, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    // Its end is all that the peer is told.
    io::copy(&mut socket, &mut io::sink()).unwrap();
    server.done("POST", "/taking/post", "still there");
    let peak = peak(&server);
    assert!(peak < 200 * MIB, "{} MiB", peak / MIB);
}

#[test]
fn a_standard_input_without_an_end_of_line_is_given_up() {
    let place = tempfile::tempdir().unwrap();
    let config = "http: { enabled: false }\ninput: { stdin: {} }\noutput: { drop: {} }\n";
    fs::write(place.path().join("c.yaml"), config).unwrap();
    let log = fs::File::create(place.path().join("log")).unwrap();
    let mut command = Command::new(WEIR);
    command.args(["run", "c.yaml"]).current_dir(place.path());
    let mut process = Process::with_input(command.stdout(log.try_clone().unwrap()).stderr(log));
    let mut stdin = process.child().stdin.take().unwrap();
    // It ends with an error once nobody reads it.
    let writing = thread::spawn(move || io::copy(&mut io::repeat(b'x'), &mut stdin));
    let mut most = 0;
    eventually("it ends", PATIENCE, || {
        most = most.max(peak_of(process.pid()).unwrap_or(0));
        process.child().try_wait().unwrap()
    });
    assert!(writing.join().unwrap().is_err());
    let log = fs::read_to_string(place.path().join("log")).unwrap();
    assert!(log.contains("token too long"), "{log}");
    assert!(most > 0 && most < 200 * MIB, "{} MiB", most / MIB);
}

/// Starts to listen by a stream of this name, which writes what it gets to a file of the same name.
fn listening(server: &Server, name: &str, fields: &str) -> SocketAddr {
    let input = format!("{{ socket_server: {{ address: '127.0.0.1:0', {fields} }} }}");
    judge(server, name, &input, "");
    eventually(&format!("{name} listens"), PATIENCE, || {
        let log = server.log();
        let line = log.lines().find(|line| line.contains(name) && line.contains("socket messages from"))?;
        let (_, rest) = line.split_once("address: ")?;
        rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?.parse().ok()
    })
}

#[test]
fn hostile_clients_of_sockets_hold_up_nobody_else() {
    let server = Server::start();
    let endless = listening(&server, "endless_line", "network: tcp");
    let mut stream = TcpStream::connect(endless).unwrap();
    // The connection is closed, which ends this.
    io::copy(&mut io::repeat(b'x'), &mut stream).unwrap_err();
    TcpStream::connect(endless).unwrap().write_all(b"a\n").unwrap();
    refused(&server, "endless_line", "token too long");

    let crowd = listening(&server, "crowd", "network: tcp");
    let begun: Vec<TcpStream> = (0..400)
        .map(|index| {
            let mut stream = TcpStream::connect(crowd).unwrap();
            if index % 2 == 0 {
                stream.write_all(&vec![b'x'; 60_000]).unwrap();
            }
            stream
        })
        .collect();
    TcpStream::connect(crowd).unwrap().write_all(b"a\n").unwrap();
    eventually("one is heard", PATIENCE, || server.read("crowd").contains("fine").then_some(()));
    assert_eq!(begun.len(), 400);

    let shy = listening(&server, "shy", "network: tls, tls: { self_signed: true }");
    let mut stream = TcpStream::connect(shy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // Who does not shake hands is sent away.
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let said = |line: &str| line.contains("shy") && line.contains("TLS handshake took too long");
    eventually("it is said", PATIENCE, || server.log().lines().any(said).then_some(()));
    let mut stream = TcpStream::connect(shy).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"hello there, this is no handshake\n").unwrap();
    let said = |line: &str| line.contains("shy") && line.contains("TLS handshake failed");
    eventually("it is said", PATIENCE, || server.log().lines().any(said).then_some(()));

    let peak = peak(&server);
    assert!(peak < 300 * MIB, "{} MiB", peak / MIB);
}

//! Clients that mean harm or are broken: many connections, slow ones, heads without end.

use crate::harness::{ENDLESS, PATIENCE, Server, eventually};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Connections that a listener bears at once.
const BORNE: usize = 10_000;

/// What comes back for bytes, until the server closes or is silent for a second.
fn answered(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    // A server that has heard enough need not take the rest.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

fn is_well(server: &mut Server) {
    let begun = Instant::now();
    assert_eq!(server.get("/ping").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(5), "slow: {:?}", begun.elapsed());
    assert!(server.is_active("a") && server.is_running());
    let log = server.log();
    assert!(!log.contains("panic") && log.lines().count() < 40, "{log}");
}

#[test]
fn heads_that_are_too_long_or_no_http_are_refused() {
    let mut server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    let long = format!("GET /ping HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET /ping HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-Many: x\r\n".repeat(100_000));
    let table: [(&[u8], &str); 8] = [
        (long.as_bytes(), "431"),
        (many.as_bytes(), "431"),
        (b"GET /streams/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "400"),
        (b"GET /streams/%00%ff/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "40"),
        (b"GET /streams/../../etc/passwd HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "404"),
        (b"GET /ping HTTP/9.9\r\n\r\n", ""),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a handshake of TLS", ""),
        (b"POST /streams HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}", "4"),
    ];
    for (bytes, status) in table {
        let answer = answered(&server, bytes);
        let found = answer.split(' ').nth(1).unwrap_or_default();
        assert!(
            found.starts_with(status),
            "{:?}: {answer}",
            String::from_utf8_lossy(&bytes[..40.min(bytes.len())])
        );
        is_well(&mut server);
    }
}

#[test]
fn slow_and_silent_clients_are_nobodys_concern() {
    let mut server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    let mut slow: Vec<TcpStream> = (0..500)
        .map(|number| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            // Half of them stop in the head, half in the body.
            let head = "POST /streams/b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n";
            write!(stream, "{head}{}", if number % 2 == 0 { "" } else { "\r\n{" }).unwrap();
            stream
        })
        .collect();
    for _ in 0..3 {
        slow.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
        is_well(&mut server);
    }
    drop(slow);
    is_well(&mut server);
}

#[test]
fn ten_thousand_connections_keep_the_next_ones_waiting_and_no_longer() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let mut server = Server::start();
    server.done("POST", "/streams/a", ENDLESS);
    let mut held: Vec<TcpStream> = (0..BORNE)
        .map(|number| {
            TcpStream::connect(server.address()).unwrap_or_else(|error| panic!("{number}: {error}"))
        })
        .collect();
    // One more is accepted only when another goes.
    let mut waiting = TcpStream::connect(server.address()).unwrap();
    waiting.write_all(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    waiting.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    assert!(waiting.read(&mut [0; 1]).is_err(), "there was room");
    held.truncate(BORNE - 100);
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = String::new();
    waiting.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("pong"), "{answer}");
    is_well(&mut server);
    drop(held);
    eventually("the connections are gone", PATIENCE, || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
        (open < 200).then_some(())
    });
}

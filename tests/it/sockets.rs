//! Listeners of streams: what they show, whom they take, and who else may listen.

use crate::harness::{PATIENCE, Server, Setup, eventually};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};

/// Starts a stream that writes to a file of its name, and says where it listens: see [`address`].
fn listening(server: &Server, name: &str, input: &str, marks: &[&str]) -> SocketAddr {
    let output = format!("file: {{ path: {}, codec: lines }}", server.path(name).display());
    let stream = format!("input: {{ label: {name}, {input} }}\noutput: {{ {output} }}");
    server.done("POST", &format!("/streams/{name}"), &stream);
    eventually(&format!("{name} listens"), PATIENCE, || address(server, marks))
}

/// The address after the last mark on the newest line of the log that has all of them; never the server's own.
fn address(server: &Server, marks: &[&str]) -> Option<SocketAddr> {
    let log = server.log();
    let line = log.lines().rfind(|line| marks.iter().all(|mark| line.contains(mark)))?;
    let (_, rest) = line.split_once(marks.last()?)?;
    let text = rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).next()?;
    text.parse().ok().filter(|address| *address != server.address())
}

fn is_there(server: &Server, name: &str, line: &str) {
    eventually(&format!("{name} has {line}"), PATIENCE, || {
        server.read(name).lines().any(|got| got == line).then_some(())
    });
}

#[test]
fn clients_show_the_certificates_that_are_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let known = CertificateParams::new(vec!["me".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
    let mut stranger = CertificateParams::new(vec!["me".to_owned()]).unwrap();
    stranger.distinguished_name.push(DnType::CommonName, "stranger");
    let stranger = stranger.self_signed(&key).unwrap();
    for (name, pem) in
        [("ca", ca.pem()), ("known", known.pem()), ("stranger", stranger.pem()), ("key", key.serialize_pem())]
    {
        fs::write(place.path().join(name), pem).unwrap();
    }
    // What the system believes is this authority alone.
    let env = vec![("SSL_CERT_FILE", place.path().join("ca").display().to_string())];
    let server = Server::inside(place, Setup { env, ..Setup::default() });
    let (none, unknown) = ("peer sent no certificates", "invalid peer certificate");
    for (mode, refused) in [
        ("no", [None, None, None]),
        ("request", [None, None, None]),
        ("require_any", [Some(none), None, None]),
        ("require_valid", [Some(none), Some(unknown), None]),
        ("verify_if_given", [None, Some(unknown), None]),
    ] {
        let input = format!(
            "socket_server: {{ network: tls, address: '127.0.0.1:0', tls: {{ self_signed: true, client_auth: {mode} }} }}"
        );
        let receiver = format!("tls_{mode}");
        let to = listening(&server, &receiver, &input, &[&receiver, "socket messages from address: "]);
        for (client, refused) in ["nobody", "stranger", "known"].into_iter().zip(refused) {
            let shown = match client {
                "nobody" => String::new(),
                _ => format!(
                    "client_certs: [ {{ cert_file: {}, key_file: {} }} ]",
                    server.path(client).display(),
                    server.path("key").display()
                ),
            };
            let name = format!("{mode}_{client}");
            let stream = format!(
                "input: {{ generate: {{ count: 1, mapping: 'root = \"{client}\"' }} }}
output: {{ socket: {{ network: tcp, address: '{to}', tls: {{ enabled: true, skip_cert_verify: true, {shown} }} }} }}"
            );
            server.done("POST", &format!("/streams/{name}"), &stream);
            match refused {
                None => is_there(&server, &receiver, client),
                Some(error) => eventually(&format!("{name}: {error}"), PATIENCE, || {
                    let is_said = |line: &str| line.contains(&receiver) && line.contains(error);
                    server.log().lines().any(is_said).then_some(())
                }),
            }
            server.done("DELETE", &format!("/streams/{name}?timeout=1s"), "");
        }
        let got = server.read(&receiver);
        for (client, refused) in ["nobody", "stranger", "known"].into_iter().zip(refused) {
            assert_eq!(got.contains(client), refused.is_none(), "{mode}: {got}");
        }
    }
}

/// An input that listens at an address, with options of TCP.
type Input = fn(&str, &str) -> String;

#[test]
fn ports_are_shared_by_those_who_ask_for_it() {
    let (first, second) = (Server::start(), Server::start());
    let kinds: [(&str, Input, &[&str]); 2] = [
        (
            "http",
            |to, tcp| format!("http_server: {{ address: '{to}', {tcp} }}"),
            &["Listening for HTTP requests at: http://"],
        ),
        (
            "tcp",
            |to, tcp| format!("socket_server: {{ network: tcp, address: '{to}', {tcp} }}"),
            &["Receiving tcp socket messages from address: "],
        ),
    ];
    for (name, input, marks) in kinds {
        let shared = "tcp: { reuse_port: true }";
        let to = listening(&first, name, &input("127.0.0.1:0", shared), marks);
        // Who does not ask for it, or comes to a port that is not shared, gets nothing.
        let alone = format!("input: {{ {} }}\noutput: {{ drop: {{}} }}", input(&to.to_string(), ""));
        second.done("POST", "/streams/alone", &alone);
        eventually("the port is taken", PATIENCE, || {
            second.log().to_lowercase().contains("address already in use").then_some(())
        });
        second.done("DELETE", "/streams/alone?timeout=1s", "");
        assert_eq!(listening(&second, name, &input(&to.to_string(), shared), marks), to);
        first.done("DELETE", &format!("/streams/{name}"), "");
        // An HTTP listener stays open for a while after its last path is closed.
        eventually("the second is asked", 3 * PATIENCE, || {
            let mut stream = TcpStream::connect(to).ok()?;
            let asked =
                "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello\n";
            stream.write_all(asked.as_bytes()).ok()?;
            second.read(name).contains("hello").then_some(())
        });
    }
}

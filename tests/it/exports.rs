//! Metrics that are sent to others.

use crate::harness::{PATIENCE, Server, Setup, eventually};
use std::{
    io::{Read, Write},
    net::{TcpListener, UdpSocket},
    sync::{Arc, Mutex},
    time::Duration,
};

const STREAM: &str =
    "input: { generate: { count: 3, interval: '', mapping: root = 1 } }\noutput: { drop: {} }";

fn server(metrics: &str) -> Server {
    let server = Server::with(Setup { config: format!("metrics: {metrics}"), ..Setup::default() });
    server.done("POST", "/streams/a", STREAM);
    server
}

/// Takes HTTP requests, answers each with 204, and keeps what was asked.
fn http() -> (String, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let heard = Arc::new(Mutex::new(String::new()));
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for mut connection in listener.incoming().map_while(Result::ok) {
            connection.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = connection.read(&mut piece) {
                kept.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
            drop(connection.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"));
        }
    });
    (address, heard)
}

#[test]
fn statsd_gets_what_was_added() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    let _server = server(&format!("{{ statsd: {{ address: '{address}', tag_format: datadog }} }}"));
    let mut heard = String::new();
    while !heard.contains("output_sent:3|c|#path:root.output,stream:a") {
        let mut datagram = [0; 2048];
        let length = socket.recv(&mut datagram).unwrap();
        heard += &String::from_utf8_lossy(&datagram[..length]);
        heard.push('\n');
    }
}

#[test]
fn influxdb_gets_lines() {
    let (address, heard) = http();
    let config = format!(
        "{{ influxdb: {{ url: 'http://{address}', db: d, username: u, password: p, interval: 200ms }} }}"
    );
    let _server = server(&config);
    let wanted = [
        "POST /write?db=d&precision=s",
        "Authorization: Basic dTpw",
        "output_sent,path=root.output,stream=a count=3 ",
    ];
    eventually("lines come", PATIENCE, || {
        let heard = heard.lock().unwrap();
        wanted.iter().all(|wanted| heard.contains(wanted)).then_some(())
    });
}

#[test]
fn a_push_gateway_and_a_file_get_the_last_word() {
    let (address, heard) = http();
    let config = format!(
        "{{ prometheus: {{ push_url: 'http://{address}', push_job_name: 'a b', file_output_path: last }} }}"
    );
    let mut server = server(&config);
    eventually("the stream is done", PATIENCE, || (!server.is_active("a")).then_some(()));
    server.stop();
    let line = "output_sent{label=\"\",path=\"root.output\",stream=\"a\"} 3\n";
    assert!(server.read("last").contains(line), "{}", server.read("last"));
    let heard = heard.lock().unwrap();
    assert!(heard.starts_with("PUT /metrics/job/a%20b HTTP/1.1") && heard.contains(line), "{heard}");
}

#[test]
fn the_log_gets_the_last_word() {
    let mut server = server("{ logger: {} }");
    eventually("the stream is done", PATIENCE, || (!server.is_active("a")).then_some(()));
    server.stop();
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Counter metric") && line.contains("name=output_sent"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("value=3") && line.contains("stream=a") && line.contains("path=root.output"),
        "{line}"
    );
}

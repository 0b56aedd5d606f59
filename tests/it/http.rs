//! A small HTTP/1.1 client: what goes over the wire is exactly what a test says.

use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer; status 0 says that there was none, and why in the body.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The first header of a name, in any case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }
}

/// Sends one request on a connection of its own; failing to get an answer is an answer of status 0.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
    timeout: Duration,
) -> Answer {
    exchange(address, method, path, headers, body, timeout).unwrap_or_else(|error| Answer {
        status: 0,
        headers: Vec::new(),
        body: error.to_string().into_bytes(),
    })
}

fn exchange(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Option<&[u8]>,
    timeout: Duration,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").map_err(io::Error::other)?;
    }
    if let Some(body) = body {
        write!(head, "Content-Length: {}\r\n", body.len()).map_err(io::Error::other)?;
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // A server that refuses a body early has answered before it is sent whole.
    let sent = stream.write_all(body.unwrap_or_default());
    match read_answer(&mut stream, method) {
        Err(error) => Err(sent.err().unwrap_or(error)),
        answer => answer,
    }
}

fn read_answer(stream: &mut TcpStream, method: &str) -> io::Result<Answer> {
    let mut reader = Reader { stream, buffer: Vec::new(), at: 0 };
    loop {
        let status_line = reader.line()?;
        let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| io::Error::other(format!("no status in {status_line:?}")))?;
        let mut headers = Vec::new();
        loop {
            let line = reader.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
        if (100..200).contains(&status) {
            continue;
        }
        let mut answer = Answer { status, headers, body: Vec::new() };
        let none = method == "HEAD" || status == 204 || status == 304;
        answer.body = match (answer.header("transfer-encoding"), answer.header("content-length")) {
            _ if none => Vec::new(),
            (Some("chunked"), _) => reader.chunks()?,
            (_, Some(length)) => reader.exactly(length.parse().map_err(io::Error::other)?)?,
            _ => reader.rest()?,
        };
        return Ok(answer);
    }
}

struct Reader<'a> {
    stream: &'a mut TcpStream,
    buffer: Vec<u8>,
    at: usize,
}

impl Reader<'_> {
    fn more(&mut self) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let read = self.stream.read(&mut piece)?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(read > 0)
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer[self.at..].iter().position(|byte| *byte == b'\n') {
                let line =
                    String::from_utf8_lossy(&self.buffer[self.at..self.at + end]).trim_end().to_owned();
                self.at += end + 1;
                return Ok(line);
            }
            if !self.more()? {
                return Err(io::Error::other("the connection was closed before the answer was whole"));
            }
        }
    }

    fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.at < length {
            if !self.more()? {
                return Err(io::Error::other("the connection was closed before the body was whole"));
            }
        }
        let body = self.buffer[self.at..self.at + length].to_vec();
        self.at += length;
        Ok(body)
    }

    fn rest(&mut self) -> io::Result<Vec<u8>> {
        while self.more()? {}
        Ok(self.buffer.split_off(self.at))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(io::Error::other)?;
            body.extend(self.exactly(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

//! A plain client: what is sent and what comes back, byte for byte.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use diffused::service::Patience;
use serde_json::Value;

use crate::support::PATIENCE;

/// The end of patience in a test that waits for the watchdog.
pub const SHORT: Patience =
    Patience { first: std::time::Duration::from_millis(500), least: std::time::Duration::from_millis(500) };

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// What keeps it from being taken, by `/readyz`.
    pub fn reasons(&self) -> Vec<String> {
        self.json()["reasons"].as_array().unwrap().iter().map(|reason| reason.as_str().unwrap().to_owned()).collect()
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// Opens a connection and says something on it.
pub fn say(port: u16, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Everything that comes until the other side hangs up; nothing if it says nothing.
pub fn hear(mut stream: TcpStream) -> Option<Answer> {
    let mut bytes = Vec::new();
    // Who is hung up on may find its connection reset.
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Some(Answer { status, head, body: bytes[end + 4..].to_vec() })
}

/// The answer to a whole request.
pub fn ask(port: u16, request: &str) -> Answer {
    hear(say(port, request.as_bytes())).unwrap_or_else(|| panic!("no answer to {request:?}"))
}

pub fn get(port: u16, path: &str) -> Answer {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n"))
}

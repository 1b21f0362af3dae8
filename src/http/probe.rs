//! Whether a node's pages are served, seen from outside.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::listen::Listen;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What our own answers begin with, behind the status.
const OURS: &str = "\r\nServer: diffused\r\n";

/// Who is found at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nobody: the port is free.
    Nobody,
    /// A node that serves its pages there.
    Node,
    /// Another program.
    Another,
    /// This machine cannot listen there at all.
    Unfit(String),
}

/// Looks who listens at an address.
pub fn probe(listen: Listen) -> Found {
    match TcpListener::bind(listen.address()) {
        Ok(_) => Found::Nobody,
        Err(error) if error.kind() != ErrorKind::AddrInUse => Found::Unfit(error.to_string()),
        Err(_) if answer(reachable(listen.address())).is_some_and(|answer| answer.contains(OURS)) => Found::Node,
        Err(_) => Found::Another,
    }
}

/// What listens everywhere is reached on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}

/// The beginning of the answer to a question after its health.
fn answer(address: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(format!("GET /livez HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut bytes = Vec::new();
    stream.take(2048).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

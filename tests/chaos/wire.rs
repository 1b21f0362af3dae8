//! A requester's end of MQTT 3.1.1, written for these tests: nothing of the library that the service uses.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Silence of ours after which we say that we are there; a third of the keep-alive that we announce.
const PING_EVERY: Duration = Duration::from_secs(20);

const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBACK: u8 = 0x90;

/// A message that came in.
pub struct Heard {
    pub topic: String,
    pub payload: Vec<u8>,
    pub retained: bool,
}

/// A connection; any error means that it is to be thrown away.
pub struct Wire {
    socket: TcpStream,
    unread: Vec<u8>,
    number: u16,
    spoke: Instant,
}

impl Wire {
    /// Connects under a name; `clean` forgets what the broker kept for it. Subscribes at QoS 1.
    pub fn open(port: u16, name: &str, clean: bool, filters: &[String]) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut wire = Self { socket, unread: Vec::new(), number: 0, spoke: Instant::now() };
        // Protocol level 4, keep-alive 60 s.
        let mut hello = vec![0, 4, b'M', b'Q', b'T', b'T', 4, u8::from(clean) << 1, 0, 60];
        text(&mut hello, name);
        wire.send(0x10, &hello)?;
        wire.answer(CONNACK)?;
        if !filters.is_empty() {
            let mut wish = wire.number().to_be_bytes().to_vec();
            for filter in filters {
                text(&mut wish, filter);
                wish.push(1);
            }
            wire.send(0x82, &wish)?;
        }
        Ok(wire)
    }

    /// Publishes at QoS 1; the acknowledgement is not waited for, it promises nothing.
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<()> {
        let mut body = Vec::with_capacity(topic.len() + payload.len() + 4);
        text(&mut body, topic);
        body.extend(self.number().to_be_bytes());
        body.extend(payload);
        self.send(PUBLISH | 0x02, &body)
    }

    /// What came in within this time, at least one message unless there is none; each is acknowledged.
    pub fn hear(&mut self, patience: Duration) -> Result<Vec<Heard>> {
        if self.spoke.elapsed() >= PING_EVERY {
            self.send(0xc0, &[])?;
        }
        let end = Instant::now() + patience;
        let mut heard = Vec::new();
        loop {
            while let Some((head, body)) = self.packet() {
                if head & 0xf0 == PUBLISH {
                    heard.push(self.message(head, &body)?);
                } else if head == SUBACK && body.iter().skip(2).any(|code| *code > 2) {
                    return Err(ErrorKind::PermissionDenied.into());
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if !heard.is_empty() || left.is_zero() {
                return Ok(heard);
            }
            self.read(left)?;
        }
    }

    fn message(&mut self, head: u8, body: &[u8]) -> Result<Heard> {
        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8_lossy(&body[2..end]).into_owned();
        let confirmed = head & 0x06 != 0;
        if confirmed {
            self.send(0x40, &body[end..end + 2])?;
        }
        let payload = body[if confirmed { end + 2 } else { end }..].to_vec();
        Ok(Heard { topic, payload, retained: head & 1 == 1 })
    }

    fn answer(&mut self, kind: u8) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((head, body)) = self.packet() {
                let fine = head == kind && body.get(1) == Some(&0);
                return if fine { Ok(()) } else { Err(ErrorKind::ConnectionRefused.into()) };
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.read(left)?;
        }
    }

    /// Waits for more bytes, not longer than this.
    fn read(&mut self, patience: Duration) -> Result<()> {
        self.socket.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut piece = [0; 16 * 1024];
        match self.socket.read(&mut piece) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => {
                self.unread.extend(&piece[..length]);
                Ok(())
            }
            // A read with a limit is not taken up again after a signal, such as of a child that ended.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The next whole packet: its first byte, and what follows the length.
    fn packet(&mut self) -> Option<(u8, Vec<u8>)> {
        let (mut length, mut at) = (0_usize, 1);
        loop {
            let byte = *self.unread.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        if self.unread.len() < at + length {
            return None;
        }
        let head = self.unread[0];
        let body = self.unread[at..at + length].to_vec();
        self.unread.drain(..at + length);
        Some((head, body))
    }

    fn send(&mut self, head: u8, body: &[u8]) -> Result<()> {
        let mut packet = vec![head];
        let mut length = body.len();
        loop {
            let more = length > 0x7f;
            packet.push((length & 0x7f) as u8 | u8::from(more) << 7);
            length >>= 7;
            if !more {
                break;
            }
        }
        packet.extend(body);
        self.spoke = Instant::now();
        self.socket.write_all(&packet)
    }

    /// The next packet identifier, never 0.
    fn number(&mut self) -> u16 {
        self.number = self.number.checked_add(1).unwrap_or(1);
        self.number
    }
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend((text.len() as u16).to_be_bytes());
    into.extend(text.as_bytes());
}

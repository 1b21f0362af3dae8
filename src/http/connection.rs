//! One connection: a request within its time, an answer within its time, and the end.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Weak;
use std::time::{Duration, Instant};

use super::request::{Refusal, Request};
use super::response::Response;
use super::site::Site;

/// How long a request may take to come, and its answer to go.
const TO_READ: Duration = Duration::from_secs(5);
const TO_WRITE: Duration = Duration::from_secs(30);
/// How long, and for how many pieces, the other side is heard out after the answer: hanging up on what it still says
/// would throw away what it has not read.
const TO_LEAVE: Duration = Duration::from_secs(1);
const PIECES: usize = 32;
/// Bytes that are read at once.
const PIECE: usize = 2048;

/// Serves one request. The site is held only while the answer is made.
pub(super) fn serve(mut stream: TcpStream, site: &Weak<Site>) {
    let (response, is_head) = match read(&mut stream) {
        Ok(None) => return,
        Ok(Some(request)) => match site.upgrade() {
            Some(site) => (site.answer(&request), request.is_head),
            None => return,
        },
        Err(refusal) => (refusal.into(), false),
    };
    if write(&mut stream, &response, is_head).is_ok() {
        leave(&mut stream);
    }
}

/// Reads a request; nothing if the other side has gone.
fn read(stream: &mut TcpStream) -> Result<Option<Request>, Refusal> {
    let (end, mut bytes, mut piece) = (Instant::now() + TO_READ, Vec::new(), [0; PIECE]);
    loop {
        let Some(left) = left(end) else { return Err(Refusal::TooSlow) };
        match stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut piece)) {
            Ok(0) => return Ok(None),
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) if is_passing(&error) => continue,
            Err(_) => return Ok(None),
        }
        if let Some(request) = Request::parse(&bytes)? {
            return Ok(Some(request));
        }
    }
}

/// Writes an answer, to a slow reader piece by piece until the time is over.
fn write(stream: &mut TcpStream, response: &Response, is_head: bool) -> io::Result<()> {
    let (end, bytes) = (Instant::now() + TO_WRITE, response.bytes(is_head));
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let left = left(end).ok_or(ErrorKind::TimedOut)?;
        match stream.set_write_timeout(Some(left)).and_then(|()| stream.write(rest)) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        }
    }
    stream.shutdown(Shutdown::Write)
}

/// Waits until the other side hangs up, too.
fn leave(stream: &mut TcpStream) {
    let (end, mut piece) = (Instant::now() + TO_LEAVE, [0; PIECE]);
    for _ in 0..PIECES {
        let Some(left) = left(end) else { return };
        match stream.set_read_timeout(Some(left)).and_then(|()| stream.read(&mut piece)) {
            Ok(1..) => continue,
            Ok(0) | Err(_) => return,
        }
    }
}

fn left(end: Instant) -> Option<Duration> {
    Some(end.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
}

/// The time is looked at before the next try.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

//! A line between a client and its broker that is as bad as a test wants: slow, late, in crumbs, deaf, cut.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How often the threads look whether the line still stands.
const TICK: Duration = Duration::from_millis(10);
/// Bytes that a slow line takes before it has brought them on; without a bound the kernel's memory is the line.
const SMALL: usize = 4096;

/// What the line is like, both ways.
#[derive(Clone, Copy, Default)]
pub struct Weather {
    /// Bytes a second.
    pub rate: Option<usize>,
    /// How long everything is on its way.
    pub delay: Duration,
    /// Most bytes that are brought on at a time.
    pub piece: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To the broker.
    Up,
    /// From the broker.
    Down,
}

/// A listening line; gone when dropped, with all its connections.
pub struct Shim {
    pub port: u16,
    state: Arc<State>,
}

struct State {
    broker: u16,
    weather: Weather,
    /// Reset the connection after so many more bytes on this way.
    cut: Mutex<Option<(Way, u64)>>,
    cuts: AtomicUsize,
    connections: AtomicUsize,
    up: AtomicU64,
    down: AtomicU64,
    /// Connections up to this number bring nothing on any more, and do not tell.
    deaf: AtomicUsize,
    over: AtomicBool,
}

/// One connection through the line.
struct Line {
    state: Arc<State>,
    number: usize,
    gone: AtomicBool,
}

impl Shim {
    pub fn start(broker: u16, weather: Weather) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if weather.rate.is_some() {
            SockRef::from(&listener).set_recv_buffer_size(SMALL).unwrap();
        }
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            broker,
            weather,
            cut: Mutex::new(None),
            cuts: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            deaf: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            while !shared.over.load(Ordering::SeqCst) {
                match listener.accept() {
                    Ok((near, _)) => connect(near, &shared),
                    Err(_) => thread::sleep(TICK),
                }
            }
        });
        Self { port, state }
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Resets the connection, once, after so many more bytes on this way.
    pub fn cut_after(&self, way: Way, bytes: u64) {
        *self.state.cut.lock().unwrap() = Some((way, bytes));
    }

    /// How often a connection was reset.
    pub fn cuts(&self) -> usize {
        self.state.cuts.load(Ordering::SeqCst)
    }

    /// Bytes that came on this way so far.
    pub fn bytes(&self, way: Way) -> u64 {
        self.state.counter(way).load(Ordering::SeqCst)
    }

    /// The connections of now swallow everything, and neither end is told.
    pub fn swallow(&self) {
        self.state.deaf.store(self.connections(), Ordering::SeqCst);
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

impl State {
    fn counter(&self, way: Way) -> &AtomicU64 {
        if way == Way::Up { &self.up } else { &self.down }
    }
}

impl Line {
    fn is_over(&self) -> bool {
        self.gone.load(Ordering::SeqCst) || self.state.over.load(Ordering::SeqCst)
    }

    fn is_deaf(&self) -> bool {
        self.number <= self.state.deaf.load(Ordering::SeqCst)
    }

    /// How many of `bytes` still get through; fewer than all if the line is cut within them.
    fn take(&self, way: Way, bytes: usize) -> usize {
        let mut cut = self.state.cut.lock().unwrap();
        let through = match &mut *cut {
            Some((cut_way, left)) if *cut_way == way && *left < bytes as u64 => {
                let through = *left as usize;
                *cut = None;
                self.state.cuts.fetch_add(1, Ordering::SeqCst);
                through
            }
            Some((cut_way, left)) if *cut_way == way => {
                *left -= bytes as u64;
                bytes
            }
            _ => bytes,
        };
        self.state.counter(way).fetch_add(through as u64, Ordering::SeqCst);
        through
    }
}

/// Both ways, each a thread that reads and one that writes.
fn connect(near: TcpStream, state: &Arc<State>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, state.broker)) else { return };
    let number = state.connections.fetch_add(1, Ordering::SeqCst) + 1;
    for socket in [&near, &far] {
        socket.set_nonblocking(false).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(TICK)).unwrap();
        socket.set_write_timeout(Some(TICK)).unwrap();
        if state.weather.rate.is_some() {
            SockRef::from(socket).set_recv_buffer_size(SMALL).unwrap();
        }
    }
    let line = Arc::new(Line { state: Arc::clone(state), number, gone: AtomicBool::new(false) });
    let (near, far) = (Arc::new(near), Arc::new(far));
    for (way, from, to) in [(Way::Up, &near, &far), (Way::Down, &far, &near)] {
        let (sender, pieces) = sync_channel(256);
        let (from, reading) = (Arc::clone(from), Arc::clone(&line));
        let (to, writing) = (Arc::clone(to), Arc::clone(&line));
        thread::spawn(move || read(&reading, way, &from, &sender));
        thread::spawn(move || write(&writing, &to, &pieces));
    }
}

/// A piece, when it arrives, and whether the line is cut behind it.
type Piece = (Instant, Vec<u8>, bool);

fn read(line: &Line, way: Way, mut from: &TcpStream, pieces: &SyncSender<Piece>) {
    let weather = line.state.weather;
    // Twenty pieces a second make a slow line smooth enough.
    let most = weather.piece.unwrap_or(64 * 1024).min(weather.rate.map_or(usize::MAX, |rate| (rate / 20).max(1)));
    let mut buffer = vec![0; most];
    let mut free = Instant::now();
    while !line.is_over() {
        let length = match from.read(&mut buffer) {
            Ok(0) if line.is_deaf() => {
                thread::sleep(TICK);
                continue;
            }
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if is_pause(&error) => continue,
            Err(_) if line.is_deaf() => {
                thread::sleep(TICK);
                continue;
            }
            Err(_) => break,
        };
        if line.is_deaf() {
            continue;
        }
        let through = line.take(way, length);
        if let Some(rate) = weather.rate {
            free = free.max(Instant::now()) + Duration::from_secs_f64(through as f64 / rate as f64);
            thread::sleep(free.saturating_duration_since(Instant::now()));
        }
        let piece = (Instant::now() + weather.delay, buffer[..through].to_vec(), through < length);
        if pieces.send(piece).is_err() || through < length {
            return;
        }
    }
    // The end arrives after what was on its way.
    let _ = pieces.send((Instant::now() + weather.delay, Vec::new(), false));
}

fn write(line: &Line, to: &TcpStream, pieces: &Receiver<Piece>) {
    while !line.is_over() {
        let (due, bytes, cut) = match pieces.recv_timeout(TICK) {
            Ok(piece) => piece,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if bytes.is_empty() && !cut {
            break;
        }
        if write_all(line, to, &bytes).is_err() {
            // What comes from there is brought to its end.
            thread::sleep(line.state.weather.delay + Duration::from_millis(200));
            break;
        }
        if cut {
            // What was written gets a moment to be read; then both ends see a reset.
            thread::sleep(Duration::from_millis(30));
            SockRef::from(to).set_linger(Some(Duration::ZERO)).unwrap();
            break;
        }
    }
    line.gone.store(true, Ordering::SeqCst);
}

fn write_all(line: &Line, mut to: &TcpStream, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() && !line.is_over() {
        match to.write(bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(error) if is_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_pause(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

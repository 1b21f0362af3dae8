//! The port: a few connections at a time, each on a thread of its own for as long as its one request takes.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection;
use super::listen::Listen;
use super::site::Site;

/// Connections at a time; one more is hung up on.
const MOST: usize = 24;
/// How often it is looked whether the end has come while nobody calls.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// How long the end waits for an answer that is being made.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long to leave a port alone that cannot be accepted from, such as for want of file descriptors.
const REST: Duration = Duration::from_millis(200);

/// Why the pages cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The port is not to be had, such as because another program listens there.
    #[error("http.listen: {address} cannot be listened on: {source}")]
    Port {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Serves the pages until it is dropped.
pub struct Server {
    site: Arc<Site>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Begins to serve.
    pub fn start(listen: Listen, site: Site) -> Result<Self, ServeError> {
        let address = listen.address();
        let fault = |source| ServeError::Port { address, source };
        let listener = TcpListener::bind(address).map_err(fault)?;
        // Between the look and the accept whoever called may have gone.
        listener.set_nonblocking(true).map_err(fault)?;
        let (site, stopping) = (Arc::new(site), Arc::new(AtomicBool::new(false)));
        let (shown, stop) = (Arc::downgrade(&site), Arc::clone(&stopping));
        let thread = thread::Builder::new().name("http".to_owned()).spawn(move || run(&listener, &shown, &stop));
        tracing::info!(%address, "pages are served over HTTP");
        Ok(Self { site, stopping, thread: Some(thread.map_err(fault)?) })
    }
}

impl Drop for Server {
    /// Closes the port, and lets go of the site.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let end = Instant::now() + FAREWELL;
        while Arc::strong_count(&self.site) > 1 && Instant::now() < end {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Accepts until it is told to stop.
fn run(listener: &TcpListener, site: &Weak<Site>, stopping: &AtomicBool) {
    // Every connection holds one of these.
    let seat = Arc::new(());
    while !stopping.load(Ordering::Relaxed) {
        if !is_called(listener) {
            continue;
        }
        match listener.accept() {
            Ok((stream, _)) if Arc::strong_count(&seat) <= MOST => seat_one(stream, Arc::clone(&seat), site),
            Ok((_, from)) => tracing::debug!(%from, "too many connections, one is hung up on"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                tracing::debug!(%error, "a connection cannot be accepted");
                thread::sleep(REST);
            }
        }
    }
}

fn is_called(listener: &TcpListener) -> bool {
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&LOOK)).is_ok_and(|ready| ready > 0)
}

/// A connection that gets no thread is hung up on.
fn seat_one(stream: TcpStream, seat: Arc<()>, site: &Weak<Site>) {
    let site = Weak::clone(site);
    let work = move || {
        if stream.set_nonblocking(false).is_ok() {
            connection::serve(stream, &site);
        }
        drop(seat);
    };
    if let Err(error) = thread::Builder::new().name("http-one".to_owned()).spawn(work) {
        tracing::debug!(%error, "a connection gets no thread");
    }
}

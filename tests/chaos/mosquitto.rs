//! A mosquitto that is killed and started again.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A broker with persistence in a folder; killed when dropped.
pub struct Mosquitto {
    pub port: u16,
    folder: PathBuf,
    child: Option<Child>,
}

impl Mosquitto {
    /// Writes its state to disk when it is stopped, and every half an hour, as installed.
    pub fn start(folder: &Path) -> Self {
        Self::with(folder, "")
    }

    /// Writes its state to disk after every tenth change: more often than brokers do, and still not before it acknowledges.
    pub fn saving(folder: &Path) -> Self {
        Self::with(folder, "autosave_on_changes true\nautosave_interval 10\n")
    }

    /// Without `set_tcp_nodelay`, which mosquitto needs to be told, it holds back acknowledgements for up to 40 ms while
    /// messages for us are on their way: at most 25 messages a second would be delivered.
    fn with(folder: &Path, lines: &str) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\nset_tcp_nodelay true\npersistence_location {}/\n\
             max_queued_messages 0\n{lines}",
            folder.display()
        );
        std::fs::write(folder.join("mosquitto.conf"), config).unwrap();
        let mut broker = Self { port, folder: folder.to_owned(), child: None };
        broker.spawn();
        while !broker.listens() {
            thread::sleep(Duration::from_millis(10));
        }
        broker
    }

    /// Starts it with what is on its disk, and does not wait.
    pub fn spawn(&mut self) {
        // Debian installs servers where not every path leads.
        let place = Path::new("/usr/sbin/mosquitto");
        let program = if place.exists() { place } else { Path::new("mosquitto") };
        let mut command = Command::new(program);
        command.arg("-c").arg(self.folder.join("mosquitto.conf")).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("mosquitto must be installed, deploy/test.sh does it"));
    }

    pub fn listens(&self) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Takes its state away: sessions, queued and retained messages.
    pub fn wipe(&self) {
        for name in ["mosquitto.db", "mosquitto.db.new"] {
            let _ = std::fs::remove_file(self.folder.join(name));
        }
    }

    /// Waits until it listens.
    pub fn wait(&self) {
        let end = Instant::now() + Duration::from_secs(20);
        while !self.listens() {
            assert!(Instant::now() < end, "mosquitto does not listen");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill();
    }
}

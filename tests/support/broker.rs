//! A mosquitto of our own on a free loopback port.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::eventually;

/// A running mosquitto; killed when dropped.
pub struct Mosquitto {
    pub port: u16,
    folder: TempDir,
    child: Child,
}

impl Mosquitto {
    /// Keeps sessions and messages on disk, so that it can be stopped and started.
    pub fn start() -> Self {
        Self::with("allow_anonymous true")
    }

    /// With more lines in its configuration.
    pub fn with(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let config = format!(
            "listener {port} 127.0.0.1\npersistence true\npersistence_location {}/\nuser root\n{lines}\n",
            folder.path().display()
        );
        std::fs::write(folder.path().join("mosquitto.conf"), config).unwrap();
        let child = spawn(&folder.path().join("mosquitto.conf"));
        let broker = Self { port, folder, child };
        broker.wait();
        broker
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Stops it in good order, so that it writes its sessions to disk.
    pub fn stop(&mut self) {
        signal(&self.child, "TERM");
        self.child.wait().unwrap();
    }

    /// It stops answering, but its connections stay.
    pub fn freeze(&self) {
        signal(&self.child, "STOP");
    }

    /// It goes on where it was frozen.
    pub fn thaw(&self) {
        signal(&self.child, "CONT");
    }

    /// Starts it again on the same port with what is on its disk.
    pub fn start_again(&mut self) {
        self.child = spawn(&self.folder.path().join("mosquitto.conf"));
        self.wait();
    }

    /// Takes its disk away: sessions, queued and retained messages.
    pub fn wipe(&self) {
        let _ = std::fs::remove_file(self.folder.path().join("mosquitto.db"));
    }

    /// Publishes with mosquitto's own client; `more` are its flags.
    pub fn publish(&self, topic: &str, payload: impl AsRef<[u8]>, more: &[&str]) {
        publish(self.port, topic, payload, more);
    }

    fn wait(&self) {
        eventually("mosquitto listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Publishes with mosquitto's own client to a broker of any make; `more` are its flags.
pub fn publish(port: u16, topic: &str, payload: impl AsRef<[u8]>, more: &[&str]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), payload).unwrap();
    let port = port.to_string();
    let path = file.path().to_str().unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &port, "-t", topic, "-q", "1", "-f", path]).args(more);
    let output = command.output().expect("mosquitto_pub must be installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Starts mosquitto with this file, whether it likes it or not.
pub fn spawn(config: &std::path::Path) -> Child {
    // Debian installs servers where not every path leads.
    let places = ["mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    let program = places
        .map(PathBuf::from)
        .into_iter()
        .find(|place| Command::new(place).arg("-h").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok());
    let program = program.expect("mosquitto must be installed, deploy/test.sh does it");
    Command::new(program).arg("-c").arg(config).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Sends a signal by name. The shell's own `kill`: a bare machine has no other.
pub fn signal(child: &Child, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {}", child.id())).status().unwrap();
    assert!(status.success(), "cannot send SIG{name}");
}

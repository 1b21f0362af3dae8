//! A broker that is not mosquitto.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::eventually;

/// The broker of the crate `mqttv5-cli` as a process; killed when dropped.
pub struct Mqttv5 {
    pub port: u16,
    child: Child,
    _folder: TempDir,
}

impl Mqttv5 {
    /// Keeps sessions in memory.
    pub fn start() -> Self {
        let program = std::env::var_os("MQTTV5").map(PathBuf::from);
        let program = program.expect("MQTTV5 must be the path of mqttv5, tests/fleet.sh installs it");
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new(program)
            .args(["broker", "--host", &format!("127.0.0.1:{port}"), "--allow-anonymous", "--non-interactive"])
            .args(["--storage-backend", "memory"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let broker = Self { port, child, _folder: folder };
        eventually("mqttv5 listens", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        broker
    }
}

impl Drop for Mqttv5 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

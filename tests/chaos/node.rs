//! The fake node as a process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::oracle::Work;

/// A fake node called `jet1`; killed when dropped.
pub struct Node {
    folder: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Node {
    /// Not started. Its files lie in `folder`, its store and its log of warnings too unless `lines`, its configuration,
    /// say otherwise; `arguments` are those of `fake-node`.
    pub fn new(folder: &Path, port: u16, lines: &str, arguments: &[&str]) -> Self {
        Self::named("jet1", folder, port, lines, arguments)
    }

    /// With a name of its own, so that several can work for a pool.
    pub fn named(name: &str, folder: &Path, port: u16, lines: &str, arguments: &[&str]) -> Self {
        let store = if lines.contains("[store]") { String::new() } else { "[store]\ndir = 'store'\n".to_owned() };
        let log = if lines.contains("[log]") { "" } else { "[log]\nlevel = 'warn'\n" };
        let config = format!("[node]\nname = '{name}'\n[mqtt]\nurl = 'mqtt://127.0.0.1:{port}'\n{log}{store}{lines}");
        std::fs::write(folder.join("diffused.toml"), config).unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { folder: folder.to_owned(), arguments, environment: Vec::new(), child: None }
    }

    /// With an environment variable.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.folder.join("node.log")).unwrap();
        let mut command = Command::new(program());
        command
            .arg("--config")
            .arg(self.folder.join("diffused.toml"))
            .arg("--log")
            .arg(self.folder.join("work.log"))
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.child = Some(command.spawn().unwrap());
    }

    pub fn id(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        Command::new("sh").arg("-c").arg(format!("kill -TERM {}", child.id())).status().unwrap();
        child.wait().unwrap().code()
    }

    /// Whether the process ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// The job that this life of the process began last.
    pub fn at_hand(&self) -> Option<String> {
        let life = self.id();
        self.work().into_iter().rev().find(|work| work.life == life && work.begins).map(|work| work.job)
    }

    /// What the generator did, in all lives of the process.
    pub fn work(&self) -> Vec<Work> {
        let text = std::fs::read_to_string(self.folder.join("work.log")).unwrap_or_default();
        text.lines().map(line).collect()
    }

    /// What it wrote to its log, in all lives of the process.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("node.log")).unwrap_or_default()
    }

    /// A number of kibibytes or pieces from `/proc/PID/status`, such as `VmRSS` and `Threads`.
    pub fn status(&self, name: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> u64 {
        std::fs::read_dir(format!("/proc/{}/fd", self.id())).map_or(0, |entries| entries.count() as u64)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn line(line: &str) -> Work {
    let mut words = line.split(' ');
    let mut next = || words.next().unwrap_or_default().to_owned();
    let (time, life, what, job) = (next(), next(), next(), next());
    Work { time: time.parse().unwrap(), life: life.parse().unwrap(), begins: what == "begin", job }
}

/// The example beside this test.
fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().and_then(Path::parent).unwrap().join("examples/fake-node");
    assert!(program.exists(), "{} is missing: cargo build --example fake-node", program.display());
    program
}

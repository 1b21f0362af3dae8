//! The built program.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use super::broker::{Mosquitto, signal};

/// The built program, not started.
pub fn diffused(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
    command.args(arguments).current_dir(env!("CARGO_TARGET_TMPDIR")).env_remove("RUST_LOG");
    command
}

/// Runs it to its end.
pub fn run(arguments: &[&str]) -> Output {
    diffused(arguments).stdin(Stdio::null()).output().unwrap()
}

/// What it said on stderr.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `diffused run` with the bundled model; killed when dropped.
pub struct Service {
    child: Child,
    config: PathBuf,
    _folder: TempDir,
}

impl Service {
    pub fn start(broker: &Mosquitto) -> Self {
        Self::with(broker, "", |_| {})
    }

    /// With more lines in its configuration, where the table `[mqtt]` is open, and a chance to change its surroundings.
    pub fn with(broker: &Mosquitto, lines: &str, prepare: impl Fn(&mut Command)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("diffused.toml");
        let text = format!(
            "[node]\nname = 'jet1'\n[models]\ndir = '{}'\ndefault = 'shapes'\n[store]\ndir = 'store'\n[mqtt]\nurl = '{}'\n{lines}",
            root().join("models").display(),
            broker.url()
        );
        std::fs::write(&config, text).unwrap();
        let child = spawn(&config, prepare);
        Self { child, config, _folder: folder }
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to stderr so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.config.with_file_name("log")).unwrap()
    }

    pub fn start_again(&mut self) {
        self.child = spawn(&self.config, |_| {});
    }

    /// As a power cut would, but for the disk.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself; returns the exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// SIGTERM; returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        signal(&self.child, "TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(config: &Path, prepare: impl Fn(&mut Command)) -> Child {
    let mut command = diffused(&["run", "--config", config.to_str().unwrap()]);
    let log = File::options().create(true).append(true).open(config.with_file_name("log")).unwrap();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    prepare(&mut command);
    command.spawn().unwrap()
}

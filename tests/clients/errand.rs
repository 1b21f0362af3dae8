//! The examples of `examples/clients/` at work, and what they need.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::support::broker::Mosquitto;
use crate::support::program::root;

/// A client, and how it is called.
#[derive(Clone, Copy, Debug)]
pub enum Client {
    Shell,
    Python(&'static str),
    Node(&'static str),
}

/// A client at work.
pub struct Errand {
    child: Child,
    folder: TempDir,
}

/// How a client ended, and the file that it was to write.
pub struct Ended {
    pub output: Output,
    folder: TempDir,
}

impl Errand {
    pub fn new(broker: &Mosquitto, client: Client, output: &str) -> Self {
        const PROMPT: &str = "a \"red\" cat";
        let folder = tempfile::tempdir().unwrap();
        let (port, file) = (broker.port.to_string(), folder.path().join("picture"));
        let examples = root().join("examples/clients");
        let mut command = match client {
            Client::Shell => {
                let mut command = Command::new(examples.join("diffused.sh"));
                command.args(["127.0.0.1", "jet1", PROMPT]).arg(file).arg(output);
                command.env("MQTT_FLAGS", format!("-p {port}")).env("MQTT_CLIENT", client.name());
                command
            }
            Client::Python(version) => {
                let mut command = Command::new("python3");
                command.arg(examples.join("diffused_client.py")).args(["--protocol", version, "--port", &port]);
                command.args(["--client", client.name(), "--output", output, "--patience", "50"]);
                command.args(["127.0.0.1", "jet1", PROMPT]).arg(file);
                command.env("PYTHONPATH", paho()).env("PYTHONDONTWRITEBYTECODE", "1");
                command
            }
            Client::Node(version) => {
                // It looks for its modules beside itself.
                let script = mqtt_js().join("diffused.mjs");
                fs::copy(examples.join("diffused.mjs"), &script).unwrap();
                let mut command = Command::new("node");
                command.arg(script).args([&broker.url(), "jet1", PROMPT]).arg(file).arg(output);
                command.env("MQTT_VERSION", version).env("MQTT_CLIENT", client.name());
                command
            }
        };
        command.env("PATIENCE", "50").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), folder }
    }

    pub fn wait(self) -> Ended {
        Ended { output: self.child.wait_with_output().unwrap(), folder: self.folder }
    }
}

impl Ended {
    pub fn complaint(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// The picture, if it wrote one.
    pub fn file(&self) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join("picture")).ok()
    }
}

impl Client {
    /// Its level in the topics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Python("5") => "python5",
            Self::Python(_) => "python3",
            Self::Node("5") => "node5",
            Self::Node(_) => "node4",
        }
    }
}

/// Eclipse Paho, brought once by pip into a folder of cargo's.
fn paho() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("paho-mqtt-2.1.0");
        if !folder.join("paho").exists() {
            let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"];
            bring(Command::new("python3").args(pip).arg(&folder).arg("paho-mqtt==2.1.0"));
        }
        folder
    });
    &FOLDER
}

/// MQTT.js, brought once by npm into a folder of cargo's.
fn mqtt_js() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mqtt-5");
        fs::create_dir_all(&folder).unwrap();
        if !folder.join("node_modules/mqtt").exists() {
            fs::write(folder.join("package.json"), "{}").unwrap();
            let npm = ["install", "--silent", "--no-audit", "--no-fund", "mqtt@5"];
            bring(Command::new("npm").args(npm).current_dir(&folder));
        }
        folder
    });
    &FOLDER
}

fn bring(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

//! The log goes to stderr.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// What verbs other than `run` log: only what a person should see beside a progress bar.
pub(super) fn quiet() {
    start(&Log { level: "warn".to_owned(), json: false, prompts: false });
}

/// What libraries may say: the embedded broker reports every client that leaves as an error.
const OTHERS: &str = "ort=warn,rumqttc=warn,rumqttd=off";

/// Starts the log. `RUST_LOG` goes before the configured level; ONNX Runtime speaks only of warnings unless asked.
pub(super) fn start(log: &Log) {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{},{OTHERS}", log.level)));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    // A second start, in a test, leaves the first log as it is.
    let _ = if log.json { builder.json().try_init() } else { builder.try_init() };
}

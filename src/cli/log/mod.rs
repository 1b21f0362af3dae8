//! The log goes to stderr; with its fields to the journal, where that is what stderr leads to.

mod journal;
mod limit;

use std::io::{IsTerminal, stderr};
use std::thread;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, registry};

use self::journal::Journal;
use self::limit::{Limit, PERIOD};
use super::CliError;
use crate::config::{Log, LogFormat};

/// What verbs other than `run` log: only what a person should see beside a progress bar.
pub(super) fn quiet() {
    begin(&Log { level: "warn".to_owned(), format: LogFormat::Text, prompts: false });
}

/// Starts the log. What was left out of it is told every ten seconds, and when this is dropped.
pub(super) fn start(log: &Log) -> LeftOut {
    let limit = begin(log);
    let told = limit.clone();
    let teller = move || loop {
        thread::sleep(PERIOD);
        told.tell();
    };
    // Without this thread it is told at the end alone.
    let _ = thread::Builder::new().name("log".to_owned()).spawn(teller);
    LeftOut(limit)
}

/// Tells at its end what was left out since it was told last.
pub(super) struct LeftOut(Limit);

impl Drop for LeftOut {
    fn drop(&mut self) {
        self.0.tell();
    }
}

/// Why a verb failed. Not through the log: whoever typed the command must see it at any log level. To the journal each
/// line is an error, which systemd reads from its beginning.
pub(super) fn complain(error: &CliError) {
    let begin = if journal::has_stderr() { "<3>" } else { "" };
    for line in format!("diffused: {error}").lines() {
        eprintln!("{begin}{line}");
    }
}

/// What libraries may say: the embedded broker reports every client that leaves as an error.
const OTHERS: &str = "ort=warn,rumqttc=warn,rumqttd=off";

/// `RUST_LOG` goes before the configured level; ONNX Runtime speaks only of warnings unless asked.
fn begin(log: &Log) -> Limit {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(format!("{},{OTHERS}", log.level)));
    let limit = Limit::default();
    let limited = registry().with(filter).with(limit.clone());
    let lines = fmt::layer().with_writer(stderr).with_ansi(stderr().is_terminal());
    let journal = (log.format == LogFormat::Journald).then(Journal::of_stderr).flatten();
    // A second start, in a test, leaves the first log as it is.
    let _ = match (journal, log.format) {
        (Some(journal), _) => limited.with(journal).try_init(),
        (None, LogFormat::Json) => limited.with(lines.json()).try_init(),
        (None, LogFormat::Text | LogFormat::Journald) => limited.with(lines).try_init(),
    };
    limit
}

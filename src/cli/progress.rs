//! A progress bar on stderr; nothing where stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::job::{Progress, Stage, Stop, Watch};
use crate::mqtt::requester::Update;

/// Shows how far the pictures are.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Pictures asked for.
    count: usize,
}

impl Bar {
    pub(super) fn new(count: u8) -> Self {
        Self { bar: bar(), count: usize::from(count) }
    }
}

impl Watch for Bar {
    fn progress(&self, progress: Progress) {
        let Progress { stage, step, steps, k } = progress;
        let picture = if self.count > 1 { format!("picture {} of {}, ", k + 1, self.count) } else { String::new() };
        let what = match stage {
            Stage::Load => "loading",
            Stage::Text => "reading",
            Stage::Encode | Stage::Publish => "encoding",
            Stage::Denoise => "denoising",
            Stage::Decode => "decoding",
        };
        self.bar.set_length((steps * self.count) as u64);
        self.bar.set_position((k * steps + step) as u64);
        self.bar.set_message(format!("{picture}{what}"));
    }

    fn heartbeat(&self) {}

    fn stop(&self) -> Option<Stop> {
        None
    }
}

/// Shows how far a node is, from its status and progress messages.
pub(super) struct Remote(ProgressBar);

impl Remote {
    pub(super) fn new() -> Self {
        Self(bar())
    }

    pub(super) fn show(&self, update: &Update) {
        match update {
            Update::Status(status) => self.0.set_message(text(status, "state")),
            Update::Progress(progress) => {
                let number = |key: &str| progress.get(key).and_then(Value::as_u64).unwrap_or(0);
                self.0.set_length(number("steps"));
                self.0.set_position(number("step"));
                self.0.set_message(text(progress, "stage"));
            }
            Update::Parts { k, have, of } => {
                self.0.set_length(u64::from(*of));
                self.0.set_position(u64::from(*have));
                self.0.set_message(format!("parts of picture {k}"));
            }
            Update::Preview { .. } => {}
        }
    }
}

fn text(json: &Value, key: &str) -> String {
    json.get(key).and_then(Value::as_str).unwrap_or("").to_owned()
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Shows how much of a folder has been read.
pub(super) struct Reading(ProgressBar);

impl Reading {
    pub(super) fn new(bytes: u64) -> Self {
        let style = ProgressStyle::with_template("reading {wide_bar} {bytes}/{total_bytes}");
        Self(ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.inc(bytes);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

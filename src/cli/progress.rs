//! A progress bar on stderr; nothing where stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

use crate::job::{Progress, Stage, Stop, Watch};

/// Shows how far the pictures are.
pub(super) struct Bar {
    bar: ProgressBar,
    /// Pictures asked for.
    count: usize,
}

impl Bar {
    pub(super) fn new(count: u8) -> Self {
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}");
        let bar = ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, count: usize::from(count) }
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

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

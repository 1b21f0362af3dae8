//! A generator that paints one flat colour, or noise, as slowly as a test wants, and counts how often it was asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use diffused::job::{Code, Failure, Generate, Made, Progress, Recipe, Stage, Watch};
use diffused::picture::Picture;

/// Paints (seed mod 256, 100, 200); fails for the prompt `fail`, and for `fail as` and a code with that.
#[derive(Default)]
pub struct Painter {
    /// While set, jobs do not go beyond their first step.
    pub hold: AtomicBool,
    /// How long a step takes.
    pub pace: Duration,
    /// Paints what cannot be compressed.
    pub noise: bool,
    /// Jobs begun.
    pub begun: AtomicUsize,
    /// Jobs finished.
    pub finished: AtomicUsize,
}

impl Painter {
    pub fn holding() -> Self {
        Self { hold: AtomicBool::new(true), ..Self::default() }
    }

    pub fn let_go(&self) {
        self.hold.store(false, Ordering::SeqCst);
    }

    pub fn begun(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

impl Generate for Painter {
    fn generate(&self, recipe: &Recipe, watch: &dyn Watch) -> Result<Vec<Made>, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let steps = usize::from(recipe.steps.get());
        for step in 0..steps {
            watch.progress(Progress { stage: Stage::Denoise, step, steps, k: 0 });
            while self.hold.load(Ordering::SeqCst) && watch.stop().is_none() {
                thread::sleep(Duration::from_millis(5));
            }
            if let Some(stop) = watch.stop() {
                return Err(Failure::stopped(stop));
            }
            thread::sleep(self.pace);
            watch.heartbeat();
            if watch.wants_preview(0, step + 1) {
                watch.preview(0, step + 1, self.paint(recipe, 0).picture);
            }
        }
        if recipe.prompt.text() == "fail" {
            return Err(Failure::new(Code::Inference, "the painter was told to fail"));
        }
        if let Some(code) = recipe.prompt.text().strip_prefix("fail as ") {
            let code = Code::ALL.iter().find(|known| known.name() == code).copied();
            return Err(Failure::new(code.unwrap_or(Code::Internal), "the painter was told how to fail"));
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok((0..recipe.count.get()).map(|k| self.paint(recipe, k)).collect())
    }
}

impl Painter {
    fn paint(&self, recipe: &Recipe, k: u8) -> Made {
        let seed = recipe.seed.plus(k);
        let (width, height) = (recipe.size.width(), recipe.size.height());
        let pixels = (width * height) as usize;
        let pixels = if self.noise {
            noise(seed.get(), pixels * 3)
        } else {
            [(seed.get() % 256) as u8, 100, 200].repeat(pixels)
        };
        Made { picture: Picture::new(width, height, pixels).unwrap(), seed }
    }
}

/// Marsaglia's xorshift: it need only look random to a compressor.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

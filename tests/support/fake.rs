//! A generator that paints one flat colour, as slowly as a test wants, and counts how often it was asked.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use diffused::job::{Code, Failure, Generate, Made, Progress, Recipe, Stage, Watch};
use diffused::picture::Picture;

/// Paints (seed mod 256, 100, 200); fails for the prompt `fail`.
#[derive(Default)]
pub struct Painter {
    /// While set, jobs do not go beyond their first step.
    pub hold: AtomicBool,
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
            watch.heartbeat();
        }
        if recipe.prompt.text() == "fail" {
            return Err(Failure::new(Code::Inference, "the painter was told to fail"));
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
        Ok((0..recipe.count.get()).map(|k| paint(recipe, k)).collect())
    }
}

fn paint(recipe: &Recipe, k: u8) -> Made {
    let seed = recipe.seed.plus(k);
    let (width, height) = (recipe.size.width(), recipe.size.height());
    let pixels = [(seed.get() % 256) as u8, 100, 200].repeat((width * height) as usize);
    Made { picture: Picture::new(width, height, pixels).unwrap(), seed }
}
